/**
 * Gets one request served by the tenant's group: finds the leader, follows redirects, retries what
 * may be retried, all within the request's deadline and a bounded number of attempts.
 *
 * It never sends a write again that may have reached a core (consensus-rules.md 1), unless it is one that
 * takes effect once: without that, one put applies twice around somebody else's, and readers see
 * 1, 2, 1.
 */
import { type EtcdErrorName, isEtcdErrorName } from '../../api/errors.ts';
import type { Failure, Server } from '../../api/gen/member_pb.js';
import { groupSize } from '../env.ts';
import { isOver, remainingMs } from '../http/deadline.ts';
import { counters } from '../metrics/counters.ts';
import type { Answer, Ask, Refused } from './answer.ts';
import { type Attempt, callMember, type MemberAnswer } from './call.ts';
import { noteAnswer, noteSilence, placeVia } from './nearest.ts';
import {
  beginSearch,
  followRedirect,
  learnFromResponse,
  leaveMember,
  others,
  type Search,
  suspectFromNowOn,
} from './search.ts';
import { callPatiently, type Superseded } from './silence.ts';

const backoffFirstMs = 40;
const backoffMaxMs = 800;
/** What the host of a member says, or we do: nothing that the state machine would say again. */
const unsettled: ReadonlySet<EtcdErrorName> = new Set([
  'DeadlineExceeded',
  'LeaderChanged',
  'NoLeader',
  'NotCapable',
  'OutcomeUnknown',
  'Stopped',
  'Timeout',
  'TooManyRequests',
]);

export async function askGroup(ask: Ask): Promise<Answer> {
  const startedMs = Date.now();
  const search = beginSearch(ask);
  const place = placeVia(ask.env, ask.tenant, ask.via ?? 'leader', startedMs);
  const near = place === null ? null : await askNear(search, place, startedMs);
  if (near !== null) return near;
  if (typeof ask.via === 'number')
    return refused('Stopped', false, `no member at place ${ask.via} can serve it`);
  while (search.attemptsLeft > 0 && !isOver(ask.deadline)) {
    search.attemptsLeft -= 1;
    counters.attempts += 1;
    const called = await callPatiently(attemptOf(search), search.term, others(search));
    search.target = called.place;
    const end = handle(search, called.answer, startedMs);
    if (end !== null) return settled(search, end);
    if (search.waitsInARow > 0) await pause(search);
  }
  return settled(search, outOfTries(search));
}

/** After an attempt that may have been taken only the state machine's word ends the doubt. */
function settled({ maybeTaken, ask }: Search, answer: Answer): Answer {
  if (!maybeTaken || answer.ok || !unsettled.has(answer.error)) return answer;
  counters.unknownOutcomes += answer.outcomeUnknown ? 0 : 1;
  const late = ask.deadline.byClient && isOver(ask.deadline);
  return { ...answer, error: late ? 'DeadlineExceeded' : 'OutcomeUnknown', outcomeUnknown: true };
}

function attemptOf({ ask, target, suspect, term }: Search): Attempt {
  return {
    env: ask.env,
    tenant: ask.tenant,
    place: target,
    kind: ask.kind,
    op: ask.op,
    credentials: ask.credentials,
    repeatable: ask.repeatable ?? false,
    groupSize: groupSize(ask.env),
    withoutCount: ask.withoutCount ?? false,
    terms: ask.terms ?? null,
    readHere: false,
    // All that is left, even for a read: a busy leader is the only one who can serve it, and a
    // second search elsewhere would only add to what it has to do.
    timeoutMs: remainingMs(ask.deadline),
    suspectTerm: suspect && ask.kind !== 'serializable' ? term : null,
    courier: ask.courier ?? null,
  };
}

/**
 * One attempt at a member that need not lead. Null: it cannot serve this for reasons of its own, and the
 * search for the leader begins.
 */
async function askNear(search: Search, place: number, startedMs: number): Promise<Answer | null> {
  const { tenant, deadline, kind, op, via } = search.ask;
  counters.attempts += 1;
  // Half of the time: the leader may have to be asked after all, unless it is this place or none.
  const timeoutMs = remainingMs(deadline) / (typeof via === 'number' ? 1 : 2);
  // How long a member reads its history says nothing of how near it is.
  const isRead = op.case !== 'maintenance';
  const readHere = kind === 'read';
  const attempt = { ...attemptOf(search), place, timeoutMs, readHere, suspectTerm: null };
  const answer = await callMember(attempt);
  const nowMs = Date.now();
  if (answer.kind === 'response') {
    const { response, servedBy } = answer;
    if (isRead) noteAnswer(tenant, place, nowMs - startedMs, servedBy?.places ?? [], nowMs);
    return { ok: true, response, servedBy, membersMs: nowMs - startedMs };
  }
  const isOwn = (error: string) => ownFailures.has(error) || error === 'TooStale';
  if (answer.kind === 'failure' && !isOwn(answer.failure.error))
    return refusedByMember(search, answer.failure, answer.servedBy);
  if (isRead) noteSilence(tenant, place, nowMs);
  return null;
}

/** The end of the search, or null: try again at `search.target`, after a pause if one is due. */
function handle(
  search: Search,
  answer: MemberAnswer | Superseded,
  startedMs: number,
): Answer | null {
  switch (answer.kind) {
    case 'response': {
      learnFromResponse(search, answer.servedBy);
      const { response, servedBy } = answer;
      return { ok: true, response, servedBy, membersMs: Date.now() - startedMs };
    }
    case 'failure':
      return refusedByMember(search, answer.failure, answer.servedBy);
    case 'redirect':
      counters.redirects += 1;
      followRedirect(search, answer.redirect);
      return null;
    case 'timeout':
      return handleTimeout(search, answer.reason);
    case 'fault':
      return handleFault(search, answer.fault);
    case 'superseded':
      counters.unknownOutcomes += 1;
      return refused('OutcomeUnknown', true, 'another member leads by now');
    default:
      return answer satisfies never;
  }
}

/**
 * Failures of one member, not of the request: another one may serve it. Only while the member is
 * sure that nothing was applied; a write then may travel on.
 */
const ownFailures: ReadonlySet<string> = new Set<EtcdErrorName>([
  'LeaderChanged',
  'NotCapable',
  'Stopped',
  'Timeout',
]);

function refusedByMember(
  search: Search,
  failure: Failure,
  servedBy: Server | undefined,
): Refused | null {
  const write = search.ask.kind === 'write';
  const outcomeUnknown = write && failure.outcomeUnknown;
  if (outcomeUnknown && search.ask.repeatable) {
    search.maybeTaken = true;
    leaveMember(search);
    return null;
  }
  if (outcomeUnknown) {
    counters.unknownOutcomes += 1;
    // The leader may have lost its office; let the next request find out.
    suspectFromNowOn(search);
  }
  // A name of a newer version of the member is not ours to put into words.
  const error = isEtcdErrorName(failure.error)
    ? failure.error
    : outcomeUnknown
      ? 'OutcomeUnknown'
      : 'Stopped';
  const { detail, compactRevision } = failure;
  const refusal: Refused = {
    ...{ ok: false, error, outcomeUnknown, detail, servedBy },
    ...(compactRevision === undefined ? {} : { compactRevision: Number(compactRevision) }),
  };
  if (outcomeUnknown || !ownFailures.has(failure.error)) return refusal;
  if (failure.error === 'Timeout' && !write) {
    // A read's time is over, but for what the answer needed to get here.
    leaveMember(search);
    return { ...refusal, error: timeoutError(search.ask) };
  }
  search.lastRefusal = refusal;
  leaveMember(search);
  return null;
}

/** Nothing is left to try this request elsewhere; the next one begins there, with a suspicion. */
function handleTimeout(search: Search, reason: string): Refused {
  counters.faults += 1;
  leaveMember(search);
  if (search.ask.kind !== 'write') return refused(timeoutError(search.ask), false, reason);
  counters.unknownOutcomes += 1;
  const { byClient } = search.ask.deadline;
  return refused(byClient ? 'DeadlineExceeded' : 'OutcomeUnknown', true, reason);
}

function timeoutError(ask: Ask): EtcdErrorName {
  return ask.deadline.byClient ? 'DeadlineExceeded' : 'Timeout';
}

function handleFault(
  search: Search,
  fault: { maybeDelivered: boolean; overloaded: boolean; reason: string },
): Refused | null {
  counters.faults += 1;
  search.lastFault = fault.reason;
  if (fault.overloaded) {
    return refused('TooManyRequests', false, fault.reason);
  }
  leaveMember(search);
  if (search.ask.repeatable) search.maybeTaken ||= fault.maybeDelivered;
  else if (search.ask.kind === 'write' && fault.maybeDelivered) {
    counters.unknownOutcomes += 1;
    const late = search.ask.deadline.byClient && isOver(search.ask.deadline);
    return refused(late ? 'DeadlineExceeded' : 'OutcomeUnknown', true, fault.reason);
  }
  return null;
}

function outOfTries(search: Search): Refused {
  const { deadline } = search.ask;
  if (search.suspect) suspectFromNowOn(search);
  const over = isOver(deadline);
  if (!(over && deadline.byClient) && search.lastRefusal !== null) return search.lastRefusal;
  const timeout = deadline.byClient ? 'DeadlineExceeded' : 'Timeout';
  return refused(
    over ? timeout : 'NoLeader',
    false,
    `no member could serve the request; nothing was proposed. ${search.lastFault}`.trimEnd(),
  );
}

function refused(error: EtcdErrorName, outcomeUnknown: boolean, detail: string): Refused {
  return { ok: false, error, outcomeUnknown, detail, servedBy: undefined };
}

function pause(search: Search): Promise<void> {
  const full = Math.min(backoffMaxMs, backoffFirstMs * 2 ** (search.waitsInARow - 1));
  const jittered = full * (0.5 + Math.random() / 2);
  const ms = Math.min(jittered, Math.max(0, remainingMs(search.ask.deadline)));
  return new Promise((resolve) => setTimeout(resolve, ms));
}
