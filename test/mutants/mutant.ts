/**
 * A deliberate bug: one place of the source, and what stands there instead.
 *
 * `replace` has the word HIT where the bug is executed. As a condition it is true, as a statement
 * it does nothing; it says so once in each process that comes by, so that a mutant whose line never
 * ran is told from one that nobody noticed.
 */
export interface Mutant {
  readonly name: string;
  /** The past bug of another engine, or what it would do to a group. */
  readonly standsFor: string;
  /** The rule of consensus-rules.md that it takes out: a scenario named after it has to find it. */
  readonly rule?: number;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Test files that look first. The table says who really found it. */
  readonly hint?: readonly string[];
  /** The simulated clusters (test/sim) have to find it too, within so many seeds. */
  readonly simulatedSeeds?: number;
}

/** What a process prints when it comes by the mutated line. */
export const executedMark = 'mutant executed';

const hit = `((globalThis as unknown as { mutantHit?: true }).mutantHit ??=
  (console.log('${executedMark}') as undefined) ?? true)`;

/** The mutated text of the file. Throws when the source has moved on. */
export function mutate(source: string, { name, file, find, replace }: Mutant): string {
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`mutant ${name}: ${file} has its text ${parts.length - 1} times, not once`);
  if (!/\bHIT\b/.test(replace)) throw new Error(`mutant ${name} has no HIT in its replacement`);
  return parts.join(replace.replaceAll(/\bHIT\b/g, () => hit));
}

/** Mutants of one file. */
export function inFile(file: string, bugs: readonly Omit<Mutant, 'file'>[]): Mutant[] {
  return bugs.map((bug) => ({ file, ...bug }));
}
