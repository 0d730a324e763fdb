/**
 * What a reader may ask for beside the data: who is to serve it, how consistent and how new it has
 * to be. What was done is on the answer (call.ts). By query or by header; given twice they must agree.
 */
import { parseDuration } from '../http/deadline.ts';
import type { ReadTerms } from '../members/call.ts';
import { type Via, vias } from '../members/nearest.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

export const readOptionParams = ['consistency', 'max_staleness', 'min_revision', 'via'] as const;

export interface ReadOptions extends ReadTerms {
  readonly serializable: boolean;
  readonly via: Via;
}

const consistencies = ['linearizable', 'serializable'] as const;
const maxStalenessLargestMs = 24 * 3_600_000;

export function readOptions(request: Request, params: Params): ReadOptions {
  const byQuery = params.choice('consistency', consistencies);
  const byHeader = headerConsistency(request);
  const serializable = agreed('consistency', byQuery, byHeader) === 'serializable';
  const maxStalenessMs = maxStaleness(params);
  if (maxStalenessMs !== null && !serializable) {
    throw new Refusal('bad-request', 'max_staleness goes with consistency=serializable');
  }
  const least = params.integer('min_revision', 1, Number.MAX_SAFE_INTEGER);
  return {
    serializable,
    via: params.choice('via', vias) ?? 'leader',
    maxStalenessMs,
    minRevision: agreed('min_revision', least, headerMinRevision(request)),
  };
}

/** A replica that has not come to `revision` yet is to wait for it; null: nothing more is asked. */
export function notBefore(options: ReadOptions, revision: number | null): ReadOptions {
  if (revision === null) return options;
  return { ...options, minRevision: Math.max(options.minRevision ?? 0, revision) };
}

function agreed<T>(name: string, byQuery: T | null, byHeader: T | null): T | null {
  if (byQuery !== null && byHeader !== null && byQuery !== byHeader) {
    throw new Refusal('bad-request', `${name} is given twice, and not the same`);
  }
  return byQuery ?? byHeader;
}

function headerConsistency(request: Request): (typeof consistencies)[number] | null {
  const text = request.headers.get('kv-consistency');
  if (text === null) return null;
  const found = consistencies.find((one) => one === text);
  if (found === undefined) {
    throw new Refusal('bad-request', 'KV-Consistency is linearizable or serializable');
  }
  return found;
}

function headerMinRevision(request: Request): number | null {
  const text = request.headers.get('kv-min-revision');
  if (text === null) return null;
  const revision = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(revision >= 1 && revision <= Number.MAX_SAFE_INTEGER)) {
    throw new Refusal('bad-request', 'KV-Min-Revision is a revision, like 42');
  }
  return revision;
}

/** Milliseconds; null: any age will do. */
function maxStaleness(params: Params): number | null {
  const text = params.text('max_staleness');
  if (text === null) return null;
  const ms = parseDuration(text);
  if (!(ms >= 1 && ms <= maxStalenessLargestMs)) {
    throw new Refusal('bad-request', 'max_staleness must be like 2s or 500ms, at most 24 hours');
  }
  return ms;
}
