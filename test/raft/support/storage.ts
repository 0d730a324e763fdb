/**
 * What one member keeps from life to life: its rows, in memory, written only as Effects says.
 */
import type { Configuration } from '../../../src/raft/configuration.ts';
import { payloadBytes } from '../../../src/raft/log.ts';
import type {
  Boot,
  BootState,
  Effects,
  Entry,
  HardState,
  LogIndex,
  LogReader,
  MemberId,
  ReceivedChunk,
  SnapshotMeta,
  Term,
} from '../../../src/raft/types.ts';
import { entry } from './messages.ts';

/** What a member's storage holds before the test begins. */
export interface Start {
  /** The terms of the entries from index 1 on. */
  readonly terms?: readonly number[];
  readonly term?: number;
  readonly vote?: string;
  readonly termLeader?: string;
  readonly termLeaderBoot?: number;
  readonly applied?: number;
}

export class Storage implements LogReader {
  hardState: HardState = { term: 0, vote: null, termLeader: null, termLeaderBoot: 0 };
  log: Entry[] = [];
  configurations: { index: LogIndex; configuration: Configuration }[];
  applied: LogIndex = 0;
  /** The newest boot number that is durable. */
  boot: Boot = 0;
  /** Index and term just before the first entry of the log. */
  start: { index: LogIndex; term: Term } = { index: 0, term: 0 };
  snapshot: SnapshotMeta | null = null;
  receiving: { id: string; cursor: string } | null = null;
  /** What became of this member: it is a tombstone now. */
  fate: 'lost' | 'removed' | null = null;
  /** False: a fresh incarnation that no leader has spoken to; it says nothing by itself. */
  isAdopted = true;
  /** The test has taken it back in time. */
  wentBack = false;
  private snapshots = 0;
  /** Makes the ids of snapshots unique in a group. */
  private readonly name: string;

  constructor(founding: Configuration, name = '') {
    this.name = name;
    this.configurations = [{ index: 0, configuration: founding }];
  }

  get lastIndex(): LogIndex {
    return this.start.index + this.log.length;
  }

  term(index: LogIndex): Term | undefined {
    return index === this.start.index ? this.start.term : this.entry(index)?.term;
  }

  entry(index: LogIndex): Entry | undefined {
    return this.log[index - this.start.index - 1];
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number, maxCount: number): Entry[] {
    const result: Entry[] = [];
    let bytes = 0;
    for (const entry of this.log.slice(from - this.start.index - 1, to - this.start.index)) {
      bytes += payloadBytes(entry);
      if (result.length >= maxCount || (result.length > 0 && bytes > maxBytes)) break;
      result.push(entry);
    }
    return result;
  }

  persist({ hardState, chunks, abandonReception, truncateFrom, append }: Effects): void {
    if (hardState) this.hardState = hardState;
    if (abandonReception) this.receiving = null;
    for (const chunk of chunks) this.receive(chunk);
    if (truncateFrom !== null) {
      this.log.length = truncateFrom - 1 - this.start.index;
      this.configurations = this.configurations.filter(({ index }) => index < truncateFrom);
    }
    for (const entry of append) {
      if (entry.index !== this.lastIndex + 1) throw new Error(`gap before entry ${entry.index}`);
      this.log.push(entry);
      if (entry.payload.type === 'configuration')
        this.configurations.push({
          index: entry.index,
          configuration: entry.payload.configuration,
        });
    }
  }

  private receive({ id, first, next, install }: ReceivedChunk): void {
    if (!first && this.receiving?.id !== id) throw new Error(`a chunk of ${id} without its first`);
    this.receiving = next === null ? null : { id, cursor: next };
    if (!install) return;
    const { index, term, configuration } = install;
    if (index <= this.applied) throw new Error(`snapshot ${index} installed over ${this.applied}`);
    this.start = { index, term };
    this.log = [];
    this.applied = index;
    this.configurations = [{ index, configuration }];
  }

  compact(start: { index: LogIndex; term: Term }): void {
    this.log = this.log.slice(start.index - this.start.index);
    this.start = start;
  }

  /** A view of what is applied now. */
  openSnapshot(): SnapshotMeta {
    const index = this.applied;
    const { configuration } = this.configurations
      .filter((known) => known.index <= index)
      .at(-1) ?? {
      configuration: undefined,
    };
    const term = this.term(index);
    if (!configuration || term === undefined) throw new Error(`no snapshot at ${index}`);
    this.snapshots += 1;
    this.snapshot = { id: `${this.name}${this.snapshots}`, index, term, configuration };
    return this.snapshot;
  }

  /** Three chunks each, so that there is a first, a middle and a last one. */
  chunk(id: string, cursor: string): { data: Uint8Array; next: string | null } | null {
    if (this.snapshot?.id !== id) return null;
    const next = cursor === '' ? '1' : cursor === '1' ? '2' : null;
    return { data: new Uint8Array(), next };
  }

  bootState(): BootState {
    const { index, term = 0 } = this.log.at(-1) ?? this.start;
    return {
      hardState: this.hardState,
      logStart: { ...this.start },
      last: { index, term },
      applied: this.applied,
      configurations: this.configurations.slice(-2),
      snapshot: this.snapshot,
      receiving: this.receiving,
      canApply: true,
    };
  }

  /** A copy, as a backup would hold it: for the scenario of a member that goes back in time. */
  copy(): Storage {
    const copy = new Storage({ voters: [], outgoing: [], learners: [] });
    copy.restore(this);
    return copy;
  }

  restore(from: Storage): void {
    this.hardState = from.hardState;
    this.log = [...from.log];
    this.configurations = [...from.configurations];
    this.applied = from.applied;
    this.boot = from.boot;
    this.start = from.start;
    this.snapshot = null;
    this.receiving = null;
    this.wentBack = true;
  }
}

export function startingStorage(configuration: Configuration, start: Start, name: string): Storage {
  const storage = new Storage(configuration, name);
  const { terms = [], vote = null, termLeader = null, termLeaderBoot = 1, applied = 0 } = start;
  storage.log = terms.map((term, at) => entry(at + 1, term));
  storage.hardState = {
    term: start.term ?? terms.at(-1) ?? 0,
    vote: vote as MemberId | null,
    termLeader: termLeader as MemberId | null,
    termLeaderBoot: termLeader === null ? 0 : termLeaderBoot,
  };
  storage.applied = applied;
  storage.boot = start.terms || start.term ? 1 : 0;
  return storage;
}

/** A superseded life that reads finds out as well as one that writes. */
export function ownedReader(storage: Storage, owner: { superseded: boolean }): LogReader {
  const check = () => {
    if (owner.superseded) throw new Error('storage belongs to another life');
  };
  return {
    term: (index) => {
      check();
      return storage.term(index);
    },
    entries: (from, to, maxBytes, maxCount) => {
      check();
      return storage.entries(from, to, maxBytes, maxCount);
    },
  };
}
