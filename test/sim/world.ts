/**
 * Virtual time for simulated clusters: events in order of time, and promises settled between them.
 *
 * Nothing here uses a real timer, so a run depends on its seed alone. Between two events all
 * promise reactions run, as in the object, where a turn's continuations run before the next event.
 */
export interface Cancellable {
  cancelled: boolean;
}

interface Scheduled extends Cancellable {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** More events than this without the awaited outcome: the system spins. */
const eventsMax = 2_000_000;

export class World {
  now = 1_000_000;
  private readonly queue: Scheduled[] = [];
  private order = 0;
  private seed: number;

  constructor(seed: number) {
    this.seed = seed >>> 0 || 1;
  }

  /** Uniform in [0, 1): mulberry32. */
  random(): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let t = this.seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  schedule(delayMs: number, run: () => void): Cancellable {
    const event = { at: this.now + Math.max(0, delayMs), order: this.order, run, cancelled: false };
    this.order += 1;
    // Insertion from the end: most events are scheduled near the end of the queue.
    let place = this.queue.length;
    while (place > 0 && comesBefore(event, this.queue[place - 1])) place -= 1;
    this.queue.splice(place, 0, event);
    return event;
  }

  /** Runs until the promise settles, and gives its value; throws when nothing is left to happen. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let state: 'pending' | 'done' = 'pending';
    const done = () => {
      state = 'done';
    };
    promise.then(done, done);
    for (let events = 0; events < eventsMax; events += 1) {
      await flushPromises();
      if (state === ('done' as string)) return promise;
      if (!this.step()) throw new Error('nothing is left to happen, and the promise is pending');
    }
    throw new Error(`still pending after ${eventsMax} events`);
  }

  /** Lets `ms` of virtual time pass. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      await flushPromises();
      const next = this.peek();
      if (!next || next.at > until) break;
      this.step();
    }
    this.now = until;
  }

  /** True when no event is waiting: everybody is at rest. */
  get isQuiet(): boolean {
    return this.peek() === undefined;
  }

  private peek(): Scheduled | undefined {
    while (this.queue[0]?.cancelled) this.queue.shift();
    return this.queue[0];
  }

  private step(): boolean {
    const event = this.peek();
    if (!event) return false;
    this.queue.shift();
    this.now = Math.max(this.now, event.at);
    event.run();
    return true;
  }
}

function comesBefore(event: Scheduled, other: Scheduled | undefined): boolean {
  return other !== undefined && event.at < other.at;
}

/** All promise reactions, however long their chain: a macrotask comes after them. */
function flushPromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
