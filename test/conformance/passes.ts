/**
 * What `npm run conformance` goes through: the recording against groups of a size, plainly or with something
 * going on beside it. A pass in which that did not go on has failed, whatever the answers.
 */
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';
import { type Exchange, revisionOf } from './exchange.ts';
import { Faults } from './faults.ts';
import { Served, viaFollower } from './followers.ts';
import { type Outcome, replay } from './replay.ts';

/** faults: members die between the exchanges. followers: reads are sent to followers. */
export const modes = ['plain', 'faults', 'followers'] as const;
export type Mode = (typeof modes)[number];
export type Size = 1 | 3 | 5;

export interface Pass {
  readonly mode: Mode;
  readonly members: Size;
  /** The store is brought to the revision that the recorded server had before the first of them. */
  readonly exchanges: readonly Exchange[];
  readonly isWhole: boolean;
}

export interface Result {
  readonly outcome: Outcome;
  /** What went on beside it, and why that is not enough; null: it is. */
  readonly beside: string;
  readonly lacking: string | null;
}

export interface PassOptions {
  readonly only: RegExp | null;
  readonly seed: number;
}

/** Fewer would not be worth the name: of a whole recording, 480 exchanges. */
const leastLives = 50;
const leastByFollowers = 60;

export function runPass(pass: Pass, options: PassOptions): Promise<Result> {
  const { mode, members, exchanges } = pass;
  return withServer({ members, chaos: mode === 'faults' }, async ({ url }) => {
    if (!pass.isWhole) await bringTo(url, exchanges);
    switch (mode) {
      case 'plain':
        return { outcome: await replay(exchanges, url, options), beside: '', lacking: null };
      case 'faults':
        return withFaults(pass, options, url);
      case 'followers':
        return withFollowers(pass, options, url);
      default:
        return mode satisfies never;
    }
  });
}

async function withFaults(
  { members, exchanges, isWhole }: Pass,
  { only, seed }: PassOptions,
  url: string,
): Promise<Result> {
  const faults = new Faults(url, members, seed);
  const outcome = await replay(exchanges, url, { only, before: () => faults.strike() });
  const { asked, lives, fewestLives } = await faults.count();
  const beside = `${asked.abort} aborts, ${asked.evict} evictions, ${lives} new lives (--seed ${seed})`;
  // A short one may spare a member.
  const enough = isWhole ? lives >= leastLives && fewestLives >= 1 : lives >= 1;
  return { outcome, beside, lacking: enough ? null : 'too few members died' };
}

async function withFollowers(
  { exchanges, isWhole }: Pass,
  { only }: PassOptions,
  url: string,
): Promise<Result> {
  const served = new Served();
  const heard = served.heard.bind(served);
  const outcome = await replay(exchanges, url, { only, headers: viaFollower, heard });
  const { byFollowers, byLeader } = served.count();
  const beside = `${byFollowers} ranges served by followers, ${byLeader} by the leader`;
  const enough = byFollowers >= (isWhole ? leastByFollowers : 1);
  return { outcome, beside, lacking: enough ? null : 'too few were served by followers' };
}

/** Each exchange builds on the revision that those before it have left. */
async function bringTo(url: string, exchanges: readonly Exchange[]): Promise<void> {
  const [first] = exchanges;
  if (first === undefined) return;
  const gateway = new Gateway(url);
  for (let revision = 1; revision < revisionOf(first); ) {
    const outcome = await gateway.put('before', String(revision));
    if (!outcome.acknowledged) throw new Error(`not acknowledged: ${outcome.reason}`);
    revision = outcome.revision;
  }
  gateway.close();
}
