/** The records of members: what commands do to them, the same on every member, over snapshots and rules. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandSchema, MemberChangeSchema } from '../../src/api/gen/command_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { addUser, enabled, as as userCommand } from './auth/support.ts';
import { Machine } from './support.ts';
import { Transfer } from './transfer.ts';

type Init = MessageInitShape<typeof MemberChangeSchema>;

function change(init: Init): Uint8Array {
  const value = create(MemberChangeSchema, init);
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'member', value } }));
}

const add = (id: bigint, url: string, isLearner = false, startedLearners = 0) =>
  change({
    ...{ id, fresh: true, startedLearners },
    change: { case: 'put', value: { peerUrls: [url], isLearner } },
  });
const rename = (id: bigint, url: string, incarnation = '') =>
  change({ id, change: { case: 'put', value: { peerUrls: [url], incarnation } } });
const forget = (id: bigint) => change({ id, change: { case: 'gone', value: {} } });

/** `7 a learner @place`, in the order of ids. */
function recordsOf({ machine }: Machine): string[] {
  return [...machine.members].map(([id, { peerUrls, isLearner, incarnation }]) =>
    [id, ...peerUrls, ...(isLearner ? ['learner'] : []), ...(incarnation && [`@${incarnation}`])]
      .join(' ')
      .trim(),
  );
}

describe('records of members', () => {
  test('are kept in the order of their ids, the largest of 64 bits too, and change no revision', () => {
    const machine = new Machine();
    const { revision } = machine.machine;
    machine.apply(add(2n ** 64n - 1n, 'c'), add(16n, 'b'), add(2n, 'a', true));
    expect(recordsOf(machine)).toEqual(['2 a learner', '16 b', '18446744073709551615 c']);
    machine.apply(rename(16n, 'd', '@'), forget(2n));
    machine.reopen();
    expect(recordsOf(machine)).toEqual(['16 d @@', '18446744073709551615 c']);
    expect(machine.machine.revision).toBe(revision);
  });

  test('share no URL, no id, and hold one learner that has not started', () => {
    const machine = new Machine();
    machine.apply(add(1n, 'a', true));
    expect(machine.error(add(1n, 'b'))).toBe('MemberExist');
    expect(machine.error(add(2n, 'a'))).toBe('PeerURLExist');
    expect(machine.error(add(2n, 'b', true))).toBe('TooManyLearners');
    expect(machine.error(add(2n, 'b'))).toBe('ok');
    expect(machine.error(rename(2n, 'a'))).toBe('PeerURLExist');
    expect(machine.error(rename(1n, 'a'))).toBe('ok');
    machine.apply(forget(1n));
    expect(machine.error(add(3n, 'c', true, 1))).toBe('TooManyLearners');
    expect(machine.error(forget(1n))).toBe('MemberNotFound');
    expect(machine.error(change({ id: 9n }))).toBe('NotCapable');
    expect(recordsOf(machine)).toEqual(['2 b']);
  });

  test('are root’s to change once auth is enabled', () => {
    const machine = enabled(new Machine());
    expect(machine.error(add(1n, 'a'))).toBe('UserEmpty');
    machine.apply(userCommand(machine, 'root', addUser('bob')));
    expect(machine.error(userCommand(machine, 'bob', add(1n, 'a')))).toBe('PermissionDenied');
    expect(machine.error(userCommand(machine, 'root', add(1n, 'a')))).toBe('ok');
  });

  test('are unknown to older rules', () => {
    const machine = new Machine();
    machine.applyEntry(encodeBatch([add(1n, 'a')], 3));
    expect(machine.results.at(-1)).toEqual([{ ok: false, error: 'NotCapable' }]);
    expect(recordsOf(machine)).toEqual([]);
  });

  test('are in a snapshot as they were when it was opened, and in the hash', () => {
    const from = new Machine();
    from.apply(add(1n, 'a'), add(2n, 'b', true));
    const before = from.hash();
    from.machine.openSnapshot('s');
    from.apply(rename(1n, 'c'), forget(2n), add(3n, 'd'));
    expect(from.hash()).not.toBe(before);
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', 64);
    while (transfer.step());
    expect(recordsOf(to)).toEqual(['1 a', '2 b learner']);
    expect(to.hash()).toBe(before);
    for (const entry of from.entries.slice(-1)) to.applyEntry(entry);
    expect(to.hash()).toBe(from.hash());
  });
});

const anyId = fc.bigInt({ min: 1n, max: 5n });
const anyUrl = fc.constantFrom('a', 'b', 'c', 'd');
const anyChange = fc.oneof(
  fc.tuple(anyId, anyUrl, fc.boolean(), fc.nat(1)).map((init) => add(...init)),
  fc.tuple(anyId, anyUrl, fc.constantFrom('', 'x')).map((init) => rename(...init)),
  anyId.map(forget),
);

test('the same changes make the same records and answers, on a member that is reopened or begins from a snapshot', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(anyChange, { maxLength: 4 }), { minLength: 1, maxLength: 12 }),
      fc.nat(11),
      (entries, cut) => {
        const calm = new Machine();
        let other = new Machine();
        entries.forEach((commands, at) => {
          const answers = calm.apply(...commands);
          if (at === cut) {
            const from = other;
            from.apply(...commands);
            from.machine.openSnapshot('s');
            other = new Machine();
            const transfer = new Transfer(from, other, 's', 100);
            while (transfer.step());
          } else {
            other.reopen();
            expect(other.apply(...commands)).toEqual(answers);
          }
          expect(recordsOf(other)).toEqual(recordsOf(calm));
        });
        expect(other.hash()).toBe(calm.hash());
      },
    ),
    { numRuns: 100 },
  );
});
