/**
 * The peer URLs of members: what etcd 3.5 takes for one, and those that name one of our places
 * (docs/decisions/cluster.md): `http://place-4:2380`, with a location hint `http://place-4.weur:2380`.
 */
import { isLocationHint, type LocationHint } from './location-hints.ts';

/** Places that can be named. */
export const placeMax = 999;

export interface PeerUrls {
  /** As etcd has them. */
  readonly urls: readonly string[];
  /** The place that they name; null: none of ours. */
  readonly place: number | null;
  /** Of its first creation. */
  readonly hint: LocationHint | null;
}

/** Text of all URLs of a member together. etcd has no bound but that of a request. */
const urlCharactersMax = 16_384;

/** null: etcd's "given member URLs are invalid", or they name two places, or one that cannot be. */
export function parsePeerUrls(given: readonly string[]): PeerUrls | null {
  const urls = given.map(canonical);
  if (urls.length === 0 || !urls.every((url) => url !== null)) return null;
  if (urls.reduce((sum, url) => sum + url.length, 0) > urlCharactersMax) return null;
  const named = urls.map(placeIn);
  if (named.includes('none such')) return null;
  const places = named.filter((one) => one !== null && one !== 'none such');
  const [first] = places;
  if (places.some(({ place }) => place !== first?.place)) return null;
  return { urls, place: first?.place ?? null, hint: first?.hint ?? null };
}

/** The URL that a place has of itself. */
export function urlOfPlace(place: number): string {
  return `http://place-${place}:2380`;
}

export function nameOfPlace(place: number): string {
  return `place-${place}`;
}

/** Scheme, authority, and what follows of query and fragment: a path there must not be. */
const form =
  /^(https?|unixs?):\/\/(?:([^@/?#]*)@)?(\[[^\]/?#@]*\]|[^:[\]/?#@]*):(\d*)(\?[^#]*)?(#.*)?$/i;
const userCharacters = /^(?:[\w.~!$&'()*+,;=:-]|%[0-9a-f]{2})*$/i;
/** A host may hold other bytes only as escapes, and those of ASCII not even so. */
const hostCharacters = /^(?:[\w.~!$&'()*+,;=:<>"[\]-]|[^\0-\x7f]|%[89a-f][0-9a-f]|%25)*$/i;
const badEscape = /%(?![0-9a-f]{2})/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: Go's url.Parse refuses them
const control = /[\0-\x1f\x7f]/;

/** As Go's url.Parse and net.SplitHostPort take it, which etcd asks; null: they do not. */
function canonical(given: string): string | null {
  const url = given.trim();
  const match = control.test(url) ? null : form.exec(url);
  if (match === null) return null;
  const [, scheme = '', user = '', host = '', port = '', query = '', fragment = ''] = match;
  if (!userCharacters.test(user) || !hostCharacters.test(host)) return null;
  if (badEscape.test(fragment)) return null;
  const at = user === '' ? '' : `${user}@`;
  return `${scheme.toLowerCase()}://${at}${host}:${port}${query}${fragment}`;
}

const placeForm = /^https?:\/\/place-(\d+)(?:\.([^.:]*))?:/i;

/** null: not of ours. A typing error must not become a member that never starts. */
function placeIn(url: string): { place: number; hint: LocationHint | null } | 'none such' | null {
  const match = placeForm.exec(url);
  if (match === null) return null;
  const [, digits = '', hint] = match;
  const place = Number(digits);
  if (String(place) !== digits || place < 1 || place > placeMax) return 'none such';
  if (hint === undefined) return { place, hint: null };
  return isLocationHint(hint) ? { place, hint } : 'none such';
}
