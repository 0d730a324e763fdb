/**
 * A member 'A' in each role, with nothing under way: for rules that hold in every role, or differ.
 */
import { Group, type GroupOptions, groupLedBy } from './group.ts';

export const roles = ['follower', 'preCandidate', 'candidate', 'leader'] as const;
type Role = (typeof roles)[number];

export function groupWith(role: Role, options: GroupOptions = {}): Group {
  if (role === 'leader') return groupLedBy('A', options);
  const group = new Group(options);
  if (role !== 'follower') group.suspect('A');
  if (role === 'candidate')
    group.settle(({ type }) => type === 'preVote' || type === 'preVoteReply');
  group.withhold();
  group.sent = [];
  if (group.core('A').role !== role) throw new Error(`A is ${group.core('A').role}, not ${role}`);
  return group;
}
