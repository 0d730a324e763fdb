/**
 * What a put costs, as the platform bills it: requests to objects and rows written, from the counters
 * that the members keep. Replication, the commit notice and the reads of the status page included,
 * but for the status page's own requests.
 */
import { describe, expect, it } from 'vitest';
import { BridgedKeys } from '../support/bridged-keys.ts';
import { Gateway } from '../support/gateway.ts';
import { restingCounters, spent } from '../support/resting.ts';
import { withServer } from '../support/server.ts';

describe('the ledger of a put, in a group of three', () => {
  it.each([
    {
      clients: 1,
      putsPerClient: 150,
      requestsMax: 5,
      rowsPerMemberMax: 4,
      watches: 0,
      way: 'over HTTP',
    },
    {
      clients: 1,
      putsPerClient: 150,
      requestsMax: 5,
      rowsPerMemberMax: 4,
      watches: 20,
      way: 'over HTTP',
    },
    {
      clients: 64,
      putsPerClient: 20,
      requestsMax: 1.5,
      rowsPerMemberMax: 2.5,
      watches: 0,
      way: 'over HTTP',
    },
    // Where puts share requests to the leader too.
    {
      clients: 64,
      putsPerClient: 20,
      requestsMax: 0.6,
      rowsPerMemberMax: 2.5,
      watches: 0,
      way: 'through a bridge',
    },
  ])(
    'at $clients clients $way, $watches watches of other keys: at most $requestsMax object requests, $rowsPerMemberMax rows a member',
    async ({ clients, putsPerClient, requestsMax, rowsPerMemberMax, watches, way }) => {
      await withServer({ members: 3 }, async ({ url }) => {
        const gateway = new Gateway(url);
        const bridged = way === 'over HTTP' ? null : await BridgedKeys.start(url);
        const writer = bridged ?? gateway;
        await writeAll(writer, clients, 4); // Birth, election, connections: not part of a put.
        const streams = await watchOtherKeys(url, watches);
        const before = await restingCounters(gateway);
        await writeAll(writer, clients, putsPerClient);
        const after = await restingCounters(gateway);
        gateway.close();
        streams.abort();
        await bridged?.stop();

        const puts = clients * putsPerClient;
        const costs = spent(before, after);
        const requests = costs.reduce((sum, cost) => sum + cost.requests, 0) / puts;
        const rows = costs.map((cost) => cost.rows / puts);
        console.log(
          `${clients} clients: ${requests.toFixed(2)} object requests a put; rows written a put, ` +
            `by member: ${rows.map((each) => each.toFixed(2)).join(', ')}`,
        );
        expect(requests).toBeGreaterThan(0);
        expect(requests).toBeLessThanOrEqual(requestsMax);
        for (const each of rows) expect(each).toBeLessThanOrEqual(rowsPerMemberMax);
      });
    },
  );
});

/** Idle watches; end with the controller. */
async function watchOtherKeys(url: string, count: number): Promise<AbortController> {
  const controller = new AbortController();
  const body = JSON.stringify({ create_request: { key: btoa('ledger-of-somebody-else') } });
  const { signal } = controller;
  for (let n = 0; n < count; n += 1) {
    const { status } = await fetch(`${url}/v3/watch`, { method: 'POST', body, signal });
    expect(status).toBe(200);
  }
  return controller;
}

async function writeAll(
  writer: Pick<Gateway | BridgedKeys, 'put'>,
  clients: number,
  putsPerClient: number,
): Promise<void> {
  const client = async (name: number) => {
    for (let count = 0; count < putsPerClient; count++) {
      const outcome = await writer.put(`ledger/${name}/${count}`, 'value');
      expect(outcome).toMatchObject({ acknowledged: true });
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, name) => client(name)));
}
