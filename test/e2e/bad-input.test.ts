/**
 * Bad input for leases, locks, elections and watches: etcd's answer for each, and whoever else uses the
 * service meanwhile notices nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { differences } from '../conformance/bad-input/run.ts';
import { rows } from '../conformance/bad-input/table.ts';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';

const betweenMs = 20;

it(`${rows.length} requests that are wrong in one way each are answered as etcd answers them`, async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    let over = false;
    const other = async () => {
      let served = 0;
      for (; !over; served += 1) {
        const outcome = await gateway.put('other', String(served));
        expect(outcome).toMatchObject({ acknowledged: true });
        await sleep(betweenMs);
      }
      return served;
    };
    const served = other();
    try {
      expect(await differences(url)).toEqual([]);
    } finally {
      over = true;
    }
    expect(await served).toBeGreaterThan(0);
    gateway.close();
  });
});
