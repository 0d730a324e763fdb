/** The judge of watches finds each way in which a watcher can be told wrong. */
import { describe, expect, it } from 'vitest';
import { Judge, Ledger } from './judge.ts';

const keys = ['a', 'b'];
const of = (name: string, which = keys) => which.map((key) => ({ key, value: name }));

function judged(tell: (judge: Judge, ledger: Ledger) => void, last = 4): string[] {
  const ledger = new Ledger();
  ledger.acknowledge(2, 't2');
  ledger.acknowledge(3, 't3');
  ledger.acknowledge(4, 't4');
  const judge = new Judge('w', keys, 2, ledger);
  tell(judge, ledger);
  judge.end(last);
  return ledger.violations;
}

function hearAll(judge: Judge, revisions: readonly number[], which = keys): void {
  for (const revision of revisions) judge.hear(revision, of(`t${revision}`, which));
}

const right = (judge: Judge) => hearAll(judge, [2, 3, 4]);

describe('the judge of watches', () => {
  it('has nothing against the history', () => {
    expect(
      judged((judge) => {
        right(judge);
        judge.progress(4);
        judge.progress(3);
      }),
    ).toEqual([]);
  });

  it.each<[string, (judge: Judge, ledger: Ledger) => void, RegExp]>([
    ['a gap', (judge) => hearAll(judge, [2, 4]), /nothing between/],
    ['a gap at the start', (judge) => hearAll(judge, [3, 4]), /nothing/],
    ['an end too early', (judge) => hearAll(judge, [2, 3]), /up to 3/],
    ['a repeat', (judge) => hearAll(judge, [2, 3, 3, 4]), /3 after 3/],
    ['a wrong order', (judge) => hearAll(judge, [3, 2, 4]), /2 after 3/],
    [
      'half a revision',
      (judge) => {
        judge.hear(2, of('t2', ['a']));
        judge.hear(3, of('t3'));
        judge.hear(4, of('t4'));
      },
      /revision 2 has a/,
    ],
    ['keys in another order', (judge) => hearAll(judge, [2, 3, 4], ['b', 'a']), /has b,a/],
    [
      'two transactions in one revision',
      (judge) => judge.hear(2, [...of('t2', ['a']), ...of('t3', ['b'])]),
      /t2 and t3/,
    ],
    ['another history than the writers', (judge) => judge.hear(2, of('t9')), /somebody else/],
    [
      'one transaction twice',
      (judge) => [right(judge), judge.hear(5, of('t4'))],
      /made revision 5/,
    ],
    [
      'progress ahead of events',
      (judge) => [judge.hear(2, of('t2')), judge.progress(3)],
      /progress 3/,
    ],
  ])('finds %s', (_, tell, what) => {
    expect(judged(tell).join('\n')).toMatch(what);
  });
});
