/** Bugs at the edges of HTTP, and of what operators are told. */
import { inFile, type Mutant } from '../mutant.ts';

const metrics = ['test/router/metrics/metrics.test.ts'];
const paths = ['test/router/paths.test.ts'];
const names = ['test/router/json-names.test.ts'];
const members = ['test/sim/metrics.test.ts'];

export const edgeMutants: readonly Mutant[] = [
  ...inFile('src/router/metrics/metrics.ts', [
    {
      name: 'stranger-counts-as-up',
      standsFor: 'a place that is no member of the group is scraped as if it were one',
      find: "if (!status.born) return plainText('no member of a group\\n', 503);",
      replace: "if (!status.born) return plainText('no member of a group\\n', HIT ? 200 : 503);",
      hint: metrics,
    },
    {
      name: 'router-scrape-wakes-members',
      standsFor: 'a scrape that is to cost nothing asks every member',
      find: "if (place === 'none') return",
      replace: "if (place === 'none' && !HIT) return",
      hint: metrics,
    },
  ]),
  ...inFile('src/router/etcd/json-names.ts', [
    {
      name: 'twice-is-once',
      standsFor: 'of a field that is named twice the last one is stored, where etcd refuses',
      find: 'if ((open.seen & field.bit) !== 0)',
      replace: 'if ((open.seen & field.bit) !== 0 && !HIT)',
      hint: names,
    },
    {
      name: 'unknown-is-known',
      standsFor: 'what nobody knows is refused, where etcd ignores it',
      find: 'open.inside = field?.inside ?? null;',
      replace: 'open.inside = field?.inside ?? (HIT ? open.fields : null);',
      hint: names,
    },
  ]),
  ...inFile('src/router/metrics/text.ts', [
    {
      name: 'quote-in-a-label',
      standsFor: 'a label ends early, and the page is refused as a whole',
      find: `.replaceAll('"', '\\\\"')`,
      replace: `.replaceAll(HIT ? '\\0' : '"', '\\\\"')`,
      hint: metrics,
    },
  ]),
  ...inFile('src/router/metrics/rpc-counts.ts', [
    {
      name: 'counts-of-every-tenant-ever',
      standsFor: 'memory grows with every name that is asked for',
      find: 'if (tenants.size >= tenantsMax && oldest !== undefined)',
      replace: 'if (!HIT && tenants.size >= tenantsMax && oldest !== undefined)',
      hint: metrics,
    },
  ]),
  ...inFile('src/node-do/status.ts', [
    {
      name: 'doubted-leader-counts',
      standsFor: 'nobody is told that a group has lost its leader',
      find: 'core.leaderHint !== null && !core.isSuspecting',
      replace: 'core.leaderHint !== null && (HIT || !core.isSuspecting)',
      hint: members,
    },
  ]),
  ...inFile('src/node-do/client.ts', [
    {
      name: 'unknown-is-no-failure',
      standsFor: 'writes are lost and no alert says so',
      find: "if (isLate || outcome.type === 'unknown')",
      replace: "if (isLate || (!HIT && outcome.type === 'unknown'))",
      hint: members,
    },
  ]),
  ...inFile('src/node-do/totals.ts', [
    {
      name: 'expired-at-every-member',
      standsFor: 'a sum over members counts each expiry as often as there are members',
      find: 'if (leads && !response.value.left)',
      replace: 'if ((HIT || leads) && !response.value.left)',
      hint: members,
    },
  ]),
  ...inFile('src/router/etcd/paths.ts', [
    {
      name: 'decoded-then-cleaned',
      standsFor: 'an encoded dot leads out of the surface that let the request in',
      find: '&& cleaned(decoded) === decoded',
      replace: '&& (HIT || cleaned(decoded) === decoded)',
      hint: paths,
    },
  ]),
];
