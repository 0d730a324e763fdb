/** The judge of locks finds each way in which a lock can fail those that rely on it. */
import { describe, expect, it } from 'vitest';
import type { Change } from '../changes.ts';
import { LockJudge, registerValue } from './judge.ts';

const register = 'r';

/** Builds a history as the store would tell it. */
class Story {
  readonly changes: Change[] = [];
  private readonly state = new Map<string, Change>();
  private revision = 1;

  put(key: string, value = ''): this {
    const before = this.state.get(key);
    const revision = ++this.revision;
    const createRevision = before?.createRevision ?? revision;
    const change = { revision, key, value, createRevision, version: (before?.version ?? 0) + 1 };
    this.state.set(key, change);
    this.changes.push(change);
    return this;
  }

  /** All in one revision, as a lease that ends. */
  remove(...keys: string[]): this {
    const revision = ++this.revision;
    for (const key of keys) {
      this.state.delete(key);
      this.changes.push({ revision, key, value: null, createRevision: 0, version: 0 });
    }
    return this;
  }
}

interface Act {
  readonly story: Story;
  readonly judge: LockJudge;
}

/** One holds with 2 and writes, another comes with 3, holds from 5 on and writes. */
function begin(): Act {
  const story = new Story();
  const judge = new LockJudge(register);
  story.put('l/a').put('l/b');
  write({ story, judge }, 2, 'a', 0);
  story.remove('l/a');
  write({ story, judge }, 3, 'b', 0);
  claim(judge, 'a', 3, 0, 10);
  claim(judge, 'b', 5, 20, 30);
  return { story, judge };
}

function write({ story, judge }: Act, token: number, who: string, n: number): void {
  story.put(register, registerValue(token, who, n));
  judge.wrote(registerValue(token, who, n), 'done');
}

function claim(judge: LockJudge, who: string, revision: number, from: number, until: number) {
  judge.claim({ who, key: `l/${who}`, revision, fromMs: from, untilMs: until });
}

function judged(tell: (act: Act) => void): string {
  const act = begin();
  tell(act);
  act.judge.judge(act.story.changes);
  return act.judge.violations.join('\n');
}

describe('the judge of locks', () => {
  it('has nothing against a lock that is handed over, and knows how often it was', () => {
    const { story, judge } = begin();
    judge.wrote(registerValue(2, 'a', 1), 'refused');
    judge.wrote(registerValue(2, 'a', 2), 'unknown');
    judge.judgeProgress([5, 15], 40, 15);
    judge.judge(story.changes);
    expect(judge.violations).toEqual([]);
    expect([judge.handOvers, judge.registerWrites]).toEqual([2, 2]);
  });

  it('has nothing against a write of unknown outcome that was made in its turn', () => {
    expect(
      judged((act) => {
        write(act, 3, 'b', 1);
        act.judge.wrote(registerValue(3, 'b', 1), 'unknown');
      }),
    ).toBe('');
  });

  it.each<[string, (act: Act) => void, RegExp]>([
    ['a write of who held before', (act) => write(act, 2, 'a', 1), /went back/],
    [
      'such a write whose outcome is unknown',
      (act) => {
        write(act, 2, 'a', 1);
        act.judge.wrote(registerValue(2, 'a', 1), 'unknown');
      },
      /l\/b held with 3/,
    ],
    [
      'a write of who waits',
      (act) => {
        act.story.put('l/c');
        write(act, 7, 'c', 0);
      },
      /7\/c\/0 was written at revision 8, where l\/b held/,
    ],
    [
      'a write when nobody holds',
      (act) => {
        act.story.remove('l/b');
        write(act, 3, 'b', 1);
      },
      /nobody held/,
    ],
    [
      'a write that was refused',
      (act) => {
        write(act, 3, 'b', 1);
        act.judge.wrote(registerValue(3, 'b', 1), 'refused');
      },
      /was refused/,
    ],
    [
      'a write that was acknowledged and is lost',
      (act) => act.judge.wrote(registerValue(3, 'b', 1), 'done'),
      /is not there/,
    ],
    [
      'a write that was made twice',
      (act) => {
        write(act, 3, 'b', 1);
        write(act, 3, 'b', 1);
      },
      /written twice/,
    ],
    ['a write of nobody', (act) => act.story.put(register, '3/x/0'), /nobody wrote 3\/x\/0/],
    [
      'who is told that it holds while another does',
      (act) => claim(act.judge, 'b', 4, 10, 10),
      /holds l\/b at revision 4, where l\/a does/,
    ],
    [
      'who is told so after the end',
      (act) => {
        act.story.remove('l/b');
        claim(act.judge, 'b', 7, 30, 30);
      },
      /where nobody does/,
    ],
    [
      'a claim before the lease of the one before has ended',
      (act) => {
        act.story.put('l/c').remove('l/b');
        claim(act.judge, 'c', 8, 29, 40);
      },
      /1 ms before the claim of b ended/,
    ],
    ['a hole in the history', (act) => act.story.changes.splice(2, 1), /has a hole/],
    ['a queue that stands still', (act) => act.judge.judgeProgress([21], 50, 15), /for 29 ms/],
  ])('finds %s', (_, tell, what) => {
    expect(judged(tell)).toMatch(what);
  });
});
