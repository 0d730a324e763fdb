/** The judge of watches through the bridge finds each way in which one can be told wrong. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Event, Event_EventType, EventSchema } from '../../../../src/api/gen/mvcc_pb.js';
import type { Change } from '../../changes.ts';
import { History, type Scope, Violations, WatchJudge, Words } from './judge.ts';

/** Revision 2 puts a and b, 3 puts a again, 4 deletes b, 5 puts b anew. */
const changes: readonly Change[] = [
  { revision: 2, key: 'a', value: '2', createRevision: 2, version: 1 },
  { revision: 2, key: 'b', value: '2', createRevision: 2, version: 1 },
  { revision: 3, key: 'a', value: '3', createRevision: 2, version: 2 },
  { revision: 4, key: 'b', value: null, createRevision: 0, version: 0 },
  { revision: 5, key: 'b', value: '5', createRevision: 5, version: 1 },
];
const both = { key: 'a', end: 'c', noPut: false, noDelete: false, fragment: false, prevKv: false };

const kvOf = ({ key, value, revision, createRevision, version }: Change) => ({
  key: Buffer.from(key),
  value: Buffer.from(value ?? ''),
  modRevision: BigInt(revision),
  createRevision: BigInt(createRevision),
  version: BigInt(version),
});

function event(change: Change, previous: Change | null = null): Event {
  const type = change.value === null ? Event_EventType.DELETE : Event_EventType.PUT;
  const prevKv = previous ? { prevKv: kvOf(previous) } : {};
  return create(EventSchema, { type, kv: kvOf(change), ...prevKv });
}

const [a2, b2, a3, b4, b5] = changes.map((change) => event(change)) as [
  Event,
  Event,
  Event,
  Event,
  Event,
];

function judged(tell: (judge: WatchJudge) => void, scope: Partial<Scope> = {}): string {
  const violations = new Violations();
  const words = new Words();
  const judge = new WatchJudge('w', { ...both, ...scope }, 2, { violations, words });
  tell(judge);
  judge.end(judge.due(new History(changes, words)));
  return violations.all.join('\n');
}

const right = (judge: WatchJudge) => {
  judge.hear(2, [a2, b2]);
  judge.hear(5, [a3, b4, b5]);
};

describe('the judge of watches through the bridge', () => {
  it.each<[string, (judge: WatchJudge) => void, Partial<Scope>]>([
    ['the history', right, {}],
    ['one key', (judge) => judge.hear(9, [a2, a3]), { end: null }],
    ['from a key on', (judge) => judge.hear(9, [b2, b4, b5]), { key: 'b', end: '\0' }],
    ['deletions alone', (judge) => judge.hear(9, [b4]), { noPut: true }],
    ['puts alone', (judge) => judge.hear(9, [a2, b2, a3, b5]), { noDelete: true }],
    [
      'what was there before',
      (judge) => {
        const [first, , second] = changes as [Change, Change, Change];
        judge.hear(9, [a2, event(second, first)]);
      },
      { end: null, prevKv: true },
    ],
    [
      'progress behind the events',
      (judge) => {
        right(judge);
        judge.progress(3);
        judge.progress(7);
      },
      {},
    ],
  ])('has nothing against %s', (_, tell, scope) => {
    expect(judged(tell, scope)).toBe('');
  });

  it.each<[string, (judge: WatchJudge) => void, RegExp]>([
    ['a gap', (judge) => judge.hear(9, [a2, b2, b4, b5]), /event 3 of 5 is 4 b deleted, not 3 a/],
    ['a gap at the start', (judge) => judge.hear(9, [b2, a3, b4, b5]), /event 1 of 5/],
    ['an end too early', (judge) => judge.hear(9, [a2, b2, a3, b4]), /event 5 of 5 is none/],
    [
      'a repeat',
      (judge) => {
        right(judge);
        judge.hear(9, [b5]);
      },
      /of 5 after all up to 5/,
    ],
    ['a repeat in one message', (judge) => judge.hear(9, [a2, b2, b2, a3]), /event 3 of 5/],
    ['a wrong order', (judge) => judge.hear(9, [a3, a2]), /of 2 after 3/],
    [
      'half a revision',
      (judge) => {
        judge.hear(2, [a2]);
        judge.hear(9, [b2, a3, b4, b5]);
      },
      /of 2 after all up to 2/,
    ],
    [
      'progress ahead of events',
      (judge) => {
        judge.hear(2, [a2, b2]);
        judge.progress(3);
        judge.hear(9, [a3, b4, b5]);
      },
      /of 3 after all up to 3/,
    ],
    ['events of a revision to come', (judge) => judge.hear(1, [a2]), /under a header of 1/],
    [
      'another value',
      (judge) => {
        const other = event({ ...(changes[2] as Change), value: 'x' });
        judge.hear(9, [a2, b2, other, b4, b5]);
      },
      /event 3 of 5 is 3 a = x .*, not 3 a = 3/,
    ],
    [
      'what was not asked for',
      (judge) => {
        const [first, , second] = changes as [Change, Change, Change];
        judge.hear(9, [a2, b2, event(second, first), b4, b5]);
      },
      /before: 2/,
    ],
  ])('finds %s', (_, tell, what) => {
    expect(judged(tell)).toMatch(what);
  });

  it('expects what comes after it was created, of a watch from now on', () => {
    const violations = new Violations();
    const words = new Words();
    const judge = new WatchJudge('w', both, null, { violations, words });
    expect(judge.next).toBeNull();
    judge.created(3);
    expect(judge.next).toBe(4);
    judge.hear(4, [b4]);
    expect(judge.next).toBe(5);
    judge.hear(5, [b5]);
    judge.end(judge.due(new History(changes, words)));
    expect(violations.all).toEqual([]);
  });
});
