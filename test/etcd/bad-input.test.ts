/** What a real etcd of this machine says to bad input: checks the expectations that ours is held to. */
import { describe, expect, it } from 'vitest';
import { alarmed } from '../conformance/bad-input/maintenance.ts';
import { differences } from '../conformance/bad-input/run.ts';
import { etcdVersion, withEtcd } from '../support/etcd.ts';

const version = etcdVersion();

describe.skipIf(!version?.startsWith('3.4.'))(`etcd ${version}`, () => {
  it('answers bad input as the table says, but for what it says of 3.4', async () => {
    const asked = (url: string) => differences(url, ({ notBy34 }) => notBy34 === undefined);
    expect(await withEtcd(asked)).toEqual([]);
    const underAlarm = (url: string) =>
      differences(url, ({ notBy34 }) => notBy34 === undefined, alarmed);
    expect(await withEtcd(underAlarm)).toEqual([]);
  });
});
