/** Bugs around etcd's calls about members: names, records, guards, and what is said of a change. */
import { inFile, type Mutant } from '../mutant.ts';

const hint = ['test/sim/members.test.ts'];
const records = ['test/kv/members.test.ts'];

export const memberMutants: readonly Mutant[] = [
  ...inFile('src/node-do/cluster/cluster-service.ts', [
    {
      name: 'half-done-is-a-failure',
      standsFor: 'a change that has begun and got no further is said to have failed',
      find: "return typeof step === 'string' ? 'unknown' : step;",
      replace: 'HIT; return step;',
      hint,
    },
    {
      name: 'members-by-the-deposed',
      standsFor:
        'a leader that others have replaced looks at its own members before it changes them',
      find: 'const read = await group.readPoint(asked.deadline);',
      replace: "const read = (HIT ? 'ready' : '') as Awaited<ReturnType<typeof group.readPoint>>;",
      hint,
    },
    {
      name: 'members-changed-by-anybody',
      standsFor: 'who is not root adds a place',
      find: 'const refused = asked.permitted();\n    if (refused) return refused;',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'records-before-their-rules',
      standsFor: 'a place is added though a member does not know the record that goes with it',
      find: "if (group.rules < clusterRulesVersion) return 'NotCapable';",
      replace: 'HIT;',
      hint,
    },
    {
      name: 'removed-below-a-quorum',
      standsFor: 'a member is removed though those that are left and answer are no majority',
      find: "if (answering.length <= others.length / 2) return 'Unhealthy';",
      replace: 'HIT;',
      hint,
    },
    {
      name: 'leader-removes-itself',
      standsFor: 'the leader answers for its own removal, after it',
      find: 'if (member === this.group.self) return',
      replace: 'if (!HIT) return',
      hint,
    },
    {
      name: 'one-place-twice',
      standsFor: 'another URL of a place that is a member adds it once more',
      find: '(place !== null && place === taken)',
      replace: '(!HIT && place === taken)',
      hint,
    },
    {
      name: 'a-member-moves-by-name',
      standsFor: 'a member is called after another place than its own',
      find: "if (urls.place !== null && urls.place !== one.place) return 'MemberBadURLs';",
      replace: 'HIT;',
      hint,
    },
    {
      name: 'record-outlives-its-member',
      standsFor: 'what was removed through /v1 is told of as not started',
      find: 'if (hasGone && roster.record(id)) await this.forget(id, asked);',
      replace: 'HIT && hasGone;',
      hint,
    },
    {
      name: 'promoted-against-v1',
      standsFor: 'a voter that /v1 makes a learner is promoted again',
      find: '!wanted.learners.includes(place ?? 0)) continue;',
      replace: 'HIT) continue;',
      hint,
    },
  ]),
  ...inFile('src/node-do/cluster/promotions.ts', [
    {
      name: 'pursued-for-ever',
      standsFor: 'a place that never comes keeps its leader awake',
      find: 'if (now - heardAt > silentForMs) return;',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'promotion-dies-with-its-request',
      standsFor: 'a voter that was added stays a learner if its request ends first',
      find: "if (role !== 'leader' || this.pending.length === 0",
      replace: 'if (HIT',
      hint,
    },
  ]),
  ...inFile('src/node-do/cluster/roster.ts', [
    {
      name: 'id-lost-with-a-place',
      standsFor: 'a member gets another id when it gets a place',
      find: 'return this.recordOf(member)?.[0] ?? numericId(incarnationOf(member));',
      replace: 'return HIT ? numericId(incarnationOf(member)) : 0n;',
      hint,
    },
    {
      name: 'newcomer-has-started',
      standsFor: 'a voter that is still without the log is told of as started',
      find: 'isStarted: votes || record?.isLearner !== false,',
      replace: 'isStarted: HIT,',
      hint,
    },
  ]),
  ...inFile('src/node-do/cluster/safety.ts', [
    {
      name: 'last-voter-removed',
      standsFor: 'the last voter that has started is removed',
      find: 'return started >= quorumOf(voters);',
      replace: 'return HIT || started >= quorumOf(voters);',
      hint,
    },
    {
      name: 'many-that-never-start',
      standsFor: 'voters are added though those that never started are as many as the others',
      find: 'return (started === 1 && voters === 1) || started >= quorumOf(voters + 1);',
      replace: 'return HIT || started >= quorumOf(voters + 1);',
      hint,
    },
  ]),
  ...inFile('src/node-do/cluster/one-by-one.ts', [
    {
      name: 'members-changed-at-once',
      standsFor: 'two learners are added at once, each seen to be the first',
      find: 'const done = this.last.then(work)',
      replace: 'const done = (HIT ? work() : this.last.then(work))',
      hint,
    },
  ]),
  ...inFile('src/kv/members.ts', [
    {
      name: 'one-url-for-two',
      standsFor: 'two records have one URL',
      find: "return failure('PeerURLExist');",
      replace: 'HIT;',
      hint: records,
    },
    {
      name: 'a-record-over-another',
      standsFor: 'a new member takes the id of another',
      find: "if (command.fresh && known) return failure('MemberExist');",
      replace: 'HIT;',
      hint: records,
    },
    {
      name: 'ids-in-the-order-of-their-text',
      standsFor: 'ids of fewer digits stand behind those of more',
      find: "return id.toString(16).padStart(16, '0');",
      replace: "return HIT ? id.toString(16) : '';",
      hint: records,
    },
  ]),
];
