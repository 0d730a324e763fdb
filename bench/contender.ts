/**
 * What the bench measures: something at a URL that answers puts and gets as etcd does, in one of two
 * forms: through etcd's JSON gateway (`POST /v3/kv/put`, `range`), or by gRPC (`KV.Put`, `KV.Range`).
 * A contender owns its processes and its data below the work directory it was given.
 */

export const contenderNames = [
  ...(['quorate', 'plain', 'etcd'] as const),
  ...(['bridge', 'etcd-grpc', 'canned'] as const),
] as const;

export type ContenderName = (typeof contenderNames)[number];

/** How it is spoken to. Each form has a load generator of its own, so ratios stay within one. */
export type Form = 'json' | 'grpc';

export const formOf: Readonly<Record<ContenderName, Form>> = {
  quorate: 'json',
  plain: 'json',
  etcd: 'json',
  bridge: 'grpc',
  'etcd-grpc': 'grpc',
  canned: 'grpc',
};

export interface Contender {
  readonly name: ContenderName;
  /** One line for the head of the report: versions and settings. */
  readonly description: string;
  /** Base URL without a slash at the end. */
  readonly url: string;
  /** Processes whose CPU time is charged to this contender. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** One that keeps keys itself, and speaks JSON; those that speak gRPC stand before one of these. */
export interface Service extends Contender {
  /** Puts in one request of the preload; 1 where there is no transaction. */
  readonly preloadBatch: number;
}

/** Thrown when a contender cannot run here: the bench goes on without it. */
export class ContenderMissing extends Error {}
