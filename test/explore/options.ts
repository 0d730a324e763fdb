/** The command line of `npm run explore`. */
import { parseArgs } from 'node:util';
import { parseScope, type Scope } from './scope.ts';
import { starts } from './starts.ts';

export interface Options {
  /** Of all starts together. */
  readonly states: number;
  readonly depth: number;
  /** For each start. */
  readonly seconds: number;
  readonly scope: Scope;
  readonly starts: readonly string[];
}

/** What CI runs: more than a million states, in about a minute on two cores. */
const ciStates = 1_200_000;
const fullStates = 30_000_000;

export const usage = `npm run explore -- [options]
  --states N    distinct states, all starts together (${ciStates})
  --depth N     steps from a start (no bound)
  --seconds N   for each start (no bound)
  --full        ${fullStates} states: 3 GB of memory, some ten minutes
  --start TEXT  only starts whose name contains this
  --scope LIST  over the scope of each start, such as crashes=2,reads=1
  --list        name the starts and their scopes`;

export function parseOptions(args: readonly string[]): Options | 'help' | 'list' {
  const number = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ states: number, depth: number, seconds: number, scope: number, start: number },
      ...{ full: { type: 'boolean' }, list: { type: 'boolean' }, help: { type: 'boolean' } },
    },
  });
  if (values.help) return 'help';
  if (values.list) return 'list';
  const wanted = starts.map(({ name }) => name).filter((name) => name.includes(values.start ?? ''));
  if (wanted.length === 0) throw new Error(`no start is called '${values.start}'`);
  return {
    states: positive('states', values.states, values.full ? fullStates : ciStates),
    depth: positive('depth', values.depth, Number.POSITIVE_INFINITY),
    seconds: positive('seconds', values.seconds, Number.POSITIVE_INFINITY),
    scope: parseScope(values.scope ?? ''),
    starts: wanted,
  };
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value > 0)) throw new Error(`--${name} takes a positive number`);
  return value;
}
