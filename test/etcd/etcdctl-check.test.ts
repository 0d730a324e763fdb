/** etcdctl check: perf runs as at a real etcd, whatever the machine makes of it; datascale too, whatever it measures. */
import { describe, expect, it } from 'vitest';
import { startBridge } from '../support/bridge.ts';
import { withEtcd } from '../support/etcd.ts';
import { withServer } from '../support/server.ts';
import { isEtcdctlMissing, run, type Said } from './etcdctl/run.ts';

const perf = 'etcdctl check perf --load s --prefix /check/ --auto-compact --auto-defrag';

function bothSay(commands: readonly string[]): Promise<readonly [Said[], Said[]]> {
  const all = async (endpoint: string) => {
    const said: Said[] = [];
    for (const command of commands) said.push(await run(command, [endpoint], '/nonexistent'));
    return said;
  };
  return withEtcd((etcd) =>
    withServer({ members: 3 }, async ({ url }) => {
      const bridge = await startBridge(url);
      try {
        return await Promise.all([all(etcd.replace('http://', '')), all(bridge.address)]);
      } finally {
        await bridge.stop();
      }
    }),
  );
}

/** What was found, without how fast it was: the machine's business. What is drawn while it runs ends with a carriage return. */
function withoutSpeed({ out, err }: Said): readonly string[] {
  return `${out}${err}`
    .split('\n')
    .map((line) => line.slice(line.lastIndexOf('\r') + 1))
    .filter((line) => !/^\s*\d+ \/ \d+/.test(line))
    .map((line) =>
      line
        .replace(/^(PASS|FAIL): Throughput (is|too low:) \d+ writes\/s$/, 'throughput')
        .replace(/^(PASS: )?Slowest request took (too long: )?[\d.]+s$/, 'slowest')
        .replace(/^(PASS: Stddev is|Stddev too high:) [\d.]+s$/, 'deviation')
        .replace(/^(PASS|FAIL)$/, 'verdict')
        .replace(/system memory used : -?[\d.]+ MB/, 'memory')
        .replace(/revision \d+/, 'revision N'),
    );
}

describe.skipIf(isEtcdctlMissing())('etcdctl check', () => {
  it('perf writes without an error, and clears away what it wrote', async () => {
    const after = [
      'etcdctl get --prefix /check/ --keys-only',
      'etcdctl get --prefix /check/ --rev 2 --keys-only',
    ];
    const [theirs, ours] = await bothSay([perf, ...after]);
    expect(ours.map(withoutSpeed)).toEqual(theirs.map(withoutSpeed));
    expect(withoutSpeed(ours[0] as Said)).toEqual(
      expect.arrayContaining(['throughput', 'slowest', 'deviation', 'verdict']),
    );
  });

  it('perf refuses a load that it does not know, and a prefix that has keys', async () => {
    const [theirs, ours] = await bothSay([
      'etcdctl check perf --load z',
      'etcdctl put /taken/1 x',
      'etcdctl check perf --prefix /taken/',
    ]);
    expect(ours).toEqual(theirs);
  });

  it('datascale runs to its end, whatever the memory of a bridge has to do with it', async () => {
    const [theirs, ours] = await bothSay([
      'etcdctl check datascale --prefix /scale/ --load s --auto-compact --auto-defrag',
      'etcdctl get --prefix /scale/ --keys-only',
    ]);
    expect(ours.map(withoutSpeed)).toEqual(theirs.map(withoutSpeed));
  });
});
