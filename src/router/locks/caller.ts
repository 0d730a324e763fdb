/**
 * One call about a lock or an election on its way: its questions to the group, and what may end it while
 * it waits. What ends it is thrown; the edges (etcd's services, /v1) put it into words.
 */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../../api/errors.ts';
import { defaultRequestTimeoutMs, timerMaxMs } from '../../api/limits.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import type { Plan } from '../etcd/methods.ts';
import { askGroup } from '../members/ask.ts';
import { WatchSession } from '../watch/session.ts';

export interface Caller {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  /** Aborted when the client goes. */
  readonly signal: AbortSignal | undefined;
  /** The client waits until then, by Date.now(); Infinity: for as long as it takes. */
  readonly untilMs: number;
}

/** The group did not do what it was asked. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
  readonly error: EtcdErrorName;
  readonly outcomeUnknown: boolean;
  constructor(error: EtcdErrorName, outcomeUnknown: boolean, detail: string) {
    super(detail);
    this.error = error;
    this.outcomeUnknown = outcomeUnknown;
  }
}

/** `late`: the client's time is over. `gone`: nobody waits any more. `lost`: its key or lease has ended. */
export class WaitOver extends Error {
  override readonly name = 'WaitOver';
  readonly why: 'late' | 'gone' | 'lost';
  constructor(why: 'late' | 'gone' | 'lost') {
    super(why);
    this.why = why;
  }
}

/** Throws Unanswered. */
export async function ask<D extends DescMessage>(
  { env, tenant, credentials }: Caller,
  plan: Plan,
  response: D,
): Promise<MessageShape<D>> {
  if (plan.kind === 'oversized') throw new Unanswered('RequestTooLarge', false, '');
  if (plan.kind === 'refused') throw new Unanswered(plan.error, false, '');
  const { kind, op } = plan;
  // Of its own: a wait may be long, and what follows it has to be done all the same.
  const deadline = { atMs: Date.now() + defaultRequestTimeoutMs, byClient: false };
  const answer = await askGroup({ env, tenant, credentials, kind, op, deadline });
  if (!answer.ok) throw new Unanswered(answer.error, answer.outcomeUnknown, answer.detail);
  return fromBinary(response, answer.response);
}

/** A group that nobody leads for longer has nobody either who could let a lease end. */
const patienceMs = 60_000;
const pauseMs = 250;
const passing: ReadonlySet<EtcdErrorName> = new Set<EtcdErrorName>([
  ...(['NoLeader', 'LeaderChanged', 'Stopped', 'Timeout', 'TooManyRequests'] as const),
  ...(['NotCapable', 'DeadlineExceeded'] as const),
]);

/** A read: whoever waits for a lock has time for an election among the members. */
export async function askPatiently<D extends DescMessage>(
  caller: Caller,
  plan: Plan,
  response: D,
): Promise<MessageShape<D>> {
  const until = Date.now() + patienceMs;
  for (;;) {
    try {
      return await ask(caller, plan, response);
    } catch (error) {
      if (!(error instanceof Unanswered && passing.has(error.error))) throw error;
      if (caller.signal?.aborted) throw new WaitOver('gone');
      if (Date.now() >= caller.untilMs) throw new WaitOver('late');
      if (Date.now() >= until) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/**
 * Runs `wait` with a session of watches that is closed when the caller's time is over or its client gone;
 * then the session's next message is null, which `over` explains.
 */
export async function waiting<T>(
  { env, tenant, credentials, signal, untilMs }: Caller,
  wait: (session: WatchSession, over: () => WaitOver) => Promise<T>,
): Promise<T> {
  const session = new WatchSession({ env, tenant, credentials });
  const close = () => session.close();
  const leftMs = Math.max(0, untilMs - Date.now());
  const timer = leftMs > timerMaxMs ? undefined : setTimeout(close, leftMs);
  signal?.addEventListener('abort', close);
  if (signal?.aborted) close();
  try {
    return await wait(session, () => new WaitOver(signal?.aborted ? 'gone' : 'late'));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', close);
    session.close();
  }
}
