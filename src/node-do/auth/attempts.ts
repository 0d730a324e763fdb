/**
 * Slows down who guesses passwords: attempts at a user from one client, a few at once and then one at
 * a time, and so all attempts of a client. In memory: a new life of the member starts anew, and the hash that
 * each attempt costs stays.
 */

interface Pace {
  /** At once. */
  readonly burst: number;
  /** After which one more is allowed. */
  readonly refillMs: number;
}

const atUser: Pace = { burst: 5, refillMs: 2_000 };
/** Whoever tries many names; clients that nobody can tell apart are one. */
const ofClient: Pace = { burst: 50, refillMs: 100 };
/** Buckets. When there are more, the one that was used longest ago is forgotten. */
const knownMax = 10_000;

interface Bucket {
  /** Attempts that are left at `at`. */
  readonly left: number;
  readonly at: number;
}

export class Attempts {
  private readonly buckets = new Map<string, Bucket>();

  /** Counts one. False: it is one of too many. */
  take(user: string, client: string, now: number): boolean {
    return this.draw(client, ofClient, now) && this.draw(pairOf(user, client), atUser, now);
  }

  /** The password was right. */
  forget(user: string, client: string): void {
    this.buckets.delete(pairOf(user, client));
  }

  get size(): number {
    return this.buckets.size;
  }

  private draw(key: string, { burst, refillMs }: Pace, now: number): boolean {
    const { left, at } = this.buckets.get(key) ?? { left: burst, at: now };
    // A clock that was set back refills nothing.
    const refilled = Math.min(burst, left + Math.max(0, now - at) / refillMs);
    const isAllowed = refilled >= 1;
    this.buckets.delete(key);
    this.buckets.set(key, { left: isAllowed ? refilled - 1 : refilled, at: now });
    const [oldest] = this.buckets.keys();
    if (this.buckets.size > knownMax && oldest !== undefined) this.buckets.delete(oldest);
    return isAllowed;
  }
}

/** No address of a client has a line break in it. */
function pairOf(user: string, client: string): string {
  return `${client}\n${user}`;
}
