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
  /** A binary heap. */
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
    const { queue } = this;
    let place = queue.length;
    queue.push(event);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = queue[above] as Scheduled;
      if (comesBefore(other, event)) break;
      queue[place] = other;
      place = above;
    }
    queue[place] = event;
    return event;
  }

  /**
   * Runs events until `until`, or until `done` holds after one: true then. No promise is awaited
   * between events: `settle` has to run what is waiting there.
   */
  runUntil(until: number, settle: () => void, done: () => boolean = () => false): boolean {
    for (;;) {
      const next = this.peek();
      if (!next || next.at > until) break;
      this.step();
      settle();
      if (done()) return true;
    }
    this.now = until;
    return false;
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
    while (this.queue[0]?.cancelled) this.removeFirst();
    return this.queue[0];
  }

  private step(): boolean {
    const event = this.peek();
    if (!event) return false;
    this.removeFirst();
    this.now = Math.max(this.now, event.at);
    event.run();
    return true;
  }

  /** The last one takes the place of the first and sinks. */
  private removeFirst(): void {
    const { queue } = this;
    const last = queue.pop();
    if (!last || queue.length === 0) return;
    let place = 0;
    for (let below = 1; below < queue.length; below = 2 * place + 1) {
      const [left, right] = [queue[below] as Scheduled, queue[below + 1]];
      const first = right && comesBefore(right, left) ? right : left;
      if (comesBefore(last, first)) break;
      queue[place] = first;
      place = first === left ? below : below + 1;
    }
    queue[place] = last;
  }
}

/** Events of one moment come in the order in which they were scheduled. */
function comesBefore(event: Scheduled, other: Scheduled): boolean {
  return event.at < other.at || (event.at === other.at && event.order < other.order);
}

/** All promise reactions, however long their chain: a macrotask comes after them. */
function flushPromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
