/**
 * What writers know of their writes, held against the history: what was acknowledged is there, at that revision and
 * whole; what was never sent is not; of what nobody knows it is there once, or not at all; and there is nothing else.
 */
import type { Change } from '../../changes.ts';
import type { Violations } from './judge.ts';

export type Outcome =
  | { readonly type: 'acknowledged'; readonly revision: number }
  /** Acknowledged: there was nothing to delete. */
  | { readonly type: 'nothing' }
  | { readonly type: 'unsent' }
  | { readonly type: 'unknown' };

/** All values that a write puts begin with its name and a space. */
export interface Write {
  readonly name: string;
  readonly puts: readonly string[];
  /** Deleted if they are there. */
  readonly deletes: readonly string[];
  outcome: Outcome;
}

export class Writes {
  private readonly violations: Violations;
  private readonly all = new Map<string, Write>();

  constructor(violations: Violations) {
    this.violations = violations;
  }

  /** Until it is answered nobody knows. */
  begin(puts: readonly string[], deletes: readonly string[]): Write {
    const name = `n${this.all.size}`;
    const write: Write = { name, puts, deletes, outcome: { type: 'unknown' } };
    this.all.set(name, write);
    return write;
  }

  count(type: Outcome['type']): number {
    return [...this.all.values()].filter(({ outcome }) => outcome.type === type).length;
  }

  get acknowledgedPuts(): number {
    const isOne = ({ puts, outcome }: Write) => puts.length > 0 && outcome.type === 'acknowledged';
    return [...this.all.values()].filter(isOne).length;
  }

  /** `changes`: the whole history of what is written. */
  judge(changes: readonly Change[]): void {
    const seen = new Set<Write>();
    for (const group of byRevision(changes)) {
      const revision = (group[0] as Change).revision;
      const write = this.writeOf(group, seen);
      if (write === null) {
        this.violations.complain(`nobody wrote revision ${revision}`);
        continue;
      }
      const complain = (what: string) =>
        this.violations.complain(`${write.name} of revision ${revision} ${what}`);
      if (seen.has(write)) complain('is there twice');
      seen.add(write);
      const keys = (isPut: boolean) =>
        group.filter(({ value }) => (value !== null) === isPut).map(({ key }) => key);
      if (keys(true).sort().join() !== [...write.puts].sort().join())
        complain(`has put ${keys(true)}`);
      if (keys(false).some((key) => !write.deletes.includes(key)))
        complain(`has deleted ${keys(false)}`);
      const { outcome } = write;
      if (outcome.type === 'unsent') complain('was said to have gone nowhere');
      if (outcome.type === 'acknowledged' && outcome.revision !== revision)
        complain(`was acknowledged as ${outcome.revision}`);
    }
    for (const write of this.all.values())
      if (write.outcome.type === 'acknowledged' && !seen.has(write))
        this.violations.complain(`${write.name} was acknowledged and is not there`);
  }

  /** A revision that puts says by its values whose it is. One that only deletes is somebody's who deletes that key. */
  private writeOf(group: readonly Change[], seen: ReadonlySet<Write>): Write | null {
    const names = new Set(group.flatMap(({ value }) => (value === null ? [] : nameIn(value))));
    if (names.size > 1) return null;
    const [name] = names;
    if (name !== undefined) return this.all.get(name) ?? null;
    const { key, revision } = group[0] as Change;
    const deletes = [...this.all.values()].filter(
      (write) => write.puts.length === 0 && write.deletes.includes(key) && !seen.has(write),
    );
    const isIts = ({ outcome }: Write) =>
      outcome.type === 'acknowledged' && outcome.revision === revision;
    return (
      deletes.find(isIts) ?? deletes.find(({ outcome: { type } }) => type === 'unknown') ?? null
    );
  }
}

const nameIn = (value: string) => value.split(' ', 1);

function byRevision(changes: readonly Change[]): Change[][] {
  const groups: Change[][] = [];
  for (const change of changes) {
    const last = groups.at(-1);
    if (last?.[0]?.revision === change.revision) last.push(change);
    else groups.push([change]);
  }
  return groups;
}
