/**
 * What no member knows: who led in which term, what was ever committed, where reads began.
 *
 * It is part of a state (two states with another past are two), and it is what the safety
 * properties are stated over.
 */
import { allMembers } from '../../src/raft/configuration.ts';
import type { Entry, LogIndex, MemberId, Term } from '../../src/raft/types.ts';
import { type Codec, count, list, member, nullable, record } from './codec.ts';
import { entry } from './fields.ts';
import { assert, sameEntry } from './member.ts';

export interface CommittedEntry {
  readonly entry: Entry;
  /** The lowest term in which a member knew it. */
  readonly knownInTerm: Term;
}

export interface OpenRead {
  readonly id: number;
  readonly by: MemberId;
  /** What was committed when it began: it may not be served below. */
  readonly floor: LogIndex;
}

export interface History {
  /** By term. */
  readonly leaders: readonly (MemberId | null)[];
  readonly committed: readonly CommittedEntry[];
  readonly reads: readonly OpenRead[];
}

export const historyCodec = record<History>({
  leaders: list(nullable(member)) as Codec<History['leaders']>,
  committed: list(record<CommittedEntry>({ entry, knownInTerm: count })) as Codec<
    History['committed']
  >,
  reads: list(record<OpenRead>({ id: count, by: member, floor: count })) as Codec<History['reads']>,
});

/** What one turn adds to it. */
export interface Facts {
  readonly by: MemberId;
  readonly term: Term;
  /** It leads now, and did not before this turn. */
  readonly leads: boolean;
  readonly committed: readonly Entry[];
  readonly begunRead: number | null;
  readonly granted: readonly { readonly id: number; readonly index: LogIndex }[];
  readonly dropped: readonly number[];
  /** This life is over, and its reads with it. */
  readonly ends: boolean;
  /** Where its log ended when it took itself for removed; null: it did not. */
  readonly leftWith: LogIndex | null;
}

/** Throws a Violation. */
export function addFacts(history: History, facts: Facts): History {
  const committed = addCommitted(history.committed, facts);
  if (facts.leftWith !== null) checkLeaver(committed, facts.by, facts.leftWith);
  return {
    leaders: addLeader(history.leaders, facts),
    committed,
    reads: addReads(history, facts),
  };
}

/** Election Safety (thesis 3.4): at most one leader a term. */
function addLeader(leaders: History['leaders'], { leads, term, by }: Facts): History['leaders'] {
  if (!leads) return leaders;
  const known = leaders[term] ?? null;
  assert(known === null || known === by, `two leaders in term ${term}: ${known} and ${by}`);
  if (known !== null) return leaders;
  const next = Array.from(
    { length: Math.max(leaders.length, term + 1) },
    (_, at) => leaders[at] ?? null,
  );
  next[term] = by;
  return next;
}

/** State Machine Safety (thesis 3.6.3): one entry is committed at an index. */
function addCommitted(old: History['committed'], facts: Facts): History['committed'] {
  if (facts.committed.length === 0) return old;
  const committed = [...old];
  for (const entry of facts.committed) {
    const known = committed[entry.index - 1];
    assert(known !== undefined || entry.index === committed.length + 1, 'a commit with a gap');
    if (known)
      assert(sameEntry(known.entry, entry), `two entries are committed at index ${entry.index}`);
    const knownInTerm = Math.min(known?.knownInTerm ?? facts.term, facts.term);
    committed[entry.index - 1] = { entry, knownInTerm };
  }
  return committed;
}

/** Linearizable reads: none is granted below what was committed when it began (thesis 6.4). */
function addReads({ reads, committed }: History, facts: Facts): History['reads'] {
  const { by, begunRead, granted, dropped, ends } = facts;
  const open = [...reads];
  if (begunRead !== null) open.push({ id: begunRead, by, floor: committed.length });
  for (const { id, index } of granted) {
    const read = open.find((one) => one.id === id);
    assert(read !== undefined, `read ${id} is granted and was not open`);
    assert(
      index >= read.floor,
      `read ${id} is granted at ${index}, but ${read.floor} was committed before it began`,
    );
  }
  const closed = [...granted.map(({ id }) => id), ...dropped];
  return open.filter((read) => !closed.includes(read.id) && !(ends && read.by === by));
}

/** Who takes itself for removed is not in the newest committed configuration, or lacks that. */
function checkLeaver(committed: History['committed'], id: MemberId, lastIndex: LogIndex): void {
  const newest = committed.findLast(({ entry }) => entry.payload.type === 'configuration')?.entry;
  if (newest?.payload.type !== 'configuration' || lastIndex < newest.index) return;
  const isNamed = allMembers(newest.payload.configuration).includes(id);
  assert(!isNamed, `${id} takes itself for removed`);
}
