/**
 * etcd's guards against a change that leaves too few (`--strict-reconfig-check`, its default): a member that has
 * not started counts as a voter there, and is not one of those that could vote. Here such a member is in no
 * quorum at all, so a refusal is more careful than it would have to be; but it is etcd's answer.
 */
import type { Listed } from './roster.ts';

export function mayAdd(listed: readonly Listed[]): boolean {
  const { voters, started } = count(listed);
  // One member may always get a second: that is how a group begins to grow.
  return (started === 1 && voters === 1) || started >= quorumOf(voters + 1);
}

export function mayPromote(listed: readonly Listed[], one: Listed): boolean {
  const votes = one.isStarted && !one.isLearner;
  // Of one that votes already it is etcd's own arithmetic; the refusal has another reason then.
  const { voters, started } = count(listed.filter((other) => votes || isOther(other, one)));
  return started + 1 >= quorumOf(voters + 1);
}

export function mayRemove(listed: readonly Listed[], one: Listed): boolean {
  if (one.isLearner) return true;
  const { voters, started } = count(listed.filter((other) => isOther(other, one)));
  return started >= quorumOf(voters);
}

function count(listed: readonly Listed[]): { readonly voters: number; readonly started: number } {
  const voters = listed.filter(({ isLearner }) => !isLearner);
  return { voters: voters.length, started: voters.filter(({ isStarted }) => isStarted).length };
}

function isOther({ id }: Listed, one: Listed): boolean {
  return id !== one.id;
}

function quorumOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}
