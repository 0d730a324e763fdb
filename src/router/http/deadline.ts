/**
 * One deadline per request: everything the router does for it, body included, ends by then.
 */
import { defaultRequestTimeoutMs, maxRequestTimeoutMs } from '../../api/limits.ts';

export interface Deadline {
  readonly atMs: number;
  /** The client named it, so running into it is the client's "deadline exceeded". */
  readonly byClient: boolean;
}

/** Less than this is over: a request that must end within the same millisecond cannot be served. */
const shortestMs = 1;

export function startDeadline(timeoutMs: number | null, nowMs: number): Deadline {
  if (timeoutMs === null) return { atMs: nowMs + defaultRequestTimeoutMs, byClient: false };
  // A client that asks for more than we give runs into our deadline, not into its own.
  const capped = timeoutMs > maxRequestTimeoutMs;
  return { atMs: nowMs + (capped ? maxRequestTimeoutMs : timeoutMs), byClient: !capped };
}

export function remainingMs(deadline: Deadline): number {
  return deadline.atMs - Date.now();
}

export function isOver(deadline: Deadline): boolean {
  return remainingMs(deadline) < shortestMs;
}

const grpcUnitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** The header `Grpc-Timeout`: digits and a unit. NaN when malformed. */
export function parseGrpcTimeout(text: string): number {
  const unit = grpcUnitMs[text.slice(-1)];
  const digits = text.slice(0, -1);
  return unit !== undefined && /^\d{1,19}$/.test(digits) ? Number(digits) * unit : Number.NaN;
}

/** `timeout=5s`, `500ms`, `2m` or whole seconds. NaN when malformed. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m)?$/.exec(text);
  if (match === null) return Number.NaN;
  const unitMs = match[2] === 'ms' ? 1 : match[2] === 'm' ? 60_000 : 1_000;
  return Number(match[1]) * unitMs;
}

/** Thrown by `within` when the time is over. */
export class TimeIsUp extends Error {
  override readonly name = 'TimeIsUp';
}

/** Lets `within` end early, as if the time were over: nobody waits any more. */
export interface Expiry {
  end(): void;
}

/**
 * What `start` gives, or TimeIsUp after `ms`. What was started is left alone then: the runtime ends
 * it with the request, and an AbortController made for each request costs more than the timer.
 */
export async function within<T>(ms: number, start: () => Promise<T>, early?: Expiry): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expiry = new Promise<typeof expired>((resolve) => {
    const end = () => resolve(expired);
    timer = setTimeout(end, ms);
    if (early) early.end = end;
  });
  try {
    const first = await Promise.race([start(), expiry]);
    // Made here: most requests end their expiry early, when it has lost the race.
    if (first === expired) throw new TimeIsUp(`no answer within ${Math.round(ms)} ms`);
    return first;
  } finally {
    clearTimeout(timer);
  }
}

const expired = Symbol('expired');
