/** A snapshot carries users and roles as they were when it was opened, and the hash covers them. */
import { describe, expect, test } from 'vitest';
import { Permission_Type as Type } from '../../../src/api/gen/auth_pb.js';
import { Machine, set } from '../support.ts';
import { clearAll, Transfer } from '../transfer.ts';
import {
  addRole,
  addUser,
  allow,
  as,
  changePassword,
  deleteRole,
  deleteUser,
  disable,
  enabled,
  giveRole,
} from './support.ts';

const goneRows = (machine: Machine): unknown =>
  machine.sql.first('SELECT count(*) FROM kv_record WHERE gone IS NOT NULL')?.[0];

/** Names that order, quote and encode in their own ways. */
const names = ['u', 'U', "it's", 'a.b', '@', '\u{1F600}', '\uFB00'];

function sender(): Machine {
  const machine = enabled(new Machine(), ...names);
  machine.apply(as(machine, 'root', allow('u', Type.READ, 'k')));
  return machine;
}

describe('users in a snapshot', () => {
  test('are there as they were when it was opened', () => {
    const from = sender();
    const to = new Machine();
    from.machine.openSnapshot('s');
    const before = from.hash();
    const transfer = new Transfer(from, to, 's', 1);
    const meanwhile = [
      changePassword('u', 'other'),
      deleteUser('a.b'),
      addUser('a.b'),
      addUser('new'),
      deleteUser('new'),
      deleteRole('U'),
      addRole('U'),
      allow('u', Type.WRITE, 'k'),
      disable,
    ];
    transfer.run(() => {
      const command = meanwhile.shift();
      if (command) from.apply(as(from, 'root', command));
    });
    expect(meanwhile).toEqual([]);
    expect(to.machine.auth.enabled).toBe(true);
    expect(to.hash()).toBe(before);
    for (let at = to.machine.appliedIndex; at < from.entries.length; at += 1)
      expect(to.applyEntry(from.entries[at] as Uint8Array)).toEqual(from.results[at]);
    expect(to.hash()).toBe(from.hash());
    expect(to.machine.auth.names(1)).toEqual(from.machine.auth.names(1));
  });

  test('need a row after they went only if the open snapshot sees them, and only while it is open', () => {
    const from = sender();
    const asRoot = (command: Uint8Array): void => void from.apply(as(from, 'root', command));
    asRoot(deleteUser('u'));
    expect(goneRows(from)).toBe(0);
    from.machine.openSnapshot('s');
    asRoot(deleteUser('U'));
    asRoot(addUser('new'));
    asRoot(deleteUser('new'));
    // Twice changed in one entry.
    from.apply(
      as(from, 'root', changePassword('@', 'x')),
      as(from, 'root', changePassword('@', 'y')),
    );
    expect([goneRows(from), from.machine.auth.user('U')]).toEqual([2, null]);
    expect(from.machine.compactionPending()).toBe(false);
    from.reopen();
    asRoot(deleteUser('a.b'));
    from.machine.closeSnapshot();
    expect(goneRows(from)).toBe(3);
    const before = from.hash();
    for (const left of [2, 1, 0]) {
      expect(from.machine.compactionPending()).toBe(true);
      // What is to go is known in a new life too.
      from.reopen();
      expect(from.machine.compactStep(1)).toBe(1);
      expect(goneRows(from)).toBe(left);
    }
    expect(from.machine.compactStep(1)).toBe(0);
    expect([from.machine.compactionPending(), from.hash()]).toEqual([false, before]);
  });

  test('that went while it was open are swept in the same life', () => {
    const from = sender();
    from.machine.openSnapshot('s');
    from.apply(as(from, 'root', deleteUser('u')));
    from.machine.closeSnapshot();
    expect([from.machine.compactionPending(), from.machine.compactStep(9)]).toEqual([true, 1]);
    expect(goneRows(from)).toBe(0);
  });

  test('take the place of those that were there, in what is remembered too', () => {
    const from = sender();
    const to = new Machine();
    enabled(to, 'u', 'old');
    expect(to.machine.auth.user('old')).not.toBeNull();
    for (const machine of [from, to]) machine.machine.auth.grantsOf('u');
    while (from.machine.appliedIndex <= to.machine.appliedIndex)
      from.apply(as(from, 'root', set('k')));
    from.machine.openSnapshot('s');
    new Transfer(from, to, 's').run();
    expect(to.machine.auth.user('old')).toBeNull();
    expect(to.machine.auth.grantsOf('u').read.has('k')).toBe(true);
    clearAll(to);
    expect(to.sql.first('SELECT count(*) FROM kv_record')).toEqual([0]);
  });

  test('are many, and read in pages', () => {
    const from = enabled(new Machine());
    for (let at = 0; at < 700; at += 1) from.apply(as(from, 'root', addUser(`user${at}`)));
    const to = new Machine();
    from.machine.openSnapshot('s');
    const transfer = new Transfer(from, to, 's');
    transfer.run();
    expect(transfer.chunks.length).toBeGreaterThan(3);
    expect(to.hash()).toBe(from.hash());
  });
});

describe('the hash', () => {
  test.each<[string, (machine: Machine) => Uint8Array[]]>([
    ['a user', () => [addUser('x')]],
    ['a password', () => [changePassword('u', 'x')]],
    ['a role', () => [addRole('x')]],
    ['a permission', () => [allow('u', Type.READ, 'x')]],
    ['who has a role', () => [giveRole('u', 'U')]],
    ['whether auth is enabled', () => [disable]],
  ])('covers %s', (_, changes) => {
    const machine = sender();
    const before = machine.hash();
    for (const one of changes(machine)) machine.apply(as(machine, 'root', one));
    expect(machine.hash()).not.toBe(before);
  });

  test('is that of before where nothing of auth was ever changed', () => {
    const machine = new Machine();
    machine.apply(set('k', 'v'));
    expect(machine.hash()).toBe('5bd1d81519ee81cb');
  });
});
