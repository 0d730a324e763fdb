/**
 * Where on Earth a place's object is to be created. The platform looks at a hint only when the object is
 * reached for the first time; objects do not move.
 */

/** Cloudflare's (Durable Objects, data location). */
const names = 'wnam enam sam weur eeur apac apac-ne apac-se oc afr me'.split(' ');
export type LocationHint = DurableObjectLocationHint;

export function isLocationHint(name: string): name is LocationHint {
  return names.includes(name);
}

/** `LOCATION_HINTS`: "1=weur,2=enam". What is none is passed over: a hint is best effort in any case. */
export function hintOf(list: string | undefined, place: number): LocationHint | null {
  for (const item of (list ?? '').split(',')) {
    const [number, name = ''] = item.trim().split('=');
    if (number === String(place) && isLocationHint(name)) return name;
  }
  return null;
}

/** For the options of a stub. */
export function locatedAt(hint: LocationHint | null): { readonly locationHint?: LocationHint } {
  return hint === null ? {} : { locationHint: hint };
}
