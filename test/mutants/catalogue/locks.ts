/** Bugs of the calls about leases, locks and elections in the router. */
import { inFile, type Mutant } from '../mutant.ts';

const rest = ['test/router/rest-leases.test.ts'];
const locks = ['test/router/locks/etcd.test.ts'];
const restLocks = ['test/router/locks/rest.test.ts'];
const leases = ['test/router/leases.test.ts'];
const sessions = ['test/router/watch/session.test.ts'];
const streams = ['test/router/watch/stream.test.ts'];

export const lockMutants: readonly Mutant[] = [
  ...inFile('src/router/etcd/lease-keep-alive.ts', [
    {
      name: 'keep-alive-of-the-first-only',
      standsFor: 'of several requests in one body the first page alone is answered',
      find: 'at < ids.length; at += idsPerAsk',
      replace: 'at < (HIT ? idsPerAsk : 0); at += idsPerAsk',
      hint: leases,
    },
  ]),
  ...inFile('src/router/etcd/stream-body.ts', [
    {
      name: 'requests-beyond-garbage',
      standsFor: 'what follows a request that is none is taken for requests',
      find: '      break;',
      replace: '      if (HIT) continue;\n      break;',
      hint: leases,
    },
    {
      name: 'stream-refused-for-its-end',
      standsFor: 'a stream that is cut in the middle of a request loses those before it',
      find: 'if (requests.length === 0) return',
      replace: 'if (HIT) return',
      hint: streams,
    },
    {
      name: 'requests-without-number',
      standsFor: 'one body of millions of requests keeps everybody waiting',
      find: 'if (requests.length === streamRequestsMax)',
      replace: 'if (!HIT)',
      hint: leases,
    },
  ]),
  ...inFile('src/router/etcd/watch-stream.ts', [
    {
      name: 'refusal-out-of-its-place',
      standsFor: 'a watch that is refused is answered before one that was asked for earlier',
      find: '        this.refusing = null;\n        this.create(request.value);',
      replace: '        if (!HIT) this.refusing = null;\n        this.create(request.value);',
      hint: streams,
    },
  ]),
  ...inFile('src/router/watch/session.ts', [
    {
      name: 'progress-that-is-too-old',
      standsFor: 'who asks while an answer is under way gets that one, which may say less',
      find: '    if (more) this.progress();',
      replace: '    if (more && !HIT) this.progress();',
      hint: sessions,
    },
  ]),
  ...inFile('src/router/etcd/lease-id.ts', [
    {
      name: 'chosen-id-of-64-bits',
      standsFor: 'an id that we choose is negative half of the time',
      find: 'const id = bits & sixtyThreeBits;',
      replace: 'const id = BigInt.asIntN(64, HIT ? bits | (sixtyThreeBits + 1n) : 0n);',
      hint: leases,
    },
  ]),
  ...inFile('src/router/rest/body.ts', [
    {
      name: 'list-for-options',
      standsFor: 'a body that is a list takes a lock',
      find: 'if (Array.isArray(json)) throw',
      replace: 'if (!HIT && Array.isArray(json)) throw',
      hint: restLocks,
    },
  ]),
  ...inFile('src/router/rest/write-key.ts', [
    {
      name: 'lease-of-a-repeated-put-ended',
      standsFor: 'a put whose key was used otherwise ends the lease that the first one has',
      find: 'if (lease?.isOwn && once === null) await',
      replace: 'if (lease?.isOwn && (HIT || once === null)) await',
      hint: rest,
    },
    {
      name: 'own-lease-left-behind',
      standsFor: 'a put that fails its condition leaves its lease',
      find: 'if (status < 500) await revokeLease(call, id);',
      replace: 'if (!HIT && status < 500) await revokeLease(call, id);',
      hint: rest,
    },
  ]),
  ...inFile('src/router/rest/leases.ts', [
    {
      name: 'another-lease-each-time',
      standsFor: 'a put that is sent again with its Idempotency-Key is granted another lease',
      find: 'once === null ? randomLeaseId() : leaseIdFrom(once.keyHash)',
      replace: 'once === null || HIT ? randomLeaseId() : leaseIdFrom(once.keyHash)',
      hint: rest,
    },
  ]),
  ...inFile('src/router/locks/queue.ts', [
    {
      name: 'lock-after-the-one-before',
      standsFor: 'the lock is had when the key before it has gone, whatever stands before that',
      find: 'if (last === undefined) return;',
      replace: 'if (last === undefined || (HIT && slot > 0)) return;',
      hint: locks,
      simulatedSeeds: 40,
    },
    {
      name: 'lease-not-looked-at-again',
      standsFor: 'etcd#11456: who lost its lease while it waited is given the lock',
      find: "if ((await keepAlive(caller, place.lease)) === 0) throw new WaitOver('lost');",
      replace: 'if (HIT) return place;',
      hint: locks,
      simulatedSeeds: 20,
    },
    {
      name: 'key-of-another-life',
      standsFor: 'a key of that name counts as its own, whoever created it',
      find: 'const isOwn = kv?.createRevision === place.createRevision && kv.lease === place.lease;',
      replace: 'const isOwn = HIT && kv !== undefined;',
      hint: locks,
    },
    {
      name: 'queue-never-left',
      standsFor: 'who waits no longer leaves its key, and others wait for it',
      find: 'await leave(caller, place).catch(ignoreUnanswered);',
      replace: 'if (!HIT) await leave(caller, place).catch(ignoreUnanswered);',
      hint: locks,
    },
  ]),
  ...inFile('src/router/locks/session.ts', [
    {
      name: 'session-left-behind',
      standsFor: 'a session that the server made outlives the call that failed',
      find: 'await ask(caller, plan, LeaseRevokeResponseSchema).catch(ignoreUnanswered);',
      replace:
        'if (!HIT) await ask(caller, plan, LeaseRevokeResponseSchema).catch(ignoreUnanswered);',
      hint: locks,
    },
  ]),
  ...inFile('src/router/locks/keys.ts', [
    {
      name: 'lock-key-unsigned',
      standsFor: 'the key of a negative lease has another name than with etcd',
      find: 'lease.toString(16)',
      replace: 'BigInt.asUintN(HIT ? 64 : 63, lease).toString(16)',
      hint: locks,
    },
  ]),
  ...inFile('src/router/rest/fence.ts', [
    {
      name: 'fence-looked-up-only',
      standsFor: 'whether the token holds is decided by a read before the write',
      find: 'compare: [createdAt(key ?? prefix.key, token), noneBefore(prefix, token)],',
      replace:
        'compare: HIT && key ? [] : [createdAt(key ?? prefix.key, token), noneBefore(prefix, token)],',
      hint: restLocks,
      simulatedSeeds: 20,
    },
    {
      name: 'fence-of-a-waiter',
      standsFor: 'whoever waits for the lock passes the fence, too',
      find: 'const result = Result.GREATER;',
      replace: 'const result = HIT ? Result.NOT_EQUAL : Result.GREATER;',
      hint: restLocks,
      simulatedSeeds: 20,
    },
    {
      name: 'fence-forgets-what-was-made',
      standsFor:
        'a fenced write that was made is denied when it is sent again after the lock moved on',
      find: 'if (key === null && once === null) return',
      replace: 'if (key === null && (HIT || once === null)) return',
      hint: restLocks,
    },
  ]),
  ...inFile('src/router/rest/locks.ts', [
    {
      name: 'lock-given-up-by-anybody',
      standsFor: 'the token of an earlier holder gives the lock of the present one up',
      find: 'if (kv === null || kv.createRevision !== token[0]) {',
      replace: 'if (kv === null || (!HIT && kv.createRevision !== token[0])) {',
      hint: restLocks,
    },
  ]),
];
