/**
 * The durable half of the core: rows of raft_log, raft_hard_state, raft_configuration and
 * raft_snapshot.
 *
 * What writes is called inside the turn's transaction. `boot` reads a fixed number of rows, whatever
 * the length of the log.
 */
import type { Sql } from '../kv/sql.ts';
import type { Configuration } from '../raft/configuration.ts';
import { noEffects } from '../raft/effects.ts';
import { payloadBytes } from '../raft/log.ts';
import type {
  BootState,
  Effects,
  Entry,
  HardState,
  LogIndex,
  LogReader,
  MemberId,
  Payload,
  SnapshotMeta,
  Term,
} from '../raft/types.ts';
import { unreachable } from '../raft/types.ts';
import { dropNotes } from './auto-compaction.ts';
import { decodeConfiguration, encodeConfiguration } from './codec.ts';

const kindNoop = 0;
const kindData = 1;
const kindConfiguration = 2;

/** The first entry's own data are counted too. */
const selectBytesBefore =
  'SELECT bytes_to - coalesce(length(data), 0) FROM raft_log ORDER BY idx LIMIT 1';

type LogPosition = BootState['logStart'];

/** Rows that a new member begins with: term 0, and the founding configuration at index 0. */
export function initialize(sql: Sql, founding: Configuration): void {
  sql.run('INSERT INTO raft_hard_state VALUES (1, 0, NULL, NULL, 0, 0, 0, 0)');
  sql.run('INSERT INTO raft_configuration VALUES (0, ?)', encodeConfiguration(founding));
}

/**
 * Rows of the first member of a group whose state is that after `index` of another log: it begins after
 * that, in a term of its own.
 */
export function initializeAfter(sql: Sql, index: LogIndex, founding: Configuration): void {
  const term = 1;
  initialize(sql, founding);
  new LogStore(sql).reset({ id: '', index, term, configuration: founding });
  sql.run('UPDATE raft_hard_state SET term = ?', term);
}

/**
 * Recovery from a lost quorum: a configuration of the survivor alone is the last entry of its log, of
 * a term of its own. Whoever campaigns with that wins alone and commits all there is.
 */
export function takeOver(sql: Sql, configuration: Configuration, now: number): void {
  const log = new LogStore(sql);
  const { hardState, last } = log.boot();
  const term = Math.max(hardState.term, last.term) + 1;
  const payload = { type: 'configuration', configuration } as const;
  const effects = {
    ...noEffects(),
    hardState: { term, vote: null, termLeader: null, termLeaderBoot: 0 },
    append: [{ index: last.index + 1, term, payload }],
  };
  log.persist(effects, now);
}

const tables = [
  ...['raft_log', 'raft_hard_state', 'raft_configuration', 'raft_snapshot'],
  'lease_deadline',
];

/** Forgets everything of a member, so that its place can be another one. */
export function clearLog(sql: Sql): void {
  for (const table of tables) sql.run(`DELETE FROM ${table}`);
  sql.run(dropNotes);
}

/** Who leads a term, and the wall time at which that was first known here. */
export interface LeaderMark {
  readonly term: Term;
  readonly leader: MemberId | null;
  readonly at: number;
}

export class LogStore implements LogReader {
  private readonly sql: Sql;
  /** As it is durable. */
  mark: LeaderMark = { term: 0, leader: null, at: 0 };
  /** bytes_to of the last row; null: not read yet. */
  private bytesTo: number | null = null;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  boot(): Omit<BootState, 'applied' | 'receiving' | 'canApply'> {
    const { hardState, logStart } = this.loadHardState();
    const last = this.sql.first('SELECT idx, term FROM raft_log ORDER BY idx DESC LIMIT 1');
    return {
      hardState,
      logStart,
      last: last ? { index: Number(last[0]), term: Number(last[1]) } : logStart,
      configurations: this.sql
        .all('SELECT idx, data FROM raft_configuration ORDER BY idx DESC LIMIT 2')
        .map(([index, data]) => ({
          index: Number(index),
          configuration: decodeConfiguration(data as Uint8Array),
        }))
        .reverse(),
      snapshot: this.loadSnapshot(),
    };
  }

  private loadHardState(): { hardState: HardState; logStart: LogPosition } {
    const row = this.sql.first(
      `SELECT term, vote, term_leader, term_leader_boot, start_index, start_term, marked_at
       FROM raft_hard_state`,
    );
    if (!row) throw new Error('a member of a group has its hard state');
    const [term, vote, termLeader, termLeaderBoot, startIndex, startTerm, markedAt] = row;
    const leader = termLeader as MemberId | null;
    this.mark = { term: Number(term), leader, at: Number(markedAt) };
    return {
      hardState: {
        term: Number(term),
        vote: vote as MemberId | null,
        termLeader: leader,
        termLeaderBoot: Number(termLeaderBoot),
      },
      logStart: { index: Number(startIndex), term: Number(startTerm) },
    };
  }

  private loadSnapshot(): SnapshotMeta | null {
    const row = this.sql.first('SELECT id, idx, term, configuration FROM raft_snapshot');
    if (!row) return null;
    const [id, index, term, configuration] = row;
    return {
      id: String(id),
      index: Number(index),
      term: Number(term),
      configuration: decodeConfiguration(configuration as Uint8Array),
    };
  }

  /** Hard state, truncation and entries; an installed snapshot is `reset` before. */
  persist({ hardState, truncateFrom, append }: Effects, now: number): void {
    const { sql } = this;
    if (hardState) this.saveHardState(hardState, now);
    if (truncateFrom !== null) {
      sql.run('DELETE FROM raft_log WHERE idx >= ?', truncateFrom);
      sql.run('DELETE FROM raft_configuration WHERE idx >= ?', truncateFrom);
      this.bytesTo = null;
    }
    for (const entry of append) this.insert(entry);
  }

  private saveHardState({ term, vote, termLeader, termLeaderBoot }: HardState, now: number): void {
    if (term !== this.mark.term || termLeader !== this.mark.leader)
      this.mark = { term, leader: termLeader, at: now };
    this.sql.run(
      `UPDATE raft_hard_state
       SET term = ?, vote = ?, term_leader = ?, term_leader_boot = ?, marked_at = ?`,
      term,
      vote,
      termLeader,
      termLeaderBoot,
      this.mark.at,
    );
  }

  private insert(entry: Entry): void {
    const { index, term, payload } = entry;
    const [kind, data] = encodePayload(payload);
    this.bytesTo = this.lastBytesTo() + payloadBytes(entry);
    this.sql.run(
      'INSERT INTO raft_log VALUES (?, ?, ?, ?, ?)',
      index,
      term,
      kind,
      data,
      this.bytesTo,
    );
    if (payload.type === 'configuration')
      this.sql.run('INSERT INTO raft_configuration VALUES (?, ?)', index, data);
  }

  private lastBytesTo(): number {
    this.bytesTo ??= Number(
      this.sql.first('SELECT bytes_to FROM raft_log ORDER BY idx DESC LIMIT 1')?.[0] ?? 0,
    );
    return this.bytesTo;
  }

  /** An installed snapshot takes the place of the whole log (consensus-rules.md 5). */
  reset({ index, term, configuration }: SnapshotMeta): void {
    const { sql } = this;
    sql.run('DELETE FROM raft_log');
    sql.run('DELETE FROM raft_configuration');
    sql.run(
      'INSERT INTO raft_configuration VALUES (?, ?)',
      index,
      encodeConfiguration(configuration),
    );
    this.moveStart({ index, term });
    this.bytesTo = null;
  }

  /** Deletes the entries up to the new start of the log, and what only they needed. */
  compact(start: LogPosition): void {
    this.sql.run('DELETE FROM raft_log WHERE idx <= ?', start.index);
    this.sql.run(
      `DELETE FROM raft_configuration WHERE idx < (
         SELECT max(idx) FROM raft_configuration WHERE idx <= ?)`,
      start.index,
    );
    this.moveStart(start);
  }

  private moveStart({ index, term }: LogPosition): void {
    this.sql.run('UPDATE raft_hard_state SET start_index = ?, start_term = ?', index, term);
  }

  /** Bytes of data in all entries that this member has written. Reads a row once in a life. */
  get bytesEver(): number {
    return this.lastBytesTo();
  }

  /** Bytes of data in the entries after `index`. Reads two rows. */
  bytesAfter(index: LogIndex): number {
    const first = this.sql.first('SELECT bytes_to FROM raft_log WHERE idx = ?', index + 1);
    return first ? this.lastBytesTo() - Number(first[0]) : 0;
  }

  /** Bytes of data in all entries. Reads two rows. */
  bytes(): number {
    const first = this.sql.first(selectBytesBefore);
    return first ? this.lastBytesTo() - Number(first[0]) : 0;
  }

  saveSnapshot({ id, index, term, configuration }: SnapshotMeta): void {
    this.sql.run(
      'INSERT OR REPLACE INTO raft_snapshot VALUES (1, ?, ?, ?, ?)',
      id,
      index,
      term,
      encodeConfiguration(configuration),
    );
  }

  forgetSnapshot(): void {
    this.sql.run('DELETE FROM raft_snapshot');
  }

  /** The configuration in force at an applied index. */
  configurationAt(index: LogIndex): Configuration {
    const row = this.sql.first(
      'SELECT data FROM raft_configuration WHERE idx <= ? ORDER BY idx DESC LIMIT 1',
      index,
    );
    if (!row) throw new Error(`no configuration at ${index}`);
    return decodeConfiguration(row[0] as Uint8Array);
  }

  /** Data of the last entry that has any, from `from` on; undefined: none. */
  lastData(from: LogIndex): Uint8Array | undefined {
    const row = this.sql.first(
      'SELECT data FROM raft_log WHERE idx >= ? AND kind = ? ORDER BY idx DESC LIMIT 1',
      from,
      kindData,
    );
    return row?.[0] as Uint8Array | undefined;
  }

  term(index: LogIndex): Term | undefined {
    const row = this.sql.first('SELECT term FROM raft_log WHERE idx = ?', index);
    return row && Number(row[0]);
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number, maxCount: number): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    const query =
      'SELECT idx, term, kind, data FROM raft_log WHERE idx >= ? AND idx <= ? ORDER BY idx LIMIT ?';
    for (const [index, term, kind, data] of this.sql.iterate(query, from, to, maxCount)) {
      const payload = decodePayload(Number(kind), data as Uint8Array | null);
      bytes += data instanceof Uint8Array ? data.length : 0;
      if (entries.length > 0 && bytes > maxBytes) break;
      entries.push({ index: Number(index), term: Number(term), payload });
    }
    return entries;
  }
}

function encodePayload(payload: Payload): [number, Uint8Array | null] {
  switch (payload.type) {
    case 'noop':
      return [kindNoop, null];
    case 'data':
      return [kindData, payload.data];
    case 'configuration':
      return [kindConfiguration, encodeConfiguration(payload.configuration)];
    default:
      return unreachable(payload);
  }
}

function decodePayload(kind: number, data: Uint8Array | null): Payload {
  if (kind === kindData && data) return { type: 'data', data };
  if (kind === kindConfiguration && data)
    return { type: 'configuration', configuration: decodeConfiguration(data) };
  if (kind === kindNoop) return { type: 'noop' };
  throw new Error(`log entry of unknown kind ${kind}`);
}
