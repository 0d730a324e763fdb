/**
 * The durable half of the log: rows of raft_log, raft_hard_state and raft_configuration.
 *
 * `persist` is called inside the turn's transaction. `loadBoot` reads a fixed number of rows,
 * whatever the length of the log.
 */
import type { Sql } from '../kv/sql.ts';
import type { Configuration } from '../raft/configuration.ts';
import type {
  BootState,
  Effects,
  Entry,
  HardState,
  LogIndex,
  LogReader,
  MemberId,
  Payload,
  Term,
} from '../raft/types.ts';
import { unreachable } from '../raft/types.ts';
import { decodeConfiguration, encodeConfiguration } from './codec.ts';

const kindNoop = 0;
const kindData = 1;
const kindConfiguration = 2;

/** Rows that a new member begins with: term 0, and the founding configuration at index 0. */
export function initialize(sql: Sql, founding: Configuration): void {
  sql.run('INSERT INTO raft_hard_state VALUES (1, 0, NULL, NULL, 0)');
  sql.run('INSERT INTO raft_configuration VALUES (0, ?)', encodeConfiguration(founding));
}

export function loadBoot(sql: Sql, applied: LogIndex): BootState {
  const first = sql.first('SELECT idx FROM raft_log ORDER BY idx LIMIT 1');
  const last = sql.first('SELECT idx, term FROM raft_log ORDER BY idx DESC LIMIT 1');
  // The log is not compacted yet: it begins after index 0.
  if (first && Number(first[0]) !== 1) throw new Error('the log does not begin at 1');
  return {
    hardState: loadHardState(sql),
    logStart: { index: 0, term: 0 },
    last: last ? { index: Number(last[0]), term: Number(last[1]) } : { index: 0, term: 0 },
    applied,
    configurations: sql
      .all('SELECT idx, data FROM raft_configuration ORDER BY idx DESC LIMIT 2')
      .map(([index, data]) => ({
        index: Number(index),
        configuration: decodeConfiguration(data as Uint8Array),
      }))
      .reverse(),
    snapshot: null,
    receiving: null,
    canApply: true,
  };
}

function loadHardState(sql: Sql): HardState {
  const row = sql.first('SELECT term, vote, term_leader, term_leader_boot FROM raft_hard_state');
  if (!row) throw new Error('a member of a group has its hard state');
  const [term, vote, termLeader, termLeaderBoot] = row;
  return {
    term: Number(term),
    vote: vote as MemberId | null,
    termLeader: termLeader as MemberId | null,
    termLeaderBoot: Number(termLeaderBoot),
  };
}

export function persist(sql: Sql, effects: Effects): void {
  const { hardState, truncateFrom, append } = effects;
  if (hardState) {
    const { term, vote, termLeader, termLeaderBoot } = hardState;
    sql.run(
      'UPDATE raft_hard_state SET term = ?, vote = ?, term_leader = ?, term_leader_boot = ?',
      term,
      vote,
      termLeader,
      termLeaderBoot,
    );
  }
  if (truncateFrom !== null) {
    sql.run('DELETE FROM raft_log WHERE idx >= ?', truncateFrom);
    sql.run('DELETE FROM raft_configuration WHERE idx >= ?', truncateFrom);
  }
  for (const entry of append) insert(sql, entry);
}

function insert(sql: Sql, { index, term, payload }: Entry): void {
  const [kind, data] = encodePayload(payload);
  sql.run('INSERT INTO raft_log VALUES (?, ?, ?, ?)', index, term, kind, data);
  if (payload.type === 'configuration')
    sql.run('INSERT INTO raft_configuration VALUES (?, ?)', index, data);
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

export class SqlLogReader implements LogReader {
  private readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
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

function decodePayload(kind: number, data: Uint8Array | null): Payload {
  if (kind === kindData && data) return { type: 'data', data };
  if (kind === kindConfiguration && data)
    return { type: 'configuration', configuration: decodeConfiguration(data) };
  if (kind === kindNoop) return { type: 'noop' };
  throw new Error(`log entry of unknown kind ${kind}`);
}
