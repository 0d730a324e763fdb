/**
 * Whether what a watcher was told is the history: ordered, each revision once and as a whole, none left
 * out, the same for all watchers as for the writers, and progress never ahead of the events.
 *
 * It rests on how the load is made (load.ts): every transaction writes the same keys, all with the
 * transaction's own name as their value, and nobody else writes. So a watch of any of those keys is told of
 * every revision, and the revisions have no holes.
 */
export interface Told {
  readonly key: string;
  readonly value: string;
}

const violationsMax = 20;

/** What is known of each revision: the name of the transaction that made it. */
export class Ledger {
  readonly violations: string[] = [];
  private readonly names = new Map<number, string>();
  private readonly revisions = new Map<string, number>();
  acknowledged = 0;

  /** A writer was told so. */
  acknowledge(revision: number, name: string): void {
    this.acknowledged += 1;
    this.record('a writer', revision, name);
  }

  record(who: string, revision: number, name: string): void {
    const known = this.names.get(revision);
    if (known === name) return;
    if (known !== undefined) {
      this.complain(`${who}: revision ${revision} is of ${name}, and of ${known} to somebody else`);
      return;
    }
    const elsewhere = this.revisions.get(name);
    if (elsewhere !== undefined)
      this.complain(`${who}: ${name} made revision ${revision}, and ${elsewhere} before`);
    this.names.set(revision, name);
    this.revisions.set(name, revision);
  }

  get lastRevision(): number {
    return Math.max(0, ...this.names.keys());
  }

  complain(what: string): void {
    if (this.violations.length < violationsMax) this.violations.push(what);
  }
}

export class Judge {
  readonly name: string;
  /** Keys that each revision has for this watcher. */
  private readonly keys: readonly string[];
  private readonly ledger: Ledger;
  /** The last revision that was told; 0: none. */
  last = 0;
  events = 0;
  progressHeard = 0;

  /** `from`: the first revision that is to be told; null: whichever comes first. */
  constructor(name: string, keys: readonly string[], from: number | null, ledger: Ledger) {
    this.name = name;
    this.keys = keys;
    this.ledger = ledger;
    if (from !== null) this.last = from - 1;
  }

  /** All that one message says of one revision. */
  hear(revision: number, told: readonly Told[]): void {
    const complain = (what: string) => this.ledger.complain(`${this.name}: ${what}`);
    this.events += told.length;
    if (revision <= this.last) complain(`revision ${revision} after ${this.last}`);
    else if (this.last > 0 && revision > this.last + 1)
      complain(`nothing between ${this.last} and ${revision}`);
    const names = new Set(told.map(({ value }) => value));
    if (names.size !== 1) complain(`revision ${revision} is of ${[...names].join(' and ')}`);
    const keys = told.map(({ key }) => key).join();
    if (keys !== this.keys.join()) complain(`revision ${revision} has ${keys}`);
    for (const name of names) this.ledger.record(this.name, revision, name);
    this.last = Math.max(this.last, revision);
  }

  progress(revision: number): void {
    this.progressHeard += 1;
    if (this.last > 0 && revision > this.last)
      this.ledger.complain(`${this.name}: progress ${revision} after the events of ${this.last}`);
  }

  /** Nothing more comes. */
  end(lastRevision: number): void {
    if (this.last !== lastRevision)
      this.ledger.complain(`${this.name}: told up to ${this.last} of ${lastRevision}`);
  }
}
