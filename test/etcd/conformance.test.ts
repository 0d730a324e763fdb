/**
 * The recorded conversation, held with a real etcd of this machine: checks the recording and the
 * comparer, since whatever a real etcd answers is right.
 */
import { describe, expect, it } from 'vitest';
import { loadExchanges } from '../conformance/exchange.ts';
import { replay } from '../conformance/replay.ts';
import { etcdVersion, withEtcd } from '../support/etcd.ts';

const version = etcdVersion();
if (version === null) console.log('No etcd on the PATH (Debian: etcd-server): nothing to compare.');

/** What etcd 3.4 does not have yet, and one request that its gateway dies of. */
const knownDifferences: Readonly<Record<string, readonly string[]>> = {
  '3.4': [
    ...['http-health-serializable', 'http-livez', 'http-readyz', 'json-repeated-null-element'],
    ...['maint-downgrade-validate', 'maint-downgrade-bad-version', 'maint-downgrade-cancel-none'],
  ],
};

describe.skipIf(version === null)(`etcd ${version}`, () => {
  it('answers as recorded, but for what its version does not have', async () => {
    const exchanges = loadExchanges('auth-status-disabled');
    const outcome = await withEtcd((url) => replay(exchanges, url));
    const series = version?.split('.').slice(0, 2).join('.') ?? '';
    expect(outcome.differences.map(({ exchange }) => exchange.name)).toEqual(
      knownDifferences[series] ?? [],
    );
  });
});
