/**
 * The safety properties that concern more than one member, in a state whose `place` has changed.
 *
 * Figure 3.2 of the thesis; those of one turn are in member.ts, those over the past in history.ts.
 */
import type { Entry } from '../../src/raft/types.ts';
import { memberAt, memberCount } from './codec.ts';
import type { History } from './history.ts';
import { assert, sameEntry } from './member.ts';
import type { MemberRow, Model } from './model.ts';
import type { World } from './world.ts';

/** Throws a Violation. */
export function checkWorld(model: Model, world: World, place: number): void {
  const changed = model.rowAt(world, place);
  const history = model.histories.row(world.history);
  for (let other = 0; other < memberCount; other += 1) {
    const row = model.rowAt(world, other);
    if (row.role === 'leader') checkLeader(row, history, other);
    if (other === place || row.isGone || changed.isGone) continue;
    checkLogsMatch(changed.log, row.log);
    checkMatch(changed, row, other);
    checkMatch(row, changed, place);
  }
}

/** Log Matching: where two logs hold an entry of one index and term, they agree up to there. */
function checkLogsMatch(one: readonly Entry[], other: readonly Entry[]): void {
  let at = Math.min(one.length, other.length) - 1;
  while (at >= 0 && one[at]?.term !== other[at]?.term) at -= 1;
  for (; at >= 0; at -= 1) {
    const entry = one[at];
    assert(
      entry === undefined || sameEntry(entry, other[at]),
      `log matching is broken at index ${at + 1}`,
    );
  }
}

/** What a leader believes of a follower is durable there, while that follower is in its term. */
function checkMatch(leader: MemberRow, follower: MemberRow, place: number): void {
  if (leader.role !== 'leader' || follower.term > leader.term) return;
  const match = leader.match[place] ?? 0;
  assert(
    match === 0 || follower.log[match - 1]?.term === leader.log[match - 1]?.term,
    `${memberAt(place)} does not hold ${match}, as its leader believes`,
  );
}

/** Leader Completeness, and one membership change at a time. */
function checkLeader({ term, log }: MemberRow, { committed }: History, place: number): void {
  for (const { entry, knownInTerm } of committed)
    assert(
      knownInTerm >= term || log[entry.index - 1]?.term === entry.term,
      `${memberAt(place)} leads term ${term} without committed entry ${entry.index}`,
    );
  let open = 0;
  for (let at = committed.length; at < log.length; at += 1)
    if (log[at]?.payload.type === 'configuration') open += 1;
  assert(open <= 1, `${memberAt(place)} leads with ${open} uncommitted configurations`);
}
