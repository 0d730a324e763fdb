/** What a recorder of histories refuses, and what it says of operations without an end. */
import { describe, expect, it } from 'vitest';
import { get, History, put, remove, txn } from './history.ts';

describe('a history', () => {
  it('orders the beginnings and ends of operations', () => {
    let now = 5;
    const history = new History(() => now);
    const write = history.begin(1, put('a', '1'));
    const read = history.begin(2, get('a'));
    now = 7;
    write.acknowledge(2);
    read.found(2, [{ key: 'a', value: '1', modRevision: 2 }], 'member 3');
    expect(history.operations).toMatchObject([
      { client: '1', invoked: 0, completed: 2, invokedMs: 5, completedMs: 7 },
      { client: '2', invoked: 1, completed: 3, outcome: { type: 'ok', servedBy: 'member 3' } },
    ]);
  });

  it('takes what has not ended for unknown, and for without an end', () => {
    const history = new History(() => 0);
    history.begin(1, put('a', '1'));
    history.begin(2, put('a', '2')).unknown();
    history.begin(2, put('a', '3')).failed();
    const completed = Number.POSITIVE_INFINITY;
    expect(history.operations).toMatchObject([
      { outcome: { type: 'unknown' }, completed },
      { outcome: { type: 'unknown' }, completed },
      { outcome: { type: 'failed' }, completed: 3 },
    ]);
  });

  it('has one operation of a client at a time, which ends once', () => {
    const history = new History(() => 0);
    const pending = history.begin(1, remove('a'));
    expect(() => history.begin(1, get('a'))).toThrow('client 1 has an operation already');
    pending.deleted(1, false);
    expect(() => pending.unknown()).toThrow('ended already');
    history.begin(1, get('a'));
  });

  it('refuses answers that are not those to the call, and serializable writes', () => {
    const history = new History(() => 0);
    const pending = history.begin(1, get('a'));
    expect(() => pending.acknowledge(2)).toThrow('answers (put) to (get)');
    expect(() => pending.deleted(2, true)).toThrow('answers (delete) to (get)');
    const write = txn({ success: [{ kind: 'delete', key: 'a' }], serializable: true });
    expect(() => history.begin(2, write)).toThrow('cannot be serializable');
  });
});
