/**
 * The deadlines of all leases while this member leads: its own rows, read in bounded pages when an
 * office begins or goes on, and kept up with what is applied (docs/decisions/leases.md).
 *
 * Rule 7: a lease without a row of this office and grant ends one TTL after the office began, or after
 * its grant was applied here, which writes a row. So a life that resumes its office keeps every
 * deadline, and only a new term gives every lease its whole TTL again.
 */
import type { Lease, LeaseChanges, StateMachine } from '../kv/state-machine.ts';
import type { Term } from '../raft/types.ts';
import { LeaseDeadlines } from './lease-deadlines.ts';
import { type DeadlineRow, LeaseRows } from './lease-rows.ts';
import type { Platform } from './platform.ts';

/** Between the clocks of two lives of a member, and of the members. */
export const skewAllowanceMs = 500;
const leasesPerPage = 128;

/** A term in which this member leads, and the wall time at which it began. */
export interface Office {
  readonly term: Term;
  readonly beganAt: number;
}

export class LeaseClock {
  private readonly platform: Platform;
  private readonly machine: StateMachine;
  private readonly rows: LeaseRows;
  private readonly onLoaded: () => void;
  private office: Office | null = null;
  private loading: Generator<void, void> | null = null;
  deadlines = new LeaseDeadlines();

  /** `onLoaded` is called when the deadlines of a large office are known, not within a turn. */
  constructor(platform: Platform, machine: StateMachine, onLoaded: () => void) {
    this.platform = platform;
    this.machine = machine;
    this.rows = new LeaseRows(platform.sql);
    this.onLoaded = onLoaded;
  }

  get isRunning(): boolean {
    return this.office !== null;
  }

  /** Not all deadlines are known yet. */
  get isLoading(): boolean {
    return this.loading !== null;
  }

  /** Begins with the office that this member holds now, and ends with it. */
  hold(office: Office | null): void {
    if (office?.term === this.office?.term) return;
    this.office = office;
    this.deadlines = new LeaseDeadlines();
    this.loading = null;
    if (!office) return;
    const loading = this.load(office);
    if (loading.next().done) return;
    this.loading = loading;
    void this.goOn(loading);
  }

  /** Within the transaction that holds the changes. */
  follow({ granted, ended }: LeaseChanges): void {
    if (!this.office) return;
    for (const { id } of ended) {
      this.deadlines.remove(id);
      this.rows.remove(id);
    }
    for (const lease of granted) {
      if (lease.ttl === 0) this.deadlines.end(lease);
      else this.restart(lease);
    }
  }

  /** Within a transaction: the whole TTL from now on. */
  restart(lease: Lease): void {
    if (!this.office) throw new Error('only a leader keeps leases alive');
    const { term } = this.office;
    const { id, grant } = lease;
    const at = deadline(lease, this.platform.wallTime());
    this.deadlines.set(lease, at);
    this.rows.save({ id, grant, at, term });
  }

  private async goOn(loading: Generator<void, void>): Promise<void> {
    try {
      while (this.loading === loading) {
        await this.platform.yieldTurn();
        if (this.loading !== loading) return;
        if (loading.next().done) this.loading = null;
      }
    } catch (error) {
      this.platform.abort(`deadlines of leases: ${String(error)}`);
      return;
    }
    this.onLoaded();
  }

  private *load({ term, beganAt }: Office): Generator<void, void> {
    const rows = yield* this.readRows();
    for (let after: bigint | null = null; ; yield) {
      const page: Lease[] = this.machine.leasePage(after, leasesPerPage);
      for (const lease of page) {
        const row = rows.get(lease.id);
        // A row of an older office or of an older grant of this id says nothing (rule 7).
        const isValid = row?.term === term && row.grant === lease.grant;
        if (lease.ttl === 0) this.deadlines.end(lease);
        else this.deadlines.set(lease, isValid ? row.at : deadline(lease, beganAt));
        if (isValid) rows.delete(lease.id);
      }
      after = page.at(-1)?.id ?? null;
      if (page.length < leasesPerPage) break;
    }
    if (rows.size > 0) yield* this.forget([...rows.values()]);
  }

  private *readRows(): Generator<void, Map<bigint, DeadlineRow>> {
    const rows = new Map<bigint, DeadlineRow>();
    for (let after: bigint | null = null; ; yield) {
      const page: DeadlineRow[] = this.rows.page(after, leasesPerPage);
      for (const row of page) rows.set(row.id, row);
      after = page.at(-1)?.id ?? null;
      if (page.length < leasesPerPage) return rows;
    }
  }

  private *forget(rows: readonly DeadlineRow[]): Generator<void, void> {
    for (let from = 0; from < rows.length; from += leasesPerPage) {
      // Not within the turn that began this.
      yield;
      this.platform.transaction(() => {
        for (const row of rows.slice(from, from + leasesPerPage)) this.rows.removeOld(row);
      });
    }
  }
}

function deadline({ ttl }: Lease, from: number): number {
  return from + ttl * 1_000 + skewAllowanceMs;
}
