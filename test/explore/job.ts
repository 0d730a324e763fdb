/** What the main thread asks of a worker, and what comes back: plain data. */
import type { Scope } from './scope.ts';
import type { Limits, Result } from './search.ts';

export interface Job {
  readonly start: string;
  /** In place of what the start allows. */
  readonly scope: Scope;
  readonly limits: Limits;
}

export interface Report {
  readonly start: string;
  readonly result: Omit<Result, 'found'>;
  /** The shortest path to a violation, as lines; null: none was found. */
  readonly path: readonly string[] | null;
}
