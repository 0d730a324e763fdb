/**
 * What this isolate believes about where each tenant's leader is. Only a guess: a wrong hint costs
 * a redirect, never a wrong answer. Bounded; the oldest tenant goes first.
 */
export interface Hint {
  /** Whom to ask first. */
  readonly place: number;
  /** Highest term heard of. */
  readonly term: bigint;
  /** The group's members, when some member said them. */
  readonly places: readonly number[];
  /** The leader could not be reached: ask with a suspicion until somebody leads again. */
  readonly suspect: boolean;
  /** The member that could not be reached, and until when we do not go back to it by ourselves. */
  readonly avoid: { readonly place: number; readonly untilMs: number } | null;
}

const tenantsMax = 10_000;

const hints = new Map<string, Hint>();

export function hintFor(tenant: string): Hint | undefined {
  return hints.get(tenant);
}

export function remember(tenant: string, hint: Hint): void {
  const known = hints.get(tenant);
  if (known === undefined && hints.size >= tenantsMax) {
    const oldest = hints.keys().next();
    if (!oldest.done) hints.delete(oldest.value);
  }
  hints.set(tenant, hint);
}

/** For tests: an isolate that has just started. */
export function forgetAll(): void {
  hints.clear();
}
