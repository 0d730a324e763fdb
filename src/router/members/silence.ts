/**
 * A member that does not answer while its clients still wait: whether somebody else leads by now.
 *
 * One request of the isolate at a time asks another member, by a ping with a suspicion: the write
 * itself travels once (consensus-rules.md 1). All requests of the tenant that wait look at what was
 * found; they look instead of being told, since a promise of one request is not for another to wait
 * for. Nothing is kept of a tenant that nobody waits for, and no timer outlives its request.
 */
import { create } from '@bufbuild/protobuf';
import { PingSchema, Redirect_Reason } from '../../api/gen/member_pb.js';
import { type Expiry, TimeIsUp, within } from '../http/deadline.ts';
import { type Attempt, callMember, type MemberAnswer } from './call.ts';
import { hintFor, remember } from './hints.ts';

/** A member that has answered nobody for so long may be lost. */
export const patienceMs = 1_000;
const lookMs = 100;
/** How long a write waits for a deposed leader, which may still tell what became of it. */
const graceMs = 500;
/** How long requests do not go back to the silent member, if it leads no more. */
const avoidMs = 10_000;

export interface Found {
  readonly answer: MemberAnswer | Superseded;
  /** Who gave it. */
  readonly place: number;
}

/** A write went to a leader that is replaced by now; nobody will say what became of it. */
export interface Superseded {
  readonly kind: 'superseded';
}

/** Of one tenant, while requests of this isolate wait for its members. */
interface Watch {
  waiting: number;
  /** The last answers, by place. */
  readonly heardMs: Map<number, number>;
  askedMs: number;
  asked: number;
  way: Way | null;
}

/** Where the leader is reached: itself, or a member that relays. */
interface Way {
  readonly place: number;
  readonly suspect: boolean;
  readonly term: bigint;
  readonly foundMs: number;
}

const watches = new Map<string, Watch>();

/**
 * `term`: the highest that the request has heard of. `others`: whom to ask for another leader, in
 * this order.
 */
export async function callPatiently(
  attempt: Attempt,
  term: bigint,
  others: readonly number[],
): Promise<Found> {
  const { tenant, place, kind } = attempt;
  if (kind === 'serializable' || attempt.timeoutMs <= patienceMs || others.length === 0)
    return { place, answer: await callMember(attempt) };
  const watch = enter(tenant);
  const patience = new Patience(attempt, term, others, watch);
  try {
    const found = await patience.wait();
    if (found.answer.kind === 'response') watch.heardMs.set(found.place, Date.now());
    return found;
  } finally {
    patience.end();
    leave(tenant, watch);
  }
}

function enter(tenant: string): Watch {
  const watch = watches.get(tenant) ?? {
    waiting: 0,
    heardMs: new Map(),
    askedMs: Number.NEGATIVE_INFINITY,
    asked: 0,
    way: null,
  };
  watch.waiting += 1;
  watches.set(tenant, watch);
  return watch;
}

/** For tests: an isolate that has just started, whatever requests of another still wait. */
export function forgetWaiting(): void {
  watches.clear();
}

function leave(tenant: string, watch: Watch): void {
  watch.waiting -= 1;
  if (watch.waiting === 0) watches.delete(tenant);
}

/** One request, and at most one more on its behalf. */
class Patience {
  private readonly attempt: Attempt;
  private readonly term: bigint;
  private readonly others: readonly number[];
  private readonly watch: Watch;
  private readonly startedMs = Date.now();
  /** Ends the timers of the calls that are not waited for any more. */
  private readonly expiries: Expiry[] = [];
  private hasAsked = false;

  constructor(attempt: Attempt, term: bigint, others: readonly number[], watch: Watch) {
    this.attempt = attempt;
    this.term = term;
    this.others = others;
    this.watch = watch;
  }

  async wait(): Promise<Found> {
    const { place, kind, repeatable } = this.attempt;
    const call = this.call(this.attempt).then((answer) => ({ place, answer }));
    let answer = await answeredWithin(patienceMs, call);
    while (answer === null) {
      const way = this.newWay();
      if (way !== null && (kind === 'read' || repeatable)) return this.either(call, way);
      // By way of a relay it is the silent one itself that leads.
      if (way !== null && !way.suspect && way.term > this.term)
        return (await answeredWithin(graceMs, call)) ?? { place, answer: { kind: 'superseded' } };
      if (way === null && this.mayAsk()) void this.ask();
      answer = await answeredWithin(lookMs, call);
    }
    return answer;
  }

  end(): void {
    for (const expiry of this.expiries) expiry.end();
  }

  private call(attempt: Attempt): Promise<MemberAnswer> {
    const expiry = { end: () => {} };
    this.expiries.push(expiry);
    return callMember(attempt, expiry);
  }

  /** A way that was found while this request waited, and is not the one that it waits on. */
  private newWay(): Way | null {
    const { way } = this.watch;
    return way && way.foundMs >= this.startedMs && way.place !== this.attempt.place ? way : null;
  }

  private mayAsk(): boolean {
    const { heardMs, askedMs } = this.watch;
    const now = Date.now();
    const heard = Math.max(this.startedMs, heardMs.get(this.attempt.place) ?? 0);
    return !this.hasAsked && now - heard >= patienceMs && now - askedMs >= patienceMs;
  }

  private async ask(): Promise<void> {
    const { watch, attempt, others } = this;
    const place = others[watch.asked % others.length] ?? attempt.place;
    this.hasAsked = true;
    watch.askedMs = Date.now();
    watch.asked += 1;
    const op = { case: 'ping', value: create(PingSchema) } as const;
    const answer = await this.call({
      ...attempt,
      kind: 'read',
      repeatable: false,
      op,
      place,
      terms: null,
      timeoutMs: this.remainingMs,
      suspectTerm: this.term,
    });
    const way = wayIn(answer, place, attempt.place);
    if (way === null) return;
    watch.way = way;
    if (!way.suspect) this.remember(way);
  }

  /** The next requests of the tenant go there at once. */
  private remember({ place, term }: Way): void {
    const { tenant, place: silent } = this.attempt;
    const avoid = { place: silent, untilMs: Date.now() + avoidMs };
    const places = hintFor(tenant)?.places ?? [];
    remember(tenant, { place, term, places, suspect: false, avoid });
  }

  /** What may be asked twice is asked again where the leader was found; whoever serves it first has served it. */
  private async either(call: Promise<Found>, way: Way): Promise<Found> {
    const again = this.call({
      ...this.attempt,
      place: way.place,
      timeoutMs: this.remainingMs,
      suspectTerm: way.suspect ? this.term : null,
    }).then((answer) => ({ place: way.place, answer }));
    const served = again.then((found) => (found.answer.kind === 'response' ? found : call));
    return Promise.race([call, served]);
  }

  private get remainingMs(): number {
    return Math.max(1, this.attempt.timeoutMs - (Date.now() - this.startedMs));
  }
}

/** Null: it does not know one, or only the silent one, which it could not ask for us. */
function wayIn(answer: MemberAnswer, asked: number, silent: number): Way | null {
  const foundMs = Date.now();
  if (answer.kind === 'response') {
    const { servedBy } = answer;
    if (servedBy === undefined) return null;
    const { term } = servedBy;
    // Served by the silent one, it was relayed: that way it can be reached.
    const relayed = servedBy.place === silent;
    return { place: relayed ? asked : servedBy.place, suspect: relayed, term, foundMs };
  }
  if (answer.kind !== 'redirect' || answer.redirect.reason !== Redirect_Reason.NOT_LEADER)
    return null;
  const { leaderPlace, term, confirmed } = answer.redirect;
  return confirmed && leaderPlace !== silent
    ? { place: leaderPlace, suspect: false, term, foundMs }
    : null;
}

/** Null: not answered within `ms`. */
async function answeredWithin<T>(ms: number, answer: Promise<T>): Promise<T | null> {
  try {
    return await within(ms, () => answer);
  } catch (error) {
    if (error instanceof TimeIsUp) return null;
    throw error;
  }
}
