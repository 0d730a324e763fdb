/** What watches are told of: the history, change by change (src/kv/events.ts). */
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { EventSchema } from '../../src/api/gen/mvcc_pb.js';
import type { Bounds } from '../../src/kv/bounds.ts';
import { type Change, endOf, watchBounds } from '../../src/kv/events.ts';
import { beginning, type Position } from '../../src/kv/history.ts';
import { bytes, compact, del, Machine, set, text, txn, zero } from './support.ts';

const put = (key: string) => ({
  request: { case: 'requestPut' as const, value: { key: bytes(key), value: bytes('v') } },
});

function told(machine: Machine, change: Change, withPrevious = false): string {
  const { type, kv, prevKv } = fromBinary(EventSchema, machine.machine.event(change, withPrevious));
  const of = (one: typeof kv) =>
    one
      ? `${text(one.key)}=${text(one.value)}@${one.modRevision}/${one.createRevision}v${one.version}`
      : '';
  return `${type === 1 ? 'del' : 'put'} ${of(kv)}${prevKv ? ` was ${of(prevKv)}` : ''}`;
}

/** Every change in pages of at most that many bytes. */
function all(machine: Machine, bytesMax: number, bounds: Bounds | null = null, from = beginning) {
  const { revision } = machine.machine;
  const found: Change[] = [];
  for (let after: Position = from; after.rev < revision || after.sub < endOf(0).sub; ) {
    const page = machine.machine.changes(after, revision, bytesMax, bounds);
    found.push(...page.changes);
    after = page.end;
  }
  return found;
}

function example(): Machine {
  const machine = new Machine();
  machine.apply(set('a', '1'));
  machine.apply(txn({ success: [put('b'), put('a'), put('c')] }));
  machine.apply(del({ key: bytes('a') }));
  machine.apply(set('a', '2'));
  return machine;
}

describe('the changes of a history', () => {
  it('come in its order, with revisions, versions and tombstones as etcd tells them', () => {
    const machine = example();
    expect(all(machine, 1e6).map((change) => told(machine, change))).toEqual([
      'put a=1@2/2v1',
      'put b=v@3/3v1',
      'put a=v@3/2v2',
      'put c=v@3/3v1',
      'del a=@4/0v0',
      'put a=2@5/5v1',
    ]);
  });

  it.each([
    ['a', ''],
    ['b', 'c'],
    ['a', 'c'],
    ['b', '\0'],
    ['', '\0'],
    ['zz', ''],
  ])('are the same for an interval, whatever the size of a page: %j to %j', (key, end) => {
    const machine = example();
    const bounds = watchBounds(bytes(key), bytes(end));
    const inside = all(machine, 1e6).filter(
      ({ key: at }) =>
        text(at) >= text(bounds.start) && (bounds.end === null || text(at) < text(bounds.end)),
    );
    for (const bytesMax of [1, 3, 1e6]) expect(all(machine, bytesMax, bounds)).toEqual(inside);
  });

  it('go on after any revision', () => {
    const machine = example();
    for (let rev = 0; rev <= 5; rev += 1)
      expect(all(machine, 2, null, endOf(rev)).map((change) => change.rev)).toEqual(
        [2, 3, 3, 3, 4, 5].filter((at) => at > rev),
      );
  });

  it('have the previous version beside them, but for what was compacted', () => {
    const machine = example();
    const previous = () => all(machine, 1e6).map((change) => told(machine, change, true));
    expect(previous()).toContain('put a=v@3/2v2 was a=1@2/2v1');
    expect(previous()).toContain('del a=@4/0v0 was a=v@3/2v2');
    expect(previous()).toContain('put a=2@5/5v1');
    machine.apply(compact(4));
    expect(previous()).toContain('del a=@4/0v0');
  });

  it('are all there from the compacted revision on, its tombstone included', () => {
    const machine = example();
    machine.apply(compact(4));
    machine.compactAll();
    expect(all(machine, 1e6, null, endOf(3)).map((change) => told(machine, change))).toEqual([
      'del a=@4/0v0',
      'put a=2@5/5v1',
    ]);
  });

  it('come in pages of bounded rows when almost nothing lies in the interval', () => {
    const machine = new Machine();
    for (let n = 0; n < 60; n += 1)
      machine.apply(...Array.from({ length: 100 }, (_, k) => set(`k${n % 7}/${k}`)));
    machine.apply(set('z'));
    const bounds = watchBounds(bytes('y'), zero);
    const first = machine.machine.changes(beginning, machine.machine.revision, 1e6, bounds);
    expect(first.changes).toEqual([]);
    expect(first.end.rev).toBeLessThan(machine.machine.revision);
    expect(all(machine, 1e6, bounds).map(({ key }) => text(key))).toEqual(['z']);
  });
});
