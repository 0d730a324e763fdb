/** Bugs of what clients are promised beside the log: how new a read is, and that a write counts once. */
import { inFile, type Mutant } from '../mutant.ts';

const staleness = ['test/sim/staleness.test.ts'];
const options = ['test/router/read-options.test.ts'];

export const clientMutants: readonly Mutant[] = [
  ...inFile('src/node-do/reads.ts', [
    {
      name: 'age-from-the-confirmation',
      standsFor: 'a state counts as new as of when the quorum answered, not when it was asked',
      find: 'this.confirmed.push({ ...batch, index });',
      replace: 'this.confirmed.push({ ...batch, index, since: HIT ? now : 0 });',
      hint: staleness,
    },
    {
      name: 'age-before-it-is-applied',
      standsFor: 'a confirmed index shows how new the state is before it is applied',
      find: 'this.confirmed.push({ ...batch, index });',
      replace: 'this.confirmed.push({ ...batch, index }); this.shownAt = HIT ? batch.since : 0;',
      hint: staleness,
    },
  ]),

  ...inFile('src/node-do/client.ts', [
    {
      name: 'bound-on-age-ignored',
      standsFor: 'what a member cannot show counts as kept',
      find: 'return ageMs !== null && ageMs <= maxStalenessMs;',
      replace: 'return HIT || (ageMs !== null && ageMs <= maxStalenessMs);',
      hint: staleness,
    },
    {
      name: 'unknown-age-is-new',
      standsFor: 'a member that has heard nothing counts as up to date',
      find: 'return time === null || time > now ? null : now - time;',
      replace: 'return time === null || time > now ? (HIT ? 0 : null) : now - time;',
      hint: staleness,
    },
    {
      name: 'least-revision-ignored',
      standsFor: 'a client does not read its own write',
      find: 'return BigInt(this.group.machine.revision) >= minRevision;',
      replace: 'return HIT || BigInt(this.group.machine.revision) >= minRevision;',
      hint: staleness,
    },
  ]),

  ...inFile('src/router/members/ask.ts', [
    {
      name: 'nearest-without-a-read-point',
      standsFor: 'a linearizable read at a follower that asks nobody',
      find: "const readHere = kind === 'read';",
      replace: "const readHere = kind === 'read' && !HIT;",
      hint: options,
    },
  ]),
];
