/** The table of mutants, and whether all of them were found. */
import type { Found } from './finders.ts';
import type { Mutant } from './mutant.ts';

export interface Row extends Found {
  readonly mutant: Mutant;
}

export function isGood({ test, seeds, states, simulated, executed, mutant }: Row): boolean {
  const isFound = [test, seeds, states, simulated].some((found) => found !== null);
  if (mutant.simulatedSeeds !== undefined && simulated === null) return false;
  // A rule has to have a scenario of its own.
  return executed && (mutant.rule === undefined ? isFound : test !== null);
}

/** In Markdown, so that it can be quoted. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ mutant, test, seeds, states, simulated, executed }) => [
    mutant.name,
    mutant.file.replace('src/', ''),
    `${mutant.rule === undefined ? '' : `rule ${mutant.rule}: `}${mutant.standsFor}`,
    executed
      ? (test ?? ((seeds ?? states ?? simulated) === null ? 'NOBODY' : '-'))
      : 'NOT EXECUTED',
    `${seeds ?? '-'}`,
    `${states ?? '-'}`,
    `${simulated ?? (mutant.simulatedSeeds === undefined ? '-' : 'NOT FOUND')}`,
  ]);
  const head = [
    'mutant',
    'file',
    'stands for',
    'found by the test',
    'random: seeds',
    'search: states',
    'simulator: seeds',
  ];
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

export function summary(rows: readonly Row[]): string {
  const count = (matches: (row: Row) => boolean) => rows.filter(matches).length;
  const rules = new Set(rows.flatMap((row) => (isGood(row) ? (row.mutant.rule ?? []) : [])));
  return [
    `${rows.length} mutants in ${new Set(rows.map(({ mutant }) => mutant.file)).size} files`,
    `${count(isGood)} found, ${count((row) => !isGood(row))} not`,
    `${count(({ test }) => test !== null)} by a test`,
    `${count(({ seeds }) => seeds !== null)} by random schedules`,
    `${count(({ states }) => states !== null)} by the state search`,
    `${count(({ simulated }) => simulated !== null)} by simulated clusters`,
    `${rules.size} rules by a scenario of their own`,
  ].join(', ');
}
