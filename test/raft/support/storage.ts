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

  constructor(founding: Configuration) {
    this.configurations = [{ index: 0, configuration: founding }];
  }

  get lastIndex(): LogIndex {
    return this.log.length;
  }

  term(index: LogIndex): Term | undefined {
    return index === 0 ? 0 : this.log[index - 1]?.term;
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number, maxCount: number): Entry[] {
    const result: Entry[] = [];
    let bytes = 0;
    for (const entry of this.log.slice(from - 1, to)) {
      bytes += payloadBytes(entry);
      if (result.length >= maxCount || (result.length > 0 && bytes > maxBytes)) break;
      result.push(entry);
    }
    return result;
  }

  persist({ hardState, truncateFrom, append }: Effects): void {
    if (hardState) this.hardState = hardState;
    if (truncateFrom !== null) {
      this.log.length = truncateFrom - 1;
      this.configurations = this.configurations.filter(({ index }) => index < truncateFrom);
    }
    for (const entry of append) {
      if (entry.index !== this.log.length + 1) throw new Error(`gap before entry ${entry.index}`);
      this.log.push(entry);
      if (entry.payload.type === 'configuration')
        this.configurations.push({
          index: entry.index,
          configuration: entry.payload.configuration,
        });
    }
  }

  bootState(): BootState {
    const last = this.log.at(-1);
    return {
      hardState: this.hardState,
      logStart: { index: 0, term: 0 },
      last: last ? { index: last.index, term: last.term } : { index: 0, term: 0 },
      applied: this.applied,
      configurations: this.configurations.slice(-2),
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
  }
}

export function startingStorage(configuration: Configuration, start: Start): Storage {
  const storage = new Storage(configuration);
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
