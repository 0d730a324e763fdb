/**
 * What the bench measures: something that answers etcd's JSON gateway (`POST /v3/kv/put`, `range`)
 * at a URL. A contender owns its processes and its data below the work directory it was given.
 */

export type ContenderName = 'quorate' | 'plain' | 'etcd';

export const contenderNames: readonly ContenderName[] = ['quorate', 'plain', 'etcd'];

export interface Contender {
  readonly name: ContenderName;
  /** One line for the head of the report: versions and settings. */
  readonly description: string;
  /** Base URL without a slash at the end. */
  readonly url: string;
  /** Processes whose CPU time is charged to this contender. */
  readonly pids: readonly number[];
  /** Puts in one request of the preload; 1 where there is no transaction. */
  readonly preloadBatch: number;
  stop(): Promise<void>;
}

/** Thrown when a contender cannot run here: the bench goes on without it. */
export class ContenderMissing extends Error {}
