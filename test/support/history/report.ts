/** What a check has found, bounded: a broken history breaks in many places at once. */
export type Rule =
  /** Two acknowledged writes at one revision. */
  | 'one write a revision'
  /** A revision that no acknowledged write has, nor one of unknown outcome can have. */
  | 'every revision is written'
  /** An operation is behind one that had ended before it began. */
  | 'real time'
  /** As real time, within one client. */
  | 'client order'
  /** As real time, within what one member served. */
  | 'member order'
  /** A read differs from the state at its revision, or shows a later one. */
  | 'reads show the state'
  /** A compare, or what a delete says of its key, differs from the state. */
  | 'answers fit the state'
  | 'a failed write is never seen'
  /** A write shows at two revisions. */
  | 'a write takes effect once';

export interface Violation {
  readonly rule: Rule;
  readonly text: string;
}

const violationsMax = 20;

export class Report {
  readonly violations: Violation[] = [];
  /** All of them, also those that are not kept. */
  count = 0;

  add(rule: Rule, text: string): void {
    this.count += 1;
    if (this.violations.length < violationsMax) this.violations.push({ rule, text });
  }
}
