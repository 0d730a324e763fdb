/**
 * Published round-trip times between regions, in milliseconds: the figures that `bench:wan` runs on.
 *
 * Source: Microsoft, "Azure network round-trip latency statistics",
 * https://learn.microsoft.com/azure/networking/azure-network-latency, dated 2024-06-20: medians
 * of the 30 days that end on 2024-06-19. Read from a stored copy of that page; the figures
 * alone are taken. Cloudflare publishes no such table; each location hint of Durable Objects is
 * stood for by one Azure region within it.
 */

/** Location hints of Durable Objects. */
export const regions = ['wnam', 'enam', 'sam', 'weur', 'eeur', 'apac', 'oc', 'afr', 'me'] as const;

export type Region = (typeof regions)[number];

export const standIns: Readonly<Record<Region, string>> = {
  wnam: 'West US',
  enam: 'East US',
  sam: 'Brazil South',
  weur: 'West Europe',
  eeur: 'Poland North',
  apac: 'Japan East',
  oc: 'Australia East',
  afr: 'South Africa North',
  me: 'UAE North',
};

/** Between two objects, or a client and an object, of one region: an assumption, not published. */
const sameRegionMs = 1;

/** Rows: from; columns: to, both in the order of `regions`. The page measures each direction. */
const published: readonly (readonly number[])[] = [
  [0, 74, 186, 155, 173, 108, 140, 295, 254],
  [71, 0, 116, 89, 111, 169, 201, 225, 184],
  [186, 119, 0, 186, 209, 278, 317, 327, 287],
  [154, 90, 185, 0, 24, 250, 286, 163, 122],
  [175, 113, 210, 23, 0, 277, 303, 180, 136],
  [108, 170, 278, 251, 276, 0, 104, 253, 155],
  [140, 201, 316, 287, 301, 103, 0, 280, 180],
  [294, 227, 326, 163, 179, 252, 279, 0, 102],
  [255, 187, 287, 123, 136, 155, 180, 104, 0],
];

/** The mean of both directions: what is measured there and back is one round trip either way. */
export function roundTripMs(a: Region, b: Region): number {
  if (a === b) return sameRegionMs;
  return (publishedMs(a, b) + publishedMs(b, a)) / 2;
}

function publishedMs(from: Region, to: Region): number {
  const ms = published[regions.indexOf(from)]?.[regions.indexOf(to)];
  if (ms === undefined) throw new Error(`no figure from ${from} to ${to}`);
  return ms;
}
