/** Bugs of calls that share a request: between a bridge and the router, and between router and member. */
import { inFile, type Mutant } from '../mutant.ts';

const shared = ['test/router/batch.test.ts'];
const bridge = ['test/bridge/batches.test.ts'];
const small = ['test/api/small-answers.test.ts'];

export const batchMutants: readonly Mutant[] = [
  ...inFile('src/router/members/courier.ts', [
    {
      name: 'kinds-travel-together',
      standsFor: 'a read that any member answers waits for a write that no quorum takes',
      find: '[attempt.place, attempt.kind].join()',
      replace: '[attempt.place, HIT || attempt.kind].join()',
      hint: shared,
    },
    {
      name: 'batch-without-a-bound',
      standsFor: 'a member is sent all that a client has sent at once',
      find: 'if (bytes > bytesMax) {',
      replace: 'if (bytes > bytesMax && (found.length === 0 || !HIT)) {',
      hint: shared,
    },
  ]),
  ...inFile('src/router/etcd/batch.ts', [
    {
      name: 'large-answers-travel-together',
      standsFor: 'a member holds hundreds of large answers at once',
      find: '...(hasSmallAnswer(rpc, request) && { courier }),',
      replace: '...((HIT || hasSmallAnswer(rpc, request)) && { courier }),',
      hint: shared,
    },
    {
      name: 'deadline-of-the-batch',
      standsFor: 'a call of a batch runs on after its client has given up',
      find: 'startDeadline(timeoutMs || null, Date.now())',
      replace: 'startDeadline((HIT ? 0 : timeoutMs) || null, Date.now())',
      hint: shared,
    },
  ]),
  ...inFile('src/bridge/batches.ts', [
    {
      name: 'users-share-a-batch',
      standsFor: 'a call is made as another user',
      find: 'const name = JSON.stringify(Object.values(user));',
      replace: "const name = HIT ? '' : JSON.stringify(Object.values(user));",
      hint: bridge,
    },
    {
      name: 'batch-waits-for-ever',
      standsFor: 'four calls that hang hold up every other one',
      find: 'const timer = setTimeout(next, waitedForMs);',
      replace: 'const timer = setTimeout(() => HIT || next(), waitedForMs);',
      hint: bridge,
    },
    {
      name: 'cancelled-is-sent',
      standsFor:
        'a write takes place whose client was told that it was cancelled before it was sent',
      find: 'this.waiting.delete(one);\n          if',
      replace: 'if (!HIT) this.waiting.delete(one);\n          if',
      hint: bridge,
    },
    {
      name: 'broken-off-is-canceled',
      standsFor: 'a write of unknown outcome is said not to have happened',
      find: 'let why: CallFailed = outcomeUnknown();',
      replace: 'let why: CallFailed = HIT ? canceled() : outcomeUnknown();',
      hint: bridge,
    },
    {
      name: 'some-are-sent-again',
      standsFor:
        'a write is sent a second time after the service has answered another call of its batch',
      find: 'if (left.size === batch.length && why.code === GrpcCode.NotFound) {',
      replace: 'if ((HIT || left.size === batch.length) && why.code === GrpcCode.NotFound) {',
      hint: bridge,
    },
  ]),
  ...inFile('src/api/small-answers.ts', [
    {
      name: 'compares-of-ranges-are-small',
      standsFor: 'a transaction that looks at every key holds up the others of its batch',
      find: 'if (compare.some(({ rangeEnd }) => rangeEnd.length > 0))',
      replace: 'if (!HIT && compare.some(({ rangeEnd }) => rangeEnd.length > 0))',
      hint: small,
    },
    {
      name: 'failures-are-small',
      standsFor: 'what the other branch of a transaction brings is not counted',
      find: 'return Math.max(sum(success), sum(failure));',
      replace: 'return HIT ? sum(success) : Math.max(sum(success), sum(failure));',
      hint: small,
    },
  ]),
];
