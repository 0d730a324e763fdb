/** The page about etcdctl (docs/clients.md) against etcdctl's own help: every command and flag, and each "same" in a comparison. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isEtcdctlMissing } from './etcdctl/run.ts';

const isMissing = isEtcdctlMissing();
const verdicts = ['same', 'better', 'not offered'];

/** Where a command is compared that is not in the lists of commands. */
const ownTests: Readonly<Record<string, string>> = {
  'make-mirror': 'etcdctl-mirror.test.ts',
  'check perf': 'etcdctl-check.test.ts',
};

/** Of several commands there may be several rows, or one for all of them. */
interface Row {
  /** Null: the row is of a flag that every command has. */
  readonly command: string | null;
  readonly flags: readonly string[];
  readonly verdict: string;
}

/** Words in backticks of a cell. */
const words = (cell: string) =>
  [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => text.split(' '));

function rowsOfPage(): Row[] {
  const page = readFileSync('docs/clients.md', 'utf8')
    .split('\n## etcdctl\n')[1]
    ?.split('\n## ')[0];
  return (page ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line): Row[] => {
      const [first = '', second = '', third = ''] = line
        .split('|')
        .slice(1)
        .map((cell) => cell.trim());
      if (first.startsWith('`-')) return [{ command: null, flags: words(first), verdict: second }];
      const flags = words(second);
      return first.split(', ').map((one) => ({
        command: words(one).join(' '),
        flags,
        verdict: third,
      }));
    });
}

interface Help {
  readonly commands: readonly string[];
  readonly flags: readonly string[];
}

function helpOf(command: string): Help {
  const env = { ...process.env, ETCDCTL_API: '3' };
  const args = [...command.split(' ').filter((word) => word !== ''), '--help'];
  const { stdout } = spawnSync('etcdctl', args, { env, encoding: 'utf8' });
  const local = stdout.split('GLOBAL OPTIONS:')[0] ?? '';
  const [, commands = ''] = local.split('\nCOMMANDS:\n');
  return {
    commands: [...commands.matchAll(/^\t(\S.*?)\t/gm)].map(([, name = '']) => name),
    flags: [...local.matchAll(/^ +(?:(-\w), )?(--[\w-]+)/gm)].flatMap(([, short, long = '']) =>
      short === undefined ? [long] : [long, short],
    ),
  };
}

const isOwn = (flag: string) => flag !== '--help' && flag !== '-h';
const rows = rowsOfPage();

/** Flags of a group of commands, which are its members' too. */
const commands = isMissing ? [] : helpOf('').commands;

describe.skipIf(isMissing)('docs/clients.md tells of', () => {
  it('every command of etcdctl, and no other', () => {
    const told = rows.flatMap(({ command }) => (command === null ? [] : [command]));
    expect([...new Set(told)].sort()).toEqual([...commands].sort());
    expect(commands.length).toBeGreaterThan(40);
  });

  it.each(commands)('every flag of %s, and no other', (command) => {
    const told = rows.filter((row) => row.command === command).flatMap(({ flags }) => flags);
    const [group = ''] = command.split(' ');
    const inherited = command.includes(' ') ? helpOf(group).flags : [];
    const flags = new Set([...helpOf(command).flags, ...inherited].filter(isOwn));
    expect([...told].sort()).toEqual([...flags].sort());
  });

  it('every flag that all commands have', () => {
    const told = rows.filter(({ command }) => command === null).flatMap(({ flags }) => flags);
    expect([...told].sort()).toEqual([...helpOf('').flags].sort());
  });

  it('each as the same, better or not offered', () => {
    expect(rows.filter(({ verdict }) => !verdicts.includes(verdict))).toEqual([]);
  });
});

/** Parts of the command lines that are compared, each with one etcdctl in it. */
const compared = ['commands.txt', 'cluster.txt', 'tls.txt']
  .flatMap((file) => readFileSync(`test/etcd/etcdctl/${file}`, 'utf8').split('\n'))
  .filter((line) => line !== '' && !line.startsWith('#'))
  .flatMap((line) => line.split(/(?=\betcdctl )/))
  .filter((part) => part.startsWith('etcdctl '))
  // Up to the next command of the shell. What quotes hold may be cut too: no flag is in there.
  .map((part) => ` ${part.split(/[;|]/)[0]} `);

function isCompared(command: string | null, flag: string | undefined): boolean {
  const file = command === null ? undefined : ownTests[command];
  if (file !== undefined)
    return flag === undefined || readFileSync(`test/etcd/${file}`, 'utf8').includes(flag);
  const hasWord = (part: string, word: string) => new RegExp(` ${word}[= ]`).test(part);
  return compared.some(
    (part) => (command === null || part.includes(` ${command} `)) && (!flag || hasWord(part, flag)),
  );
}

describe.skipIf(isMissing)('what is told to be the same is compared:', () => {
  const same = rows.filter(({ verdict }) => verdict !== 'not offered');

  it.each(same.map(({ command, flags }) => [command ?? flags[0], command, flags] as const))(
    '%s',
    (_, command, flags) => {
      if (command !== null) expect(isCompared(command, undefined)).toBe(true);
      const missing = flags.filter((flag) => flag.startsWith('--') && !isCompared(command, flag));
      expect(missing).toEqual([]);
    },
  );
});
