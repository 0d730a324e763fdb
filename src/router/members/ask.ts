/**
 * Gets one request served by the tenant's group: finds the leader, follows redirects, retries what
 * may be retried, all within the request's deadline and a bounded number of attempts.
 *
 * It never sends a write again that may have reached a core (consensus-rules.md 1), unless it is one that
 * takes effect once: without that, one put applies twice around somebody else's, and readers see
 * 1, 2, 1.
 */
import { type EtcdErrorName, isEtcdErrorName } from '../../api/errors.ts';
import type { Failure, Redirect, Server } from '../../api/gen/member_pb.js';
import { Redirect_Reason } from '../../api/gen/member_pb.js';
import { foundingPlaces } from '../../api/limits.ts';
import type { Credentials } from '../auth/credentials.ts';
import { groupSize, type RouterEnv } from '../env.ts';
import { type Deadline, isOver, remainingMs } from '../http/deadline.ts';
import { counters } from '../metrics/counters.ts';
import {
  type AskKind,
  type Attempt,
  callMember,
  type MemberAnswer,
  type MemberOp,
  type ReadTerms,
} from './call.ts';
import { hintFor, remember } from './hints.ts';
import { noteAnswer, noteSilence, placeVia, type Via } from './nearest.ts';
import { callPatiently, type Superseded } from './silence.ts';

export interface Ask {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly kind: AskKind;
  readonly op: MemberOp;
  /** Of whoever is to get the answer. */
  readonly credentials: Credentials;
  readonly deadline: Deadline;
  /** A write that takes effect once, however often it is sent (src/kv/once.ts). */
  readonly repeatable?: boolean;
  /** A range whose count nobody needs. */
  readonly withoutCount?: boolean;
  /** Who is to serve a read, before anybody else is asked; a place: it alone. */
  readonly via?: Via | number;
  readonly terms?: ReadTerms;
}

export type Answer = Served | Refused;

export interface Served {
  readonly ok: true;
  readonly response: Uint8Array;
  readonly servedBy: Server | undefined;
  /** How long the members took, all attempts together. */
  readonly membersMs: number;
}

export interface Refused {
  readonly ok: false;
  readonly error: EtcdErrorName;
  /** True only for a write that may or may not have been applied, now or later. */
  readonly outcomeUnknown: boolean;
  readonly detail: string;
  readonly servedBy: Server | undefined;
  /** With Compacted, when a member said it. */
  readonly compactRevision?: number;
}

const attemptsMax = 8;
/** Steps from a place that its group has left to one that it names, in addition to the attempts. */
const hopsMax = 16;
const backoffFirstMs = 40;
const backoffMaxMs = 800;
/** Redirects that name the leader are followed at once this often; then they may be a circle. */
const promptRedirectsMax = 3;
/** How long we do not go back to a member that could not be reached. */
const avoidMs = 10_000;
/** Members that are remembered of one group. */
const placesMax = 16;
const firstPlace = foundingPlaces[0];

/** Where the search stands; one object per request. */
interface Search {
  readonly ask: Ask;
  target: number;
  suspect: boolean;
  term: bigint;
  /** The members that anybody named, the newest answer's first. */
  places: readonly number[];
  /** What the last place that its group has left, and that led us on, named as the members. */
  successors: readonly number[];
  readonly unreachable: Set<number>;
  /** Places that said in this search that they belong to no group: new, wiped, or left by it. */
  readonly unborn: Set<number>;
  /** Places that said in this search that they do not lead; what others say of them is older. */
  readonly notLeading: Set<number>;
  avoid: { readonly place: number; readonly untilMs: number } | null;
  attemptsLeft: number;
  hopsLeft: number;
  promptRedirects: number;
  waitsInARow: number;
  /** Why the last member gave no answer, for whoever reads the error. */
  lastFault: string;
  /** What the last member said that could not serve us for reasons of its own. */
  lastRefusal: Refused | null;
  /** An attempt at a repeatable write may have been taken, and may be applied yet. */
  maybeTaken: boolean;
}

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
  const search = begin(ask);
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
  };
}

/**
 * One attempt at a member that need not lead. Null: it cannot serve this for reasons of its own, and the
 * search for the leader begins.
 */
async function askNear(search: Search, place: number, startedMs: number): Promise<Answer | null> {
  const { tenant, deadline, kind } = search.ask;
  counters.attempts += 1;
  // Half of the time: the leader may have to be asked after all.
  const timeoutMs = remainingMs(deadline) / 2;
  const readHere = kind === 'read';
  const attempt = { ...attemptOf(search), place, timeoutMs, readHere, suspectTerm: null };
  const answer = await callMember(attempt);
  const nowMs = Date.now();
  if (answer.kind === 'response') {
    const { response, servedBy } = answer;
    noteAnswer(tenant, place, nowMs - startedMs, servedBy?.places ?? [], nowMs);
    return { ok: true, response, servedBy, membersMs: nowMs - startedMs };
  }
  const isOwn = (error: string) => ownFailures.has(error) || error === 'TooStale';
  if (answer.kind === 'failure' && !isOwn(answer.failure.error))
    return refusedByMember(search, answer.failure, answer.servedBy);
  noteSilence(tenant, place, nowMs);
  return null;
}

function begin(ask: Ask): Search {
  const hint = hintFor(ask.tenant);
  const avoid = hint?.avoid && hint.avoid.untilMs > Date.now() ? hint.avoid : null;
  return {
    ask,
    target: hint?.place ?? firstPlace,
    suspect: hint?.suspect ?? false,
    term: hint?.term ?? 0n,
    places: hint?.places ?? [],
    successors: [],
    unreachable: new Set(),
    unborn: new Set(),
    notLeading: new Set(),
    avoid,
    attemptsLeft: attemptsMax,
    hopsLeft: hopsMax,
    promptRedirects: 0,
    waitsInARow: 0,
    lastFault: '',
    lastRefusal: null,
    maybeTaken: false,
  };
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

function learnFromResponse(search: Search, servedBy: Server | undefined): void {
  if (search.ask.kind === 'serializable' || servedBy === undefined) return;
  if (servedBy.term > search.term) search.term = servedBy.term;
  const { term } = search;
  // A leader that answered through another member is not our next address if we could not reach
  // it ourselves a moment ago: the next write would end with an unknown outcome.
  const relayed = servedBy.place !== search.target;
  const avoided = relayed && search.avoid?.place === servedBy.place;
  const place = servedBy.role === 'leader' && !avoided ? servedBy.place : search.target;
  const known = hintFor(search.ask.tenant);
  // The usual case by far: nothing new.
  if (known?.place === place && known.term === term && !known.suspect && !avoided) return;
  // Who led us to the leader knew the members; those before them are of no use any more.
  const found = search.successors.includes(place);
  remember(search.ask.tenant, {
    place,
    term,
    places: found ? search.successors : search.places,
    suspect: avoided,
    avoid: avoided ? search.avoid : null,
  });
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

/**
 * A member that lags names the members of a configuration that is over, perhaps all of them dead, and
 * would hide the living ones from us. So what we knew before stays, unless a quorum stands behind it.
 */
function learnPlaces(search: Search, { confirmed, places }: Redirect): void {
  if (places.length === 0) return;
  const before = confirmed ? [] : search.places;
  search.places = [...new Set([...places, ...before])].slice(0, placesMax);
}

function followRedirect(search: Search, redirect: Redirect): void {
  if (redirect.term > search.term) search.term = redirect.term;
  learnPlaces(search, redirect);
  const { places, confirmed } = redirect;
  // Its newest configuration is without itself; it has not heard yet that this one is committed.
  const hasLeft = places.length > 0 && !places.includes(search.target) && !confirmed;
  if (hasLeft && leadsOn(search, places)) return;
  switch (redirect.reason) {
    case Redirect_Reason.NOT_BORN:
      leaveUnborn(search, places);
      return;
    case Redirect_Reason.NOT_LEADER:
      search.notLeading.add(search.target);
      if (redirect.leaderPlace > 0 && redirect.leaderPlace !== search.target) {
        goToLeader(search, redirect.leaderPlace, redirect.confirmed);
        return;
      }
      waitForLeader(search);
      return;
    default:
      search.notLeading.add(search.target);
      waitForLeader(search);
  }
}

/**
 * What a place says of where its group has gone is newer than what places before it said, so its
 * word goes first. Nobody named: only place 1 can found the group, or say who its members are. Once
 * it has had its say, whoever else may hold the group's data is asked. If somebody believes that
 * the unborn one leads, the next one is to check.
 */
function leaveUnborn(search: Search, named: readonly number[]): void {
  const { unborn, notLeading, unreachable } = search;
  unborn.add(search.target);
  search.suspect ||= notLeading.size > 0;
  if (leadsOn(search, named)) return;
  const said = [unborn, notLeading, unreachable].some((places) => places.has(firstPlace));
  const known = search.successors.some((place) => isPromising(search, place));
  goTo(search, said || known ? nextPlace(search) : firstPlace);
  if (!unborn.has(search.target)) return;
  // Nobody is born, unless one is about to be. From here on we go round.
  unborn.clear();
  search.hopsLeft = 0;
  search.waitsInARow += 1;
}

/** True: a place that its group has left names members that we go on to. */
function leadsOn(search: Search, named: readonly number[]): boolean {
  const successor = named.find((place) => isPromising(search, place));
  if (successor === undefined) return false;
  search.unborn.add(search.target);
  search.successors = named;
  goToSuccessor(search, successor);
  return true;
}

/** A step nearer to the group is no retry, and the next request need not take it again. */
function goToSuccessor(search: Search, place: number): void {
  if (search.hopsLeft > 0) {
    search.hopsLeft -= 1;
    search.attemptsLeft += 1;
    search.target = place;
    search.waitsInARow = 0;
  } else {
    goTo(search, place);
  }
  const { term, places, suspect, avoid } = search;
  const { tenant } = search.ask;
  const known = hintFor(tenant);
  // Another request may be further along.
  if (known && isPromising(search, known.place)) return;
  remember(tenant, { place, term, places, suspect, avoid });
}

/** Does not go where a hint leads that this search has found wrong: the member is to check it. */
function goToLeader(search: Search, place: number, confirmed: boolean): void {
  const { unborn, notLeading, unreachable } = search;
  if (!confirmed && [unborn, notLeading, unreachable].some((places) => places.has(place))) {
    // A wiped or deposed leader lives on in hints; following them would go round for ever.
    waitForLeader(search);
    return;
  }
  unborn.delete(place);
  notLeading.delete(place);
  const again = unreachable.delete(place);
  goTo(search, place);
  search.suspect = false;
  if (again) search.waitsInARow += 1;
}

function goTo(search: Search, place: number): void {
  search.target = place;
  search.promptRedirects += 1;
  search.waitsInARow = search.promptRedirects > promptRedirectsMax ? search.waitsInARow + 1 : 0;
}

/**
 * Ask again with a suspicion, which makes the member look for the leader itself: at once if we have
 * not done so yet; then after a moment, and at another member.
 */
function waitForLeader(search: Search): void {
  if (search.suspect) {
    if (search.waitsInARow > 0) search.target = nextPlace(search);
    search.waitsInARow += 1;
  }
  search.suspect = true;
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

/** The member we asked is of no use now: on to the next, which is to doubt the leader. */
function leaveMember(search: Search): void {
  search.unreachable.add(search.target);
  search.avoid = { place: search.target, untilMs: Date.now() + avoidMs };
  search.target = nextPlace(search);
  search.suspect = true;
  suspectFromNowOn(search);
  if (!search.unreachable.has(search.target)) return;
  // All of them failed us: a moment later some may be back.
  search.unreachable.clear();
  search.waitsInARow += 1;
}

/** Whoever asks next begins at another member, and with a suspicion, so that the group heals. */
function suspectFromNowOn(search: Search): void {
  const known = hintFor(search.ask.tenant);
  // Somebody has found a newer leader meanwhile than the one that failed us.
  if (known && !known.suspect && known.term > search.term) return;
  remember(search.ask.tenant, {
    place: search.target,
    term: search.term,
    places: search.places,
    suspect: true,
    avoid: search.avoid,
  });
}

/**
 * The member after the current one that is born and has not failed us; else one that may be born,
 * be it the current one; else simply the one after it.
 */
function nextPlace(search: Search): number {
  const { target, unborn } = search;
  const next = others(search);
  return (
    next.find((place) => isPromising(search, place)) ??
    [...next, target].find((place) => !unborn.has(place)) ??
    next[0] ??
    target
  );
}

/** Not known in this search to belong to no group, or to be out of reach. */
function isPromising({ unborn, unreachable }: Search, place: number): boolean {
  return !unborn.has(place) && !unreachable.has(place);
}

/**
 * The other members as far as they are known, successors first, each time from the one after the
 * current one on.
 */
function others({ ask, target, places, successors }: Search): number[] {
  const all = places.length > 0 ? places : foundingPlaces.slice(0, groupSize(ask.env));
  return [...new Set([...ringAfter(target, successors), ...ringAfter(target, all)])];
}

function ringAfter(target: number, places: readonly number[]): number[] {
  const sorted = [...places].sort((a, b) => a - b);
  return [...sorted.filter((place) => place > target), ...sorted.filter((place) => place < target)];
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
