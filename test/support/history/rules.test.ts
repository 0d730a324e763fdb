/** Small histories in which one rule of a checker decides, where histories at random hardly meet it. */
import { describe, expect, it } from 'vitest';
import { type Compare, get, History, type Pending, put, remove, txn } from './history.ts';
import { checkLinearizability } from './linearizability.ts';
import { checkRevisions } from './revisions.ts';

function newHistory(): History {
  return new History(() => 0);
}

/** A transaction that only compares the value of `a`. */
function compareWith(value: string) {
  const compare: Compare = { key: 'a', target: 'value', relation: '=', operand: value };
  return txn({ compares: [compare] });
}

function hold(pending: Pending): void {
  pending.answer({ revision: 1, succeeded: true, answers: [] });
}

/** Two writes of unknown outcome, each of which one of two compares that overlap has met. */
function metByTwo(history: History): void {
  history.begin('x', put('a', 'x')).unknown();
  history.begin('y', put('a', 'y')).unknown();
  const met = [history.begin(1, compareWith('x')), history.begin(2, compareWith('y'))];
  for (const pending of met) hold(pending);
}

describe('the search for a linear order', () => {
  it.each(['x', 'y'])(
    'knows the value that the same writes leave in another order: %s',
    (value) => {
      const history = newHistory();
      metByTwo(history);
      hold(history.begin(1, compareWith(value)));
      expect(checkLinearizability(history).verdict).toBe('linearizable');
    },
  );

  it('knows how far revisions have come, which the same writes may leave lower', () => {
    const history = newHistory();
    const compares = [{ key: 'a', target: 'modRevision', relation: '=', operand: 9 }] as const;
    history.begin('never', txn({ compares, success: [{ kind: 'put', key: 'a', value: 'n' }] }));
    // Two writers, so that neither is certain to be the one of revision 5.
    for (const client of ['one', 'other']) history.begin(client, put('a', 'seen'));
    metByTwo(history);
    history.begin(1, get('a')).found(5, [{ key: 'a', value: 'seen', modRevision: 5 }]);
    expect(checkLinearizability(history).verdict).toBe('linearizable');
  });

  it.each(['x', 'y'])('knows which writes of unknown outcome are left: %s', (left) => {
    const history = newHistory();
    history.begin('x', put('a', 'x')).unknown();
    history.begin('y', put('a', 'y')).unknown();
    history.begin(1, put('a', 'first')).acknowledge(2);
    // One of the two has happened by then.
    const compares = [{ key: 'a', target: 'modRevision', relation: '!=', operand: 2 }] as const;
    hold(history.begin(1, txn({ compares })));
    history.begin(1, put('a', 'second')).acknowledge(4);
    hold(history.begin(1, compareWith(left)));
    expect(checkLinearizability(history).verdict).toBe('linearizable');
    hold(history.begin(1, compareWith(left === 'x' ? 'y' : 'x')));
    hold(history.begin(1, compareWith(left)));
    expect(checkLinearizability(history).verdict).toBe('not linearizable');
  });
});

it('both checkers let a transaction of unknown outcome have failed its compares', () => {
  const history = newHistory();
  const compares = compareWith('other').compares;
  history.begin(1, txn({ compares, failure: [{ kind: 'put', key: 'a', value: 'else' }] }));
  history.begin(2, get('a')).found(2, [{ key: 'a', value: 'else', modRevision: 2 }]);
  expect(checkLinearizability(history).verdict).toBe('linearizable');
  expect(checkRevisions(history)).toMatchObject({ violations: [], explained: 1 });
});

describe('the revision checker', () => {
  const rulesBroken = (history: History) =>
    checkRevisions(history).violations.map((one) => one.rule);

  /** Revision 4 is that of one of two deletes which nobody saw. */
  function unseenDelete(): History {
    const history = newHistory();
    history.begin('of a', remove('a')).unknown();
    history.begin('of b', remove('b')).unknown();
    history.begin(1, put('a', '1')).acknowledge(2);
    history.begin(1, put('b', '1')).acknowledge(3);
    return history;
  }

  it('gives no revision to a write of a key that certainly did not change', () => {
    const history = newHistory();
    history.begin('a', put('a', '1')).unknown();
    history.begin(1, put('c', '1')).acknowledge(3);
    history.begin(1, get('a')).found(3, []);
    expect(rulesBroken(history)).toEqual(['every revision is written']);
  });

  it('lets a delete that nobody saw excuse one absence, and no second one', () => {
    const history = unseenDelete();
    history.begin(1, get('a')).found(4, []);
    history.begin(1, put('a', '2')).acknowledge(5);
    history.begin(1, get('c')).found(6, []);
    expect(rulesBroken(history)).toEqual([]);
    history.begin(1, get('a')).found(6, []);
    expect(rulesBroken(history)).toEqual(['reads show the state']);
  });

  it('lets a delete that nobody saw excuse no absence of what was written since', () => {
    const history = unseenDelete();
    history.begin(1, put('a', '2')).acknowledge(5);
    expect(rulesBroken(history)).toEqual([]);
    history.begin(1, get('a')).found(5, []);
    expect(rulesBroken(history)).toEqual(['reads show the state']);
  });
});
