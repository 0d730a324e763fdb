/**
 * What may happen in a state, and what comes of it: the transitions of the search.
 *
 * A turn of a member depends on that member and its input alone, so the core runs once for each
 * pair of them and the outcome is kept. All else here is bookkeeping over numbers.
 */
import type { Target } from '../../src/raft/membership.ts';
import type { Entry, MemberId, Message } from '../../src/raft/types.ts';
import { Catalogue } from './catalogue.ts';
import { decode, memberAt, memberCount, memberNames, placeOf } from './codec.ts';
import { entriesOf, message as messageCodec } from './fields.ts';
import { addFacts, type Facts, type History, historyCodec } from './history.ts';
import {
  type Input,
  type Member,
  memberCodec,
  newLife,
  nextTime,
  proposing,
  takeTurn,
} from './member.ts';
import { type Cost, type Scope, spend, used } from './scope.ts';
import { Fingerprint, type World } from './world.ts';

export type Step =
  | {
      readonly type: 'deliver' | 'duplicate' | 'lose' | 'fail' | 'deliverInVain';
      readonly message: number;
    }
  | { readonly type: 'timeOut' | 'suspect' | 'crash' | 'propose' | 'read'; readonly place: number }
  | { readonly type: 'change'; readonly place: number; readonly target: Target };

export interface Successor {
  readonly step: Step;
  readonly world: World;
  /** Which member has changed. */
  readonly place: number;
  /** Found in this very turn; then `world` is what was before. */
  readonly violation: string | null;
}

/** What a state asks about a member, without making a core of it. */
export interface MemberRow {
  readonly code: string;
  readonly isGone: boolean;
  readonly boot: number;
  readonly term: number;
  readonly role: string;
  readonly commit: number;
  readonly log: readonly Entry[];
  /** By place, of a leader; 0 of nobody. */
  readonly match: readonly number[];
  /** Voters and learners of the newest configuration. */
  readonly present: {
    readonly voters: readonly MemberId[];
    readonly learners: readonly MemberId[];
  };
  /** null: nothing to wait for; 0: due at once. */
  readonly due: number | null;
  readonly outcomes: Map<number, Outcome>;
}

/** What a turn brings, whatever the rest of the group is like. */
interface Outcome {
  readonly next: number;
  readonly sent: readonly number[];
  readonly facts: Facts | null;
  /** By number of a history: the one that these facts make of it. */
  readonly pasts: Map<number, number>;
  readonly violation: string | null;
}

/** Kinds of input, for the keys of outcomes. */
const inputs = {
  deliver: 0,
  timeOut: 1,
  suspect: 2,
  crash: 3,
  propose: 4,
  read: 5,
  fail: 6,
  change: 7,
};

export class Model {
  readonly members = new Catalogue<Member, MemberRow>(memberCodec, 1, rowOf);
  readonly messages = new Catalogue<Message, Message>(messageCodec, 2, (message) => message);
  readonly histories = new Catalogue<History, History>(historyCodec, 3, (history) => history);
  readonly fingerprint = new Fingerprint(this.members, this.messages, this.histories);
  /** Turns of the real core. */
  turns = 0;
  private readonly scope: Scope;

  constructor(scope: Scope) {
    this.scope = scope;
  }

  successors(world: World): Successor[] {
    const found: Successor[] = [];
    const { messages } = world;
    for (const [at, message] of messages.entries())
      if (messages.indexOf(message) === at) this.withMessage(world, message, found);
    for (let place = 0; place < memberCount; place += 1) this.withMember(world, place, found);
    return found;
  }

  private withMessage(world: World, message: number, found: Successor[]): void {
    const { to, from, boot } = this.messages.row(message);
    const place = placeOf(to);
    const key = keyOf(inputs.deliver, message);
    const input: Input = (core) => {
      core.step(this.messages.row(message), 0);
      return null;
    };
    const without = { ...world, messages: removeOne(world.messages, message) };
    this.turn(without, { type: 'deliver', message }, place, key, input, found);
    this.spending(world, 'duplicates', (paid) =>
      this.turn(paid, { type: 'duplicate', message }, place, key, input, found),
    );
    this.spending(without, 'losses', (paid) =>
      found.push({ step: { type: 'lose', message }, world: paid, place, violation: null }),
    );
    this.spending(without, 'failures', (paid) => {
      const sender = placeOf(from);
      if (this.rowAt(paid, sender).boot !== boot) return;
      const fails: Input = (core) => {
        core.peerUnreachable(to, 0);
        return null;
      };
      this.turn(paid, { type: 'fail', message }, sender, keyOf(inputs.fail, place), fails, found);
    });
    // The input was taken, nothing of the turn became durable or visible.
    this.spending(without, 'vainTurns', (paid) =>
      this.crash(paid, { type: 'deliverInVain', message }, place, found),
    );
  }

  private withMember(world: World, place: number, found: Successor[]): void {
    const row = this.rowAt(world, place);
    if (row.isGone) return;
    const { due } = row;
    if (due !== null) {
      const fires: Input = (core) => {
        core.tick(Math.max(0, due));
        return null;
      };
      const go = (paid: World) =>
        this.turn(paid, { type: 'timeOut', place }, place, keyOf(inputs.timeOut, 0), fires, found);
      // What is due at once would not wait in the host either.
      if (due <= 0) go(world);
      else this.spending(world, 'timeouts', go);
    }
    this.spending(world, 'crashes', (paid) =>
      this.crash(paid, { type: 'crash', place }, place, found),
    );
    this.spending(world, 'reads', (paid) => this.read(paid, place, found));
    if (row.role === 'leader') this.asLeader(world, row, place, found);
    else
      this.spending(world, 'suspicions', (paid) => {
        const suspects: Input = (core) => {
          core.suspectLeader(0, 0);
          return null;
        };
        this.turn(
          paid,
          { type: 'suspect', place },
          place,
          keyOf(inputs.suspect, 0),
          suspects,
          found,
        );
      });
  }

  private asLeader(world: World, row: MemberRow, place: number, found: Successor[]): void {
    this.spending(world, 'proposals', (paid) => {
      const number = used(paid.used, 'proposals');
      const key = keyOf(inputs.propose, number);
      this.turn(paid, { type: 'propose', place }, place, key, proposing(number), found);
    });
    this.spending(world, 'changes', (paid) => {
      for (const [at, target] of targetsFrom(row.present).entries()) {
        const changes: Input = (core) => core.changeMembership(target, 0).ok;
        const step = { type: 'change', place, target } as const;
        this.turn(paid, step, place, keyOf(inputs.change, at), changes, found);
      }
    });
  }

  private read(world: World, place: number, found: Successor[]): void {
    const id = used(world.used, 'reads');
    const key = keyOf(inputs.read, id);
    const reads: Input = (core) => core.readIndex(id, 0);
    this.turn(world, { type: 'read', place }, place, key, reads, found, id);
  }

  private crash(world: World, step: Step, place: number, found: Successor[]): void {
    const row = this.rowAt(world, place);
    const key = keyOf(inputs.crash, 0);
    let outcome = row.outcomes.get(key);
    if (!outcome) {
      const living = decode(memberCodec, row.code);
      if (living.type === 'gone') return;
      const next = this.members.numberOf(newLife(living));
      const facts = { ...nothing, by: memberAt(place), term: row.term, ends: true };
      outcome = { next, sent: [], facts, pasts: new Map(), violation: null };
      row.outcomes.set(key, outcome);
    }
    this.arrive(world, step, place, outcome, found);
  }

  private turn(
    world: World,
    step: Step,
    place: number,
    key: number,
    input: Input,
    found: Successor[],
    readId: number | null = null,
  ): void {
    const row = this.rowAt(world, place);
    if (row.isGone) return;
    let outcome = row.outcomes.get(key);
    if (!outcome) {
      outcome = this.run(row, input, readId);
      row.outcomes.set(key, outcome);
    }
    this.arrive(world, step, place, outcome, found);
  }

  /** The real core. */
  private run(row: MemberRow, input: Input, readId: number | null): Outcome {
    this.turns += 1;
    const living = decode(memberCodec, row.code);
    if (living.type === 'gone') throw new Error('no turn of a member that is gone');
    const { state } = living;
    try {
      const turn = takeTurn(living, input);
      const { next, messages, committed, granted, dropped } = turn;
      const leads =
        state.role.type === 'leader' && (row.role !== 'leader' || row.term < state.term);
      const begunRead = readId !== null && turn.accepted ? readId : null;
      const leftWith = next.type === 'gone' ? state.log.lastIndex : null;
      const facts = {
        ...{ by: state.self, term: state.term, leads, committed, begunRead, granted, dropped },
        ...{ ends: leftWith !== null, leftWith },
      };
      return {
        next: this.members.numberOf(next, state.now),
        sent: messages.map((message) => this.messages.numberOf(message)),
        facts: isEmpty(facts) ? null : facts,
        pasts: new Map(),
        violation: null,
      };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const violation = `${state.self}: ${error.message}`;
      return { next: -1, sent: [], facts: null, pasts: new Map(), violation };
    }
  }

  private arrive(
    world: World,
    step: Step,
    place: number,
    outcome: Outcome,
    found: Successor[],
  ): void {
    const { next, sent, facts } = outcome;
    if (outcome.violation !== null) {
      found.push({ step, world, place, violation: outcome.violation });
      return;
    }
    // Nothing has happened. A message that changes nothing stays under way: whatever may happen
    // without it may happen with it, so the state without it need not be searched.
    if (next === world.members[place] && sent.length === 0 && facts === null) return;
    const members = world.members.with(place, next);
    let { history } = world;
    if (facts) {
      try {
        history = this.pastAfter(history, outcome, facts);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        found.push({ step, world, place, violation: error.message });
        return;
      }
    }
    const messages = this.underWay(world.messages, sent, members, facts?.leftWith !== null);
    found.push({
      step,
      world: { members, history, used: world.used, messages },
      place,
      violation: null,
    });
  }

  private pastAfter(history: number, { pasts }: Outcome, facts: Facts): number {
    const known = pasts.get(history);
    if (known !== undefined) return known;
    const next = this.histories.numberOf(addFacts(this.histories.row(history), facts));
    pasts.set(history, next);
    return next;
  }

  /** What is addressed to a member that is gone is nothing any more. */
  private underWay(
    old: readonly number[],
    sent: readonly number[],
    members: readonly number[],
    somebodyLeft: boolean,
  ): readonly number[] {
    if (sent.length === 0 && !somebodyLeft) return old;
    const isHeard = (message: number) => {
      const receiver = members[placeOf(this.messages.row(message).to)] ?? -1;
      return !this.members.row(receiver).isGone;
    };
    return [...old, ...sent].filter(isHeard);
  }

  private spending(world: World, cost: Cost, go: (paid: World) => void): void {
    const spent = spend(world.used, cost, this.scope);
    if (spent !== null) go({ ...world, used: spent });
  }

  rowAt(world: World, place: number): MemberRow {
    return this.members.row(world.members[place] ?? -1);
  }
}

const nothing = {
  leads: false,
  committed: [],
  begunRead: null,
  granted: [],
  dropped: [],
  leftWith: null,
};

function isEmpty(facts: Facts): boolean {
  const { leads, committed, begunRead, granted, dropped, ends } = facts;
  const count = committed.length + granted.length + dropped.length;
  return !leads && !ends && begunRead === null && count === 0;
}

function keyOf(kind: number, detail: number): number {
  return detail * 8 + kind;
}

function removeOne(messages: readonly number[], message: number): readonly number[] {
  const rest = [...messages];
  rest.splice(rest.indexOf(message), 1);
  return rest;
}

function rowOf(member: Member, code: string): MemberRow {
  const outcomes = new Map<number, Outcome>();
  if (member.type === 'gone')
    return {
      ...{ code, isGone: true, boot: 0, term: 0, role: 'gone', commit: 0, log: [], match: [] },
      ...{ present: { voters: [], learners: [] }, due: null, outcomes },
    };
  const { state } = member;
  const { role, boot, term, commit } = state;
  const match = memberNames.map((id) =>
    role.type === 'leader' ? (role.progress.get(id)?.match ?? 0) : 0,
  );
  const due = nextTime(state);
  const { configuration } = state.configurations.at(-1) ?? {};
  return {
    ...{ code, isGone: false, boot, term, role: role.type, commit, match, outcomes },
    log: entriesOf(state.log),
    present: configuration ?? { voters: [], learners: [] },
    due: due === null ? null : due - state.now,
  };
}

/** Any voters of those that are there; the learners that are not promoted stay. */
function targetsFrom({ voters, learners }: MemberRow['present']): Target[] {
  const members = memberNames.filter((id) => voters.includes(id) || learners.includes(id));
  const targets: Target[] = [];
  for (let mask = 1; mask < 2 ** members.length; mask += 1) {
    const wanted = members.filter((_, at) => mask & (1 << at));
    targets.push({ voters: wanted, learners: learners.filter((id) => !wanted.includes(id)) });
  }
  return targets;
}
