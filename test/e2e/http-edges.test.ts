/** The edges of HTTP around etcd's gateway, answered as etcd answers them or better. */
import { expect, it } from 'vitest';
import { differenceOf } from '../conformance/http/ask.ts';
import { socketCalls, socketDifference, socketLease } from '../conformance/http/sockets.ts';
import { edges } from '../conformance/http/table.ts';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';

it(`${edges.length} odd requests are answered as the table has it`, async () => {
  await withServer({ members: 1 }, async ({ url }) => {
    const gateway = new Gateway(url);
    await gateway.put('foo', 'bar');
    gateway.close();
    const found: string[] = [];
    for (const edge of edges) {
      const difference = await differenceOf(url, edge, edge.told);
      if (difference)
        found.push(`${edge.what}: ${edge.method} ${edge.path.slice(0, 60)}: ${difference}`);
    }
    expect(found).toEqual([]);
  });
});

it(`${socketCalls.length} calls over WebSockets are answered as the table has it`, async () => {
  await withServer({ members: 1 }, async ({ url }) => {
    const body = JSON.stringify(socketLease);
    await fetch(`${url}/v3/lease/grant`, { method: 'POST', body });
    const found = await Promise.all(socketCalls.map((call) => socketDifference(url, call)));
    expect(found.filter(Boolean)).toEqual([]);
  });
});
