/**
 * What the router counts, per isolate. Plain numbers, so that counting costs nothing on the request
 * path; metrics.ts puts them into words.
 */
export const counters = {
  /** Calls to members. */
  attempts: 0,
  /** Answers that named another member, or none. */
  redirects: 0,
  /** Calls that ended without an answer. */
  faults: 0,
  /** Writes whose client was told that the outcome is unknown. */
  unknownOutcomes: 0,
};

const requests = new Map<string, number>();

/** `what` is one of a fixed set of names: it becomes a label. */
export function countRequest(what: string, status: number): void {
  const label = `${what} ${status}`;
  requests.set(label, (requests.get(label) ?? 0) + 1);
}

export function requestCounts(): ReadonlyMap<string, number> {
  return requests;
}
