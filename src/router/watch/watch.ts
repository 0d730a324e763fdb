/** One watch of a session: how far its reader has come, and what of the history is on its way to it. */
import type { Event } from '../../api/gen/mvcc_pb.js';
import type { WatchSpec } from './message.ts';

/** Events that lie together on their way to the reader, and what they take there, about, in bytes. */
export interface Page {
  readonly events: readonly Event[];
  readonly bytes: number;
}

/** What all watches of a session hold together, in bytes. */
export interface Held {
  bytes: number;
}

export class Watch {
  readonly slot: number;
  readonly spec: WatchSpec;
  /** First revision that the reader has not been given; 0: not created yet, from now on. */
  next: bigint;
  /** The reader was told that it exists. */
  announced = false;
  /** It exists at the other end of the present socket. */
  created = false;
  canceling = false;
  /** The last event that was taken in may belong to a revision that goes on after this one. */
  through = 0n;
  private page: Event[] = [];
  private heldBytes = 0;
  private readonly all: Held;

  constructor(slot: number, spec: WatchSpec, all: Held) {
    this.all = all;
    this.slot = slot;
    this.spec = spec;
    this.next = spec.from;
  }

  /** Of what was taken in, and not yet given to the reader. */
  get bytes(): number {
    return this.heldBytes;
  }

  /** The first revision of those; null: there are none. */
  get firstHeld(): bigint | null {
    const first = this.page[0];
    return first ? revisionOf(first) : null;
  }

  /** How many revisions they are of, at most. */
  get revisionsHeld(): bigint {
    const [first, last] = [this.page[0], this.page.at(-1)];
    return first && last ? revisionOf(last) - revisionOf(first) : 0n;
  }

  /** Twice the same, of a member that does not keep its promise, would be the reader's fault to us. */
  takeIn(event: Event): void {
    if (revisionOf(event) < this.next) return;
    this.page.push(event);
    this.hold(sizeOf(event));
  }

  /** Everything up to `revision` is the reader's. */
  pass(revision: bigint): void {
    if (this.announced && revision >= this.next) this.next = revision + 1n;
  }

  /** What lies at or before `through` is the reader's from now on. */
  giveOut(through: bigint): Page {
    let count = 0;
    let bytes = 0;
    while (count < this.page.length && revisionOf(this.page[count] as Event) <= through) {
      bytes += sizeOf(this.page[count] as Event);
      count += 1;
    }
    this.pass(through);
    const events = this.page.slice(0, count);
    this.page = this.page.slice(count);
    this.hold(-bytes);
    return { events, bytes };
  }

  /** What is left comes again, on another socket, or not at all. */
  forget(): void {
    this.page = [];
    this.hold(-this.heldBytes);
  }

  private hold(bytes: number): void {
    this.heldBytes += bytes;
    this.all.bytes += bytes;
  }
}

function revisionOf({ kv }: Event): bigint {
  return kv?.modRevision ?? 0n;
}

/** About what it takes on the wire. */
function sizeOf({ kv, prevKv }: Event): number {
  let size = 32;
  for (const one of [kv, prevKv]) if (one) size += one.key.length + one.value.length;
  return size;
}
