/**
 * Compacts by itself what is older than the deployment keeps: so many revisions, or so long. The leader does it on
 * the back of work, with an entry as a client's, and never by a timer: a tenant at rest keeps what it has
 * until somebody writes again.
 *
 * For a time every member notes now and then which revision it had, a tenth of the time apart: in rows, since
 * a life is shorter than the history that is kept, and everywhere, since another one may lead by then.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../api/gen/command_pb.js';
import { AlarmType } from '../api/gen/maintenance_pb.js';
import { asCaller } from '../kv/auth/as.ts';
import type { Sql } from '../kv/sql.ts';
import type { StateMachine } from '../kv/state-machine.ts';
import type { Platform } from './platform.ts';
import type { Proposals } from './proposals.ts';

/** Notes within the time that is kept, and fewest revisions, or this part of those kept, that are worth an entry. */
const parts = 10;
const leastRevisions = 100;
/** After an entry that changed nothing, or whose outcome is unknown. */
const againMs = 60_000;

const findTable = "SELECT 1 FROM sqlite_master WHERE name = 'compaction_note'";
const createTable = `CREATE TABLE IF NOT EXISTS compaction_note (
  at INTEGER NOT NULL PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID`;
/** Of a member that ends; others may never have made it. */
export const dropNotes = 'DROP TABLE IF EXISTS compaction_note';

interface Note {
  /** Wall time. */
  readonly at: number;
  readonly revision: number;
}

export class AutoCompaction {
  private readonly platform: Platform;
  private readonly machine: StateMachine;
  private readonly proposals: Proposals;
  private notes: Note[];
  private hasTable: boolean;
  private isProposed = false;
  private againAt = 0;

  constructor(platform: Platform, machine: StateMachine, proposals: Proposals) {
    this.platform = platform;
    this.machine = machine;
    this.proposals = proposals;
    const isPeriodic = platform.settings.autoCompaction?.mode === 'periodic';
    this.hasTable = isPeriodic && platform.sql.first(findTable) !== undefined;
    this.notes = this.hasTable ? readNotes(platform.sql) : [];
  }

  /** Within a transaction that writes anyway: which revision is here by now. */
  note(): void {
    const { autoCompaction } = this.platform.settings;
    if (autoCompaction?.mode !== 'periodic') return;
    const now = this.platform.wallTime();
    const { retentionMs } = autoCompaction;
    const last = this.notes.at(-1);
    // The clock has been set back: what was noted then is of no time that has come.
    const isAhead = last !== undefined && last.at > now;
    if (last && !isAhead && now - last.at < retentionMs / parts) return;
    const past = isAhead ? this.notes.filter(({ at }) => at <= now) : this.notes;
    const due = past.findLastIndex(({ at }) => at <= now - retentionMs);
    this.notes = [...past.slice(Math.max(0, due)), { at: now, revision: this.machine.revision }];
    this.save(now);
  }

  private save(now: number): void {
    const { sql } = this.platform;
    if (!this.hasTable) sql.run(createTable);
    this.hasTable = true;
    const [first] = this.notes;
    sql.run('DELETE FROM compaction_note WHERE at < ? OR at >= ?', first?.at ?? now, now);
    sql.run('INSERT INTO compaction_note VALUES (?, ?)', now, this.machine.revision);
  }

  /** At the leader, in a turn. `knowsUsers`: whether the rules in use do. */
  proposeDue(knowsUsers: () => boolean): void {
    if (!this.platform.settings.autoCompaction || this.isProposed) return;
    const revision = this.due();
    if (revision <= Math.max(0, this.machine.compactRevision)) return;
    if (this.platform.now() < this.againAt) return;
    if (this.machine.alarms.isRaised(AlarmType.CORRUPT)) return;
    const value = { revision: BigInt(revision), physical: false };
    const op = { case: 'compact' as const, value };
    const command = toBinary(CommandSchema, create(CommandSchema, { op }));
    this.isProposed = this.proposals.enqueue({
      command: knowsUsers() ? asCaller({ kind: 'operator' }, command) : command,
      queuedAt: this.platform.now(),
      proposed: false,
      settle: () => {
        this.isProposed = false;
        const isDone = this.machine.compactRevision >= revision;
        this.againAt = isDone ? 0 : this.platform.now() + againMs;
      },
    });
  }

  /** What lies before it is kept no longer; 0: nothing. */
  private due(): number {
    const { autoCompaction } = this.platform.settings;
    const { revision, compactRevision } = this.machine;
    switch (autoCompaction?.mode) {
      case 'revision': {
        const { revisions } = autoCompaction;
        const due = revision - revisions;
        const least = Math.max(leastRevisions, Math.ceil(revisions / parts));
        return due - Math.max(0, compactRevision) >= least ? due : 0;
      }
      case 'periodic': {
        const before = this.platform.wallTime() - autoCompaction.retentionMs;
        return this.notes.findLast(({ at }) => at <= before)?.revision ?? 0;
      }
      default:
        return 0;
    }
  }
}

function readNotes(sql: Sql): Note[] {
  const rows = sql.all('SELECT at, revision FROM compaction_note ORDER BY at');
  return rows.map(([at, revision]) => ({ at: at as number, revision: revision as number }));
}
