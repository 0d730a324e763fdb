/**
 * Which member, or which follower, answers this isolate soonest. Only what was measured counts: a member that was not
 * asked for a while is asked once, and then the quickest of all is, until its time is old too.
 *
 * Bounded as the hints are; a wrong guess costs time, never a wrong answer.
 */
import { foundingPlaces } from '../../api/limits.ts';
import { groupSize, type RouterEnv } from '../env.ts';
import { hintFor } from './hints.ts';

/** Who is to serve a read before the leader is asked; a learner counts as a follower. */
export const vias = ['leader', 'nearest', 'follower'] as const;
export type Via = (typeof vias)[number];

interface Measured {
  readonly ms: number;
  readonly untilMs: number;
}

interface Known {
  /** The group's members, as the last of them that answered named them. */
  places: readonly number[];
  readonly times: Map<number, Measured>;
}

const tenantsMax = 10_000;
/** For so long a measured time stands. */
const standsMs = 60_000;
/** A member that gave no answer is left alone for so long. */
const avoidedMs = 10_000;

const tenants = new Map<string, Known>();

/** Null: there is nobody to ask but the leader. */
export function placeVia(
  env: RouterEnv,
  tenant: string,
  via: Via | number,
  nowMs: number,
): number | null {
  if (typeof via === 'number') return via;
  if (via === 'leader') return null;
  const known = tenants.get(tenant);
  const all = placesOf(env, tenant, known);
  // Who leads is only believed: the answer says who it was.
  const leader = via === 'follower' ? hintFor(tenant)?.place : undefined;
  const places = all.filter((place) => place !== leader);
  let nearest = places[0] ?? null;
  let best = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const measured = known?.times.get(place);
    if (measured === undefined || measured.untilMs <= nowMs) return place;
    if (measured.ms < best) [nearest, best] = [place, measured.ms];
  }
  return nearest;
}

function placesOf(env: RouterEnv, tenant: string, known: Known | undefined): readonly number[] {
  if (known !== undefined && known.places.length > 0) return known.places;
  const hinted = hintFor(tenant)?.places ?? [];
  return hinted.length > 0 ? hinted : foundingPlaces.slice(0, groupSize(env));
}

/** `places`: the members that it named; empty: none. */
export function noteAnswer(
  tenant: string,
  place: number,
  ms: number,
  places: readonly number[],
  nowMs: number,
): void {
  const known = knownOf(tenant);
  if (places.length > 0) {
    known.places = places;
    for (const other of known.times.keys()) if (!places.includes(other)) known.times.delete(other);
  }
  known.times.set(place, { ms, untilMs: nowMs + standsMs });
}

/** It could not serve. */
export function noteSilence(tenant: string, place: number, nowMs: number): void {
  const never = { ms: Number.POSITIVE_INFINITY, untilMs: nowMs + avoidedMs };
  knownOf(tenant).times.set(place, never);
}

function knownOf(tenant: string): Known {
  const known = tenants.get(tenant);
  if (known !== undefined) return known;
  if (tenants.size >= tenantsMax) {
    const oldest = tenants.keys().next();
    if (!oldest.done) tenants.delete(oldest.value);
  }
  const fresh = { places: [], times: new Map() };
  tenants.set(tenant, fresh);
  return fresh;
}

/** For tests: an isolate that has just started. */
export function forgetTimes(): void {
  tenants.clear();
}
