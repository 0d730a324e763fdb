/** The judge of writes finds what writers were told wrong. */
import { describe, expect, it } from 'vitest';
import type { Change } from '../../changes.ts';
import { Violations } from './judge.ts';
import { type Outcome, Writes } from './writes.ts';

const put = (revision: number, key: string, name: string): Change => ({
  ...{ revision, key, value: `${name} `, createRevision: revision, version: 1 },
});
const gone = (revision: number, key: string): Change => ({
  ...{ revision, key, value: null, createRevision: 0, version: 0 },
});
const done = (revision: number): Outcome => ({ type: 'acknowledged', revision });

/** n0 puts a and b and deletes c; n1 deletes c. */
function judged(first: Outcome, second: Outcome, changes: readonly Change[]): string {
  const violations = new Violations();
  const writes = new Writes(violations);
  writes.begin(['b', 'a'], ['c']).outcome = first;
  writes.begin([], ['c']).outcome = second;
  writes.judge(changes);
  return violations.all.join('\n');
}

const n0 = [put(2, 'a', 'n0'), put(2, 'b', 'n0')];
const both = [...n0, gone(3, 'c')];

describe('the judge of writes', () => {
  it.each<[string, Outcome, Outcome, readonly Change[]]>([
    ['what was acknowledged', done(2), done(3), both],
    ['what nobody knew and is there', { type: 'unknown' }, { type: 'unknown' }, both],
    ['what nobody knew and is not there', { type: 'unknown' }, { type: 'unknown' }, []],
    ['what went nowhere', { type: 'unsent' }, { type: 'nothing' }, []],
  ])('has nothing against %s', (_, first, second, changes) => {
    expect(judged(first, second, changes)).toBe('');
  });

  it.each<[string, Outcome, Outcome, readonly Change[], RegExp]>([
    ['a lost write', done(2), done(3), n0, /n1 was acknowledged and is not there/],
    ['another revision', done(9), done(3), both, /acknowledged as 9/],
    ['half a write', done(2), done(3), [put(2, 'a', 'n0'), gone(3, 'c')], /has put a/],
    [
      'a write made twice',
      done(2),
      done(4),
      [...n0, put(3, 'a', 'n0'), put(3, 'b', 'n0')],
      /twice/,
    ],
    ['a deletion made twice', done(2), done(3), [...both, gone(5, 'c')], /nobody wrote revision 5/],
    ['what went nowhere and is there', { type: 'unsent' }, done(3), both, /gone nowhere/],
    ['what found nothing and is there', done(2), { type: 'nothing' }, both, /nobody wrote/],
    ['a stranger', done(2), done(3), [...both, put(4, 'a', 'x')], /nobody wrote revision 4/],
    ['a stranger in it', done(2), done(3), [...n0, gone(2, 'd'), gone(3, 'c')], /has deleted d/],
  ])('finds %s', (_, first, second, changes, what) => {
    expect(judged(first, second, changes)).toMatch(what);
  });
});
