/**
 * Looking for the leader of a tenant's group: where one request's search stands, and where it goes after what a
 * member has said, or has not.
 */
import type { Redirect, Server } from '../../api/gen/member_pb.js';
import { Redirect_Reason } from '../../api/gen/member_pb.js';
import { foundingPlaces } from '../../api/limits.ts';
import { groupSize } from '../env.ts';
import type { Ask, Refused } from './answer.ts';
import { hintFor, remember } from './hints.ts';

const attemptsMax = 8;
/** Steps from a place that its group has left to one that it names, in addition to the attempts. */
const hopsMax = 16;
/** Redirects that name the leader are followed at once this often; then they may be a circle. */
const promptRedirectsMax = 3;
/** How long we do not go back to a member that could not be reached. */
const avoidMs = 10_000;
/** Members that are remembered of one group. */
const placesMax = 16;
const firstPlace = foundingPlaces[0];

/** Where the search stands; one object per request. */
export interface Search {
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

export function beginSearch(ask: Ask): Search {
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

export function learnFromResponse(search: Search, servedBy: Server | undefined): void {
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
 * A member that lags names the members of a configuration that is over, perhaps all of them dead, and
 * would hide the living ones from us. So what we knew before stays, unless a quorum stands behind it.
 */
function learnPlaces(search: Search, { confirmed, places }: Redirect): void {
  if (places.length === 0) return;
  const before = confirmed ? [] : search.places;
  search.places = [...new Set([...places, ...before])].slice(0, placesMax);
}

export function followRedirect(search: Search, redirect: Redirect): void {
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

/**
 * True: a place that its group has left names members that we go on to. On, in the ring's order: requests that each
 * have time for one member only would else come from here to the same one again and again, and never to those behind.
 */
function leadsOn(search: Search, named: readonly number[]): boolean {
  const successor = ringAfter(search.target, named).find((place) => isPromising(search, place));
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

/** The member we asked is of no use now: on to the next, which is to doubt the leader. */
export function leaveMember(search: Search): void {
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
export function suspectFromNowOn(search: Search): void {
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
export function others({ ask, target, places, successors }: Search): number[] {
  const all = places.length > 0 ? places : foundingPlaces.slice(0, groupSize(ask.env));
  return [...new Set([...ringAfter(target, successors), ...ringAfter(target, all)])];
}

function ringAfter(target: number, places: readonly number[]): number[] {
  const sorted = [...places].sort((a, b) => a - b);
  return [...sorted.filter((place) => place > target), ...sorted.filter((place) => place < target)];
}
