/**
 * The simulated network: who reaches whom, how fast, and what gets lost on the way.
 *
 * A call is a request and a response; each can be lost or late by itself. Parties are places (1, 2,
 * …) and clients (101, 102, …). Every link draws from a stream of its own, so that a decision that
 * is left out changes little elsewhere.
 */
import { Random } from '../../support/random.ts';
import type { Shape } from './plan.ts';

/** Clients are numbered from here. */
export const firstClient = 100;

export interface Fate {
  /** Milliseconds on the way; null: it never arrives. */
  readonly latencyMs: number | null;
  /** It arrives once more, so much later. */
  readonly repeatedAfterMs: number | null;
}

/** What goes wrong at the moment; several of a kind count as the worst of them. */
export interface Weather {
  lossy: number;
  lossyResponses: number;
  duplicates: number;
  delays: { readonly probability: number; readonly byMs: number };
}

interface Link {
  readonly random: Random;
  readonly baseMs: number;
}

export class Network {
  /** One way. Counted, since several faults may cut the same link. */
  private readonly cuts = new Map<number, number>();
  private readonly links = new Map<number, Link>();
  private readonly shape: Shape;
  private readonly count: (what: string) => void;
  readonly weather: Weather[] = [];
  /** Places that refuse calls, and whether they say that they are overloaded. */
  readonly refusing = new Map<number, { readonly overloaded: boolean }>();

  constructor(shape: Shape, count: (what: string) => void) {
    this.shape = shape;
    this.count = count;
  }

  cut(from: number, to: number): void {
    const key = linkOf(from, to);
    this.cuts.set(key, (this.cuts.get(key) ?? 0) + 1);
  }

  mend(from: number, to: number): void {
    const key = linkOf(from, to);
    this.cuts.set(key, Math.max(0, (this.cuts.get(key) ?? 0) - 1));
  }

  mendAll(): void {
    this.cuts.clear();
    this.weather.length = 0;
    this.refusing.clear();
  }

  isCut(from: number, to: number): boolean {
    return (this.cuts.get(linkOf(from, to)) ?? 0) > 0;
  }

  /** What becomes of a request (or a response) from one party to another. */
  fate(from: number, to: number, isResponse: boolean): Fate {
    const { random, baseMs } = this.link(from, to);
    if (this.isCut(from, to)) {
      this.count(isResponse ? 'responses lost in a partition' : 'requests lost in a partition');
      return { latencyMs: null, repeatedAfterMs: null };
    }
    let latencyMs = baseMs * (0.8 + 0.4 * random.next());
    let repeatedAfterMs: number | null = null;
    for (const { lossy, lossyResponses, duplicates, delays } of this.weather) {
      if (random.next() < (isResponse ? lossyResponses : lossy)) {
        this.count(isResponse ? 'responses lost' : 'requests lost');
        return { latencyMs: null, repeatedAfterMs: null };
      }
      if (random.next() < duplicates) repeatedAfterMs = random.next() * 300;
      if (random.next() < delays.probability) {
        this.count('messages delayed');
        latencyMs += random.next() * delays.byMs;
      }
    }
    return { latencyMs, repeatedAfterMs };
  }

  private link(from: number, to: number): Link {
    const number = linkOf(from, to);
    let link = this.links.get(number);
    if (!link) {
      const { seed, latencyMs } = this.shape;
      const random = new Random(seed * 7 + number);
      link = { random, baseMs: latencyMs * (0.5 + 1.5 * random.next()) };
      this.links.set(number, link);
    }
    return link;
  }
}

/** Parties are numbered below a thousand. */
function linkOf(from: number, to: number): number {
  return from * 1_000 + to;
}
