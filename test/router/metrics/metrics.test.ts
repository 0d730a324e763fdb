/** GET /metrics: a page that Prometheus reads, of what is true, at no cost to who asked for none. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { MemberMetrics, MemberStatus, MemberTotals } from '../../../src/api/member.ts';
import { parseMemberName } from '../../../src/api/member.ts';
import { newCounters } from '../../../src/node-do/counters.ts';
import { createRouter } from '../../../src/router/app.ts';
import { forgetAll } from '../../../src/router/members/hints.ts';
import { family } from '../../../src/router/metrics/text.ts';
import { readMetrics, sampleValue } from '../../support/prometheus.ts';
import { failure, fakeMembers, type Script, success } from '../support/members.ts';
import { memberOf as member } from '../support/metrics.ts';

const app = createRouter();

beforeEach(() => forgetAll());

/** A place that is not there does not answer. */
async function scrape(
  query: string,
  there: (tenant: string, place: number) => MemberStatus | null = member,
  { tenant = '', headers = {}, script = success as Script } = {},
) {
  const fake = fakeMembers(script);
  fake.other = (name) => {
    const { tenant: of, place } = parseMemberName(name) as { tenant: string; place: number };
    const status = there(of, place);
    return status === null ? new Response('gone', { status: 500 }) : Response.json(status);
  };
  const path = (tenant && `/t/${tenant}`) + query;
  const answer = await app.request(path, { headers }, fake.env);
  return { fake, answer, text: await answer.clone().text() };
}

describe('the page of a tenant', () => {
  test('is what the format allows, and tells the members apart', async () => {
    const { text, fake } = await scrape('/metrics', member, { tenant: 'acme' });
    const read = readMetrics(text);
    expect(fake.others).toHaveLength(3);
    for (const place of ['1', '2', '3']) {
      const labels = { tenant: 'acme', place };
      expect(sampleValue(read, 'etcd_server_has_leader', labels)).toBe(1);
      expect(sampleValue(read, 'etcd_server_is_leader', labels)).toBe(place === '1' ? 1 : 0);
      expect(sampleValue(read, 'etcd_server_proposals_committed_total', labels)).toBe(8);
      expect(
        sampleValue(read, 'etcd_network_peer_sent_failures_total', { ...labels, To: 'ff' }),
      ).toBe(3);
    }
    const rtt = read.get('etcd_network_peer_round_trip_time_seconds');
    const of = rtt?.samples.filter(({ labels }) => labels.place === '1') ?? [];
    const told = of.map(({ labels: { le }, value }) => [le, value]);
    expect(told).toContainEqual(['0.001', 0]);
    expect(told).toContainEqual(['0.002', 2]);
    expect(told.slice(-3)).toEqual([
      ['+Inf', 3],
      [undefined, 4],
      [undefined, 3],
    ]);
  });

  test('says which member does not answer, and tells of the others', async () => {
    const { text } = await scrape('/metrics', (tenant, place) =>
      place === 2 ? null : member(tenant, place),
    );
    const read = readMetrics(text);
    expect(
      [1, 2, 3].map((place) => sampleValue(read, 'quorate_member_up', { place: `${place}` })),
    ).toEqual([1, 0, 1]);
    expect(read.get('etcd_server_has_leader')?.samples).toHaveLength(2);
  });

  test('leaves out what a member of older code does not tell, instead of guessing', async () => {
    const { totals: _, ...counters } = newCounters();
    const { text } = await scrape('/metrics', (tenant, place) => {
      const { metrics, ...old } = member(tenant, place, { counters });
      const { quotaBytes: __, ...some } = metrics as MemberMetrics;
      if (place === 1) return member(tenant, place);
      return place === 2 ? old : { ...old, metrics: some as MemberMetrics };
    });
    const read = readMetrics(text);
    expect(read.get('etcd_server_has_leader')?.samples).toHaveLength(2);
    expect(read.get('etcd_server_quota_backend_bytes')?.samples).toHaveLength(1);
    expect(read.get('etcd_mvcc_put_total')?.samples).toHaveLength(1);
    expect(read.get('etcd_server_is_leader')?.samples).toHaveLength(3);
  });

  test('of a tenant that was never born is the router alone', async () => {
    const { text } = await scrape('/metrics', (tenant, place) =>
      member(tenant, place, { born: false, role: 'unborn', voters: [], memberId: null }),
    );
    const read = readMetrics(text);
    expect(read.has('etcd_server_has_leader')).toBe(false);
    expect(read.has('quorate_router_attempts_total')).toBe(true);
  });

  test('is packed for whoever takes it so', async () => {
    const { answer } = await scrape('/metrics', member, {
      headers: { 'accept-encoding': 'gzip, deflate' },
    });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    const body = answer.body?.pipeThrough(new DecompressionStream('gzip')) ?? null;
    readMetrics(await new Response(body).text());
    for (const refused of ['', 'identity', 'gzip;q=0', 'gzip; q=0.0, identity']) {
      const plain = await scrape('/metrics', member, { headers: { 'accept-encoding': refused } });
      expect(plain.answer.headers.get('content-encoding')).toBeNull();
    }
  });
});

describe('one member alone', () => {
  test('is told of as etcd does it: nothing tells it apart but the target', async () => {
    const { text, fake } = await scrape('/metrics?place=2');
    const read = readMetrics(text);
    expect(fake.others).toEqual(['default/2 http://member/status']);
    expect(read.get('etcd_server_has_leader')?.samples).toEqual([
      { name: 'etcd_server_has_leader', labels: { tenant: 'default' }, value: 1 },
    ]);
    // What the router counts is of no member.
    expect([...read.keys()].filter((name) => /router|grpc_server|health/.test(name))).toEqual([]);
  });

  test.each([
    ['does not answer', () => null],
    ['is none', (tenant: string, place: number) => member(tenant, place, { born: false })],
  ])('503 when it %s, so that Prometheus has it down', async (_, there) => {
    expect((await scrape('/metrics?place=2', there)).answer.status).toBe(503);
  });

  test.each(['0', '-1', '1000', 'x', '', '1,2', '01'])(
    'no place is called %j: 400',
    async (place) => {
      const { answer, fake } = await scrape(`/metrics?place=${place}`);
      expect(answer.status).toBe(400);
      expect(fake.others).toEqual([]);
    },
  );
});

describe('what the router counts', () => {
  test('a scrape of it alone wakes nobody', async () => {
    const { text, fake } = await scrape('/metrics?place=none');
    expect([...readMetrics(text).keys()]).toContain('quorate_router_requests_total');
    expect([fake.sent, fake.others]).toEqual([[], []]);
  });

  const call = (tenant: string, path: string, body: string, script: Script = success) =>
    app.request(`/t/${tenant}/v3/${path}`, { method: 'POST', body }, fakeMembers(script).env);

  test('RPCs by their names and codes in gRPC, each tenant by itself, aliases joined', async () => {
    await call('rpcs', 'kv/range', '{"key":"YQ=="}');
    await call('rpcs', 'kv/range', '{}');
    await call('rpcs', 'kv/range', 'nonsense');
    await call('rpcs', 'kv/put', '{"key":"YQ=="}', () => failure('NoSpace'));
    await call('rpcs', 'lease/revoke', '{"ID":1}', () => failure('LeaseNotFound'));
    await call('rpcs', 'kv/lease/revoke', '{"ID":1}', () => failure('LeaseNotFound'));
    await call('others', 'kv/range', '{"key":"YQ=="}');
    await call('rpcs', 'no/rpc', '{}');
    const read = readMetrics(
      (await scrape('/metrics?place=none', member, { tenant: 'rpcs' })).text,
    );
    const handled = read.get('grpc_server_handled_total')?.samples ?? [];
    expect(
      handled.map(({ labels: l, value }) => [l.grpc_service, l.grpc_method, l.grpc_code, value]),
    ).toEqual([
      ['etcdserverpb.KV', 'Range', 'OK', 1],
      ['etcdserverpb.KV', 'Range', 'InvalidArgument', 2],
      ['etcdserverpb.KV', 'Put', 'ResourceExhausted', 1],
      ['etcdserverpb.Lease', 'LeaseRevoke', 'NotFound', 2],
    ]);
    const range = { grpc_method: 'Range' };
    expect(sampleValue(read, 'grpc_server_started_total', range)).toBe(3);
    const times = read.get('grpc_server_handling_seconds')?.samples ?? [];
    expect(
      times.find((one) => one.name.endsWith('_count') && one.labels.grpc_method === 'Range')?.value,
    ).toBe(3);
  });

  test('as many tenants as were asked for last, not all that there ever were', async () => {
    await call('first', 'kv/range', '{}');
    for (let at = 0; at < 256; at += 1) await call(`later-${at}`, 'kv/range', '{}');
    const first = readMetrics(
      (await scrape('/metrics?place=none', member, { tenant: 'first' })).text,
    );
    expect(first.has('grpc_server_handled_total')).toBe(false);
    const last = readMetrics(
      (await scrape('/metrics?place=none', member, { tenant: 'later-255' })).text,
    );
    expect(last.has('grpc_server_handled_total')).toBe(true);
  });

  test('checks of /health', async () => {
    await app.request('/t/checked/health', {}, fakeMembers(success).env);
    await app.request('/t/checked/health', {}, fakeMembers(() => failure('NoLeader')).env);
    const read = readMetrics(
      (await scrape('/metrics?place=none', member, { tenant: 'checked' })).text,
    );
    expect(sampleValue(read, 'etcd_server_health_success')).toBe(1);
    expect(sampleValue(read, 'etcd_server_health_failures')).toBe(1);
  });
});

test('labels and helps are escaped', () => {
  const text = family('x', 'gauge', 'back\\slash\nline', [[{ a: 'q"b\\s\nn' }, 1]]);
  expect(readMetrics(text).get('x')?.samples[0]?.labels).toEqual({ a: 'q"b\\s\nn' });
  expect(text.split('\n')).toHaveLength(4);
});

/** Names are fixed: somebody's alert rests on each. */
test('every total has a name of its own', async () => {
  const { totals } = newCounters();
  const marked = Object.fromEntries(Object.keys(totals).map((name, at) => [name, 1_000 + at]));
  const counters = { ...newCounters(), totals: marked as unknown as MemberTotals };
  const { text } = await scrape('/metrics?place=1', (tenant, place) =>
    member(tenant, place, { counters }),
  );
  const told = [...readMetrics(text).values()].flatMap(({ samples }) =>
    samples.map(({ value }) => value),
  );
  for (const value of Object.values(marked))
    expect(told.filter((one) => one === value)).toHaveLength(1);
});
