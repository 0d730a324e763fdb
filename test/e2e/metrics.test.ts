/** What a scrape of a real group says is what has happened to it. */
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { type ReadFamily, readMetrics, sampleValue } from '../support/prometheus.ts';
import { withServer } from '../support/server.ts';

type Families = ReadonlyMap<string, ReadFamily>;

it('each member counts what was applied there, the leader what it served, and the router each RPC', async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    const scrape = async (query = ''): Promise<Families> => {
      const { status, text } = await gateway.send('GET', `/metrics${query}`);
      expect(status).toBe(200);
      return readMetrics(text);
    };
    const post = async (path: string, body: object) => {
      const { status } = await gateway.send('POST', `/v3/${path}`, JSON.stringify(body));
      return status;
    };
    const key = 'a2V5';
    for (let at = 0; at < 5; at += 1) await post('kv/put', { key, value: key });
    for (let at = 0; at < 3; at += 1) await post('kv/range', { key });
    const put = { requestPut: { key: 'b3RoZXI=', value: key } };
    await post('kv/txn', { success: [put, { requestRange: { key } }] });
    await post('kv/deleterange', { key });
    await post('lease/grant', { ID: 7, TTL: 600 });
    await post('lease/keepalive', { ID: 7 });
    await post('lease/revoke', { ID: 7 });
    expect(await post('lease/revoke', { ID: 7 })).toBe(404);

    const read = await scrape();
    const places = ['1', '2', '3'];
    const each = (name: string) => places.map((place) => sampleValue(read, name, { place }));
    const leader = each('etcd_server_is_leader').indexOf(1);
    const atLeader = (name: string) => each(name)[leader];
    expect(each('quorate_member_up')).toEqual([1, 1, 1]);
    expect(each('etcd_server_has_leader')).toEqual([1, 1, 1]);
    expect(each('etcd_server_is_leader').filter((one) => one === 1)).toHaveLength(1);
    expect(atLeader('etcd_mvcc_put_total')).toBe(6);
    expect(atLeader('etcd_mvcc_delete_total')).toBe(1);
    expect(atLeader('etcd_mvcc_range_total')).toBe(4);
    expect(atLeader('etcd_mvcc_txn_total')).toBe(1);
    expect(atLeader('etcd_debugging_lease_granted_total')).toBe(1);
    expect(atLeader('etcd_debugging_lease_renewed_total')).toBe(1);
    expect(atLeader('etcd_debugging_lease_revoked_total')).toBe(1);
    expect(atLeader('etcd_debugging_server_lease_expired_total')).toBe(0);
    expect(atLeader('etcd_debugging_mvcc_current_revision')).toBe(8);
    // What was committed last a follower may yet have to hear of.
    for (const puts of each('etcd_mvcc_put_total')) expect(puts).toBe(6);
    expect(each('etcd_server_proposals_failed_total')).toEqual([0, 0, 0]);

    const revokes = { grpc_method: 'LeaseRevoke', grpc_type: 'unary' };
    const handled = 'grpc_server_handled_total';
    expect(sampleValue(read, handled, { ...revokes, grpc_code: 'OK' })).toBe(1);
    expect(sampleValue(read, handled, { ...revokes, grpc_code: 'NotFound' })).toBe(1);
    expect(sampleValue(read, handled, { grpc_method: 'Put', grpc_code: 'OK' })).toBe(5);

    const alone = await scrape(`?place=${leader + 1}`);
    expect(sampleValue(alone, 'etcd_server_is_leader')).toBe(1);
    expect((await gateway.send('GET', '/metrics?place=5')).status).toBe(503);
    gateway.close();
  });
});

it('a watch that is open is one RPC that has begun and not ended', async () => {
  await withServer({ members: 1 }, async ({ url }) => {
    const gateway = new Gateway(url);
    const streams = async () => {
      const read = readMetrics((await gateway.send('GET', '/metrics')).text);
      const watch = { grpc_service: 'etcdserverpb.Watch', grpc_type: 'bidi_stream' };
      const count = (name: string) =>
        (read.get(name)?.samples ?? [])
          .filter(({ labels }) => labels.grpc_service === watch.grpc_service)
          .reduce((sum, { value }) => sum + value, 0);
      return count('grpc_server_started_total') - count('grpc_server_handled_total');
    };
    await gateway.put('key', 'value');
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v3/watch`);
    const heard = new Promise<string>((resolve) => {
      socket.addEventListener('message', ({ data }) => resolve(String(data)));
    });
    socket.addEventListener('open', () => socket.send('{"create_request":{"key":"a2V5"}}'));
    expect(await heard).toContain('"created":true');
    expect(await streams()).toBe(1);
    const read = readMetrics((await gateway.send('GET', '/metrics')).text);
    expect(sampleValue(read, 'etcd_debugging_mvcc_watcher_total', { place: '1' })).toBe(1);
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    socket.close();
    await closed;
    await expect.poll(streams, { timeout: 10_000 }).toBe(0);
    gateway.close();
  });
});
