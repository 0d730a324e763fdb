/**
 * The runner of scenarios: what a faulty script is told, and that the output is compared at all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commands } from './commands.ts';
import { runScenario } from './run.ts';
import { setupCommands } from './setup.ts';
import { parse } from './text.ts';

const folder = join(import.meta.dirname, '..');
const all = { ...setupCommands, ...commands };

function run(...lines: string[]): string {
  return runScenario('some.txt', ['# A name', ...lines].join('\n'));
}

describe('a faulty script is told what is wrong, in which file and line', () => {
  it.each([
    ['an unknown command', ['', 'dance A'], "some.txt:3: unknown command 'dance'"],
    ['a name of the language itself', ['toString'], "some.txt:2: unknown command 'toString'"],
    ['a member that is not there', ['suspect X'], "some.txt:2: there is no member 'X'"],
    ['a starting log of nobody', ['log X 1', 'status'], 'some.txt:3: no member X'],
    ['no member', ['suspect'], 'some.txt:2: the member is missing (usage: suspect A)'],
    ['too much', ['read A B'], "some.txt:2: nothing may follow: 'B' (usage: read A)"],
    ['no number', ['pass long'], "some.txt:2: 'long' is not a number (usage: pass 500)"],
    ['a log of words', ['log A one'], "'one' is not a number"],
    ['an unknown name', ['group voter=ABC'], "some.txt:2: 'voter' is none of voters,"],
    ['a value that is missing', ['group voters'], "'voters' is not voters=value, once"],
    ['a member twice', ['group voters=ABA'], "'ABA' is not a list of members like ABC"],
    ['an unknown setting', ['set speed 1'], "there is no setting 'speed'"],
    ['a die that is too high', ['dice A 1'], "'1' is not from 0 to below 1"],
    ['an unknown type', ['deliver A>B hello'], "'hello' is neither a way like A>B nor one of"],
    [
      'nothing to deliver',
      ['suspect A', 'deliver B>A'],
      'some.txt:3: no message under way matches',
    ],
    ['nothing held', ['release'], 'nothing held matches'],
    ['an unknown turn', ['crash A during lunch'], "'lunch' is no turn"],
    ['setup too late', ['suspect A', 'log A 1'], "some.txt:3: 'log' comes too late"],
    ['quiet about nothing', ['quiet'], "unknown command ''"],
    ['output of nothing', ['    A wakes'], 'some.txt:2: output without a command above it'],
  ])('%s', (_, lines, message) => {
    expect(() => run(...lines)).toThrow(message);
  });

  it('no name', () => {
    expect(() => runScenario('some.txt', 'suspect A')).toThrow('some.txt:1: the first line is');
  });
});

describe('the text that a run returns', () => {
  it('keeps comments, empty lines and commands, and replaces all output', () => {
    const text = run('# Why', 'suspect A', '    A does something else', '', '# The end', '');
    expect(text.split('\n')).toEqual([
      '# A name',
      '# Why',
      'suspect A',
      '    A becomes preCandidate, suspects, wakes in 500',
      '      A>BC preVote t0, last 0/0',
      '',
      '# The end',
      '',
    ]);
  });

  it('is the same when it is run again', () => {
    const once = run('lead A', 'propose A hello', 'rest', 'status');
    expect(runScenario('some.txt', once)).toBe(once);
  });

  it('has no output of a quiet command, which still happens', () => {
    const text = run('quiet suspect A', 'quiet rest', 'status A');
    expect(text).toContain('A leader t1');
    expect(text).not.toContain('preVote');
  });

  it('shows that a member whose storage went back is lost', () => {
    const script = ['lead A', 'backup A', 'propose A x', 'quiet rest', 'restore A', 'read A'];
    expect(run(...script, 'deliver all A<>B')).toContain('A life 2 ends: lost');
  });

  it('shows a broken invariant of the core, and no such thing of the runner’s own', () => {
    const leads = (id: string) => [`log ${id} 1`, `storage ${id} vote=${id} leader=${id}`];
    const script = [...leads('A'), ...leads('B'), 'read A', 'deliver A>B'];
    expect(run(...script)).toContain('B stops: one leader a term');
  });
});

describe('every command', () => {
  const texts = readdirSync(folder)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => parse(file, readFileSync(join(folder, file), 'utf8')));
  const used = new Set(
    texts.flatMap(({ lines }) =>
      lines.map(({ words }) => (words[0] === 'quiet' ? words[1] : words[0])),
    ),
  );
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');

  it.each(Object.entries(all))(
    '%s: is in a scenario and in the README',
    (name, { usage, about }) => {
      expect(used).toContain(name);
      expect(readme).toContain(`| \`${usage.replaceAll('|', '\\|')}\` | ${about} |`);
    },
  );
});
