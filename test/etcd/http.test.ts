/** What a real etcd of this machine says at the edges of HTTP: checks the table that ours is held to. */
import { describe, expect, it } from 'vitest';
import { differenceOf } from '../conformance/http/ask.ts';
import { socketCalls, socketDifference, socketLease } from '../conformance/http/sockets.ts';
import { edges } from '../conformance/http/table.ts';
import { etcdVersion, withEtcd } from '../support/etcd.ts';

const version = etcdVersion();

describe.skipIf(!version?.startsWith('3.4.'))(`etcd ${version}`, () => {
  it('answers odd requests as the table has it of 3.4', async () => {
    const found = await withEtcd(async (url) => {
      const all: string[] = [];
      for (const edge of edges) {
        const difference = await differenceOf(url, edge, edge.by34 ?? edge.told);
        if (difference)
          all.push(`${edge.what}: ${edge.method} ${edge.path.slice(0, 60)}: ${difference}`);
      }
      return all;
    });
    expect(found).toEqual([]);
  });

  it('answers calls over WebSockets as the table has it', async () => {
    const found = await withEtcd(async (url) => {
      const body = JSON.stringify(socketLease);
      await fetch(`${url}/v3/lease/grant`, { method: 'POST', body });
      return Promise.all(socketCalls.map((call) => socketDifference(url, call)));
    });
    expect(found.filter(Boolean)).toEqual([]);
  });
});
