/**
 * Whether what each watch of a stream was told is the history, held against the history itself as the service has it in
 * the end: every event of the watch's keys once, in order, whole revisions, with the values before them where
 * they were asked for, and no progress ahead of the events.
 *
 * Unlike judge.ts it asks nothing of the load: watches may have any ranges and filters.
 */
import type { Event, KeyValue } from '../../../../src/api/gen/mvcc_pb.js';
import { Event_EventType } from '../../../../src/api/gen/mvcc_pb.js';
import type { Change } from '../../changes.ts';

export interface Scope {
  readonly key: string;
  /** Exclusive; null: that one key; "\0": from the key on. */
  readonly end: string | null;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  /** Large messages may come in parts. */
  readonly fragment: boolean;
}

/** One event in words; all that an event says of its key. */
interface Told {
  readonly revision: number;
  readonly what: string;
}

const violationsMax = 20;
const valueLengthMax = 32;

export class Violations {
  readonly all: string[] = [];

  complain(what: string): void {
    if (this.all.length < violationsMax) this.all.push(what);
  }
}

/** One text for each event, however many watches are told of it. */
export class Words {
  private readonly known = new Map<string, string>();

  ofEvent({ type, kv, prevKv }: Event): string {
    if (!kv) return 'an event without a key';
    const what = type === Event_EventType.DELETE ? gone(text(kv.key)) : put(factsOf(kv));
    return this.once(prevKv ? what + before(factsOf(prevKv)) : what);
  }

  ofChange(change: Change, previous: Change | null): string {
    const what = change.value === null ? gone(change.key) : put(change);
    return this.once(previous ? what + before(previous) : what);
  }

  private once(what: string): string {
    const known = this.known.get(what);
    if (known !== undefined) return known;
    this.known.set(what, what);
    return what;
  }
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

function factsOf({ key, value, createRevision, version, modRevision }: KeyValue): Change {
  return {
    key: text(key),
    value: text(value),
    createRevision: Number(createRevision),
    version: Number(version),
    revision: Number(modRevision),
  };
}

const short = (value: string | null) =>
  value !== null && value.length > valueLengthMax
    ? `${value.slice(0, valueLengthMax)}… (${value.length})`
    : value;
const gone = (key: string) => `${key} deleted`;
const put = ({ key, value, createRevision, version }: Change) =>
  `${key} = ${short(value)} created ${createRevision} version ${version}`;
const before = ({ value, createRevision, version, revision }: Change) =>
  `, before: ${short(value)} of ${revision} created ${createRevision} version ${version}`;

export class History {
  private readonly changes: readonly Change[];
  /** The same event without and with what was there before. */
  private readonly plain: readonly string[];
  private readonly withBefore: readonly string[];

  /** `changes`: all since the first revision of their keys. */
  constructor(changes: readonly Change[], words: Words) {
    this.changes = changes;
    const state = new Map<string, Change>();
    this.plain = changes.map((change) => words.ofChange(change, null));
    this.withBefore = changes.map((change) => {
      const previous = state.get(change.key) ?? null;
      if (change.value === null) state.delete(change.key);
      else state.set(change.key, change);
      return words.ofChange(change, previous);
    });
  }

  /** What a watch of that scope has to be told from that revision on. */
  of({ key, end, prevKv, noPut, noDelete }: Scope, from: number): Told[] {
    const whats = prevKv ? this.withBefore : this.plain;
    const told: Told[] = [];
    for (const [at, change] of this.changes.entries()) {
      if (change.revision < from || (change.value === null ? noDelete : noPut)) continue;
      const isIn =
        end === null ? change.key === key : change.key >= key && (end === '\0' || change.key < end);
      if (isIn) told.push({ revision: change.revision, what: whats[at] as string });
    }
    return told;
  }
}

/** What one watch was told. */
export class WatchJudge {
  readonly name: string;
  readonly scope: Scope;
  readonly told: Told[] = [];
  private readonly violations: Violations;
  private readonly words: Words;
  private from: number | null;
  /** It has been told everything up to this revision, by events or by progress. */
  private through: number;

  /** `from`: the first revision that is to be told; null: what comes after it was created. */
  constructor(
    name: string,
    scope: Scope,
    from: number | null,
    { violations, words }: { readonly violations: Violations; readonly words: Words },
  ) {
    this.name = name;
    this.scope = scope;
    this.violations = violations;
    this.words = words;
    this.from = from;
    this.through = (from ?? 1) - 1;
  }

  /** The first revision that is to be asked for; null: from now on. */
  get next(): number | null {
    return this.from === null ? null : this.through + 1;
  }

  created(revision: number): void {
    if (this.from !== null) return;
    this.from = revision + 1;
    this.through = revision;
  }

  /** One message, or all fragments of one. `revision`: its header's. */
  hear(revision: number, events: readonly Event[]): void {
    let last = this.through;
    for (const event of events) {
      const at = Number(event.kv?.modRevision ?? 0n);
      const what = this.words.ofEvent(event);
      if (at <= this.through) this.complain(`${what} of ${at} after all up to ${this.through}`);
      else if (at < last) this.complain(`${what} of ${at} after ${last}`);
      if (at > revision) this.complain(`${what} of ${at} under a header of ${revision}`);
      last = Math.max(last, at);
      this.told.push({ revision: at, what });
    }
    this.through = last;
  }

  /** It has heard all up to that revision: whatever comes is later. */
  progress(revision: number): void {
    this.through = Math.max(this.through, revision);
  }

  /** All that it has to be told. */
  due(history: History): Told[] {
    return history.of(this.scope, this.from ?? 0);
  }

  /** Nothing more comes. */
  end(due: readonly Told[]): void {
    const length = Math.max(due.length, this.told.length);
    for (let at = 0; at < length; at += 1) {
      const [is, should] = [this.told[at], due[at]];
      if (is?.revision === should?.revision && is?.what === should?.what) continue;
      this.complain(`event ${at + 1} of ${due.length} is ${words(is)}, not ${words(should)}`);
      return;
    }
  }

  complain(what: string): void {
    this.violations.complain(`${this.name}: ${what}`);
  }
}

const words = (told: Told | undefined) => (told ? `${told.revision} ${told.what}` : 'none');
