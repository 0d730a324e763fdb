/**
 * Which member answers this isolate soonest. Only what was measured counts: a member that was not
 * asked for a while is asked once, and then the quickest of all is, until its time is old too.
 *
 * Bounded as the hints are; a wrong guess costs time, never a wrong answer.
 */
import { foundingPlaces } from '../../api/limits.ts';
import { groupSize, type RouterEnv } from '../env.ts';
import { hintFor } from './hints.ts';

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

export function nearestPlace(env: RouterEnv, tenant: string, nowMs: number): number {
  const known = tenants.get(tenant);
  const places = placesOf(env, tenant, known);
  let nearest = places[0] ?? foundingPlaces[0];
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
