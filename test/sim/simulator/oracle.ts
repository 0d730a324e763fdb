/**
 * The invariants of Raft over all places and all history (raft-properties.md), checked with every turn.
 *
 * It sees everybody at once, and nothing of the system depends on it. What a turn decided is judged
 * when it is durable: a crash before that makes it never have happened. The first violation is kept.
 */

import { rulesVersionOf } from '../../../src/kv/batch.ts';
import type { GroupMember } from '../../../src/node-do/group-member.ts';
import { memberId, placeOf } from '../../../src/node-do/identity.ts';
import type { CodeVersion } from '../../../src/node-do/platform.ts';
import { allMembers, type Configuration } from '../../../src/raft/configuration.ts';
import type { RaftCore } from '../../../src/raft/core.ts';
import type { Effects, Entry, LogIndex, MemberId, Message, Term } from '../../../src/raft/types.ts';
import { stateOf } from '../../raft/support/checks.ts';
import type { Life } from './place.ts';
import type { Watcher } from './probe.ts';
import { type Placed, Shadow } from './shadow.ts';

/** What a take() showed of its core. */
interface Taken {
  readonly effects: Effects;
  readonly role: string;
  readonly term: Term;
  readonly commit: LogIndex;
  readonly last: LogIndex;
  readonly configuration: Configuration;
  /** The newest committed one that the core knows, and those behind it. */
  readonly configurations: readonly Placed[];
  /** As the take before it found them. */
  readonly before: Taken | null;
}

interface Watched {
  readonly life: Life;
  readonly id: MemberId;
  readonly boot: number;
  last: Taken | null;
  /** Not durable yet: whose writes are still to be made, and those that are written. */
  pending: Taken[];
  written: Taken[];
  owesWrite: boolean;
  /** Its boot number was to be durable before its first message or entry. */
  hasSpoken: boolean;
  readonly readFloors: Map<number, LogIndex>;
}

interface Committed {
  readonly term: Term;
  /** The lowest term in which somebody knew it. */
  knownInTerm: Term;
}

/** One flush in so many, of those that had something to write, is compared with the rows. */
const rowsComparedEvery = 4;

export class Oracle implements Watcher {
  violation: string | null = null;
  readonly shadows = new Map<MemberId, Shadow>();
  newestCommitted: Placed | null = null;
  snapshotsInstalled = 0;
  elections = 0;
  removals = 0;
  losses = 0;
  private readonly watched = new WeakMap<RaftCore, Watched>();
  /** One after the other: a place may be removed and added again within one life. */
  private readonly membersOf = new WeakMap<Life, Watched[]>();
  private readonly leaders = new Map<Term, MemberId>();
  private readonly entries = new Map<string, { prevTerm: Term; entry: Entry }>();
  private readonly committed: (Committed | undefined)[] = [];
  private readonly votes = new Map<string, MemberId>();
  private readonly speakers = new Map<string, Life>();
  private readonly revisions = new Map<LogIndex, number>();
  private readonly newestCode = new Map<MemberId, number>();
  /** Whose birth record is durable. */
  private readonly founders = new Set<MemberId>();
  private readonly wipedIds = new Set<MemberId>();
  private flushes = 0;
  /** Of another group's log, up to here; 0: the group was born. */
  private inherited: LogIndex = 0;
  private readonly currentLife: () => Life | null;

  constructor(currentLife: () => Life | null) {
    this.currentLife = currentLife;
  }

  fail(what: string): void {
    this.violation ??= what;
  }

  private check(condition: boolean, what: () => string): void {
    if (!condition) this.fail(what());
  }

  get committedIndex(): LogIndex {
    return this.committed.length - 1;
  }

  /** Of the committed entry there; undefined: none is known. */
  committedTermAt(index: LogIndex): Term | undefined {
    return this.committed[index]?.term;
  }

  /** Configurations that are in force, or may come into force: of every log, from the newest
   * committed one on. */
  configurationsInForce(): Configuration[] {
    const from = this.newestCommitted?.index ?? 0;
    return [...this.shadows.values()]
      .flatMap(({ configurations }) => configurations)
      .filter(({ index }) => index >= from)
      .map(({ configuration }) => configuration);
  }

  /** Their storage is gone, or will turn out to be too old. */
  isGone(id: MemberId): boolean {
    return this.hasEnded(id) || (this.shadows.get(id)?.isUnreliable ?? false);
  }

  /** Nobody answers as this member any more. One whose storage was set back may answer for long. */
  hasEnded(id: MemberId): boolean {
    return this.wipedIds.has(id) || (this.shadows.get(id)?.fate ?? null) !== null;
  }

  /** Members at this place that are none of removed, lost, wiped and recovered. */
  livingAt(place: number): MemberId[] {
    const living = [...this.shadows.values()].filter(({ fate }) => fate === null);
    return living.map(({ id }) => id).filter((id) => placeOf(id) === place);
  }

  isFated(id: MemberId): boolean {
    return this.shadows.get(id)?.fate != null;
  }

  get isAnyRestored(): boolean {
    return [...this.shadows.values()].some(({ isUnreliable }) => isUnreliable);
  }

  /** Whether every configuration keeps a majority without the members for which `isOut` holds. */
  hasQuorumWithout(isOut: (id: MemberId) => boolean, more: Configuration[] = []): boolean {
    return [...this.configurationsInForce(), ...more].every(({ voters, outgoing }) =>
      [voters, outgoing].every((half) => {
        const left = half.filter((id) => !isOut(id) && !this.isGone(id));
        return half.length === 0 || 2 * left.length > half.length;
      }),
    );
  }

  // What the probe sees.

  took(core: RaftCore, effects: Effects): void {
    const watched = this.watch(core);
    if (!watched) return;
    if (effects.lost) {
      this.onLost(watched);
      return;
    }
    const taken: Taken = {
      effects,
      role: core.role,
      term: core.term,
      commit: core.commitIndex,
      last: core.lastIndex,
      configuration: core.configuration,
      configurations: [...stateOf(core).configurations],
      before: watched.last,
    };
    watched.last = taken;
    watched.pending.push(taken);
    const isFirst = effects.messages.length > 0 || effects.append.length > 0;
    const savesBoot = !watched.hasSpoken && isFirst;
    watched.owesWrite ||= savesBoot || writes(effects, groupOf(watched.life)?.canServe ?? true);
    watched.hasSpoken ||= savesBoot;
    this.checkMonotone(watched, taken);
    this.checkReads(watched, effects);
    if (taken.role === 'leader') this.checkLeader(core, watched, taken);
  }

  /** Somebody runs code that others must not listen to. */
  areProtocolsApart = false;

  steps(core: RaftCore, { from, boot }: Message): void {
    if (!this.areProtocolsApart) return;
    const speaker = this.speakers.get(`${from}/${boot}`);
    const life = this.watch(core)?.life;
    this.check(
      !speaker || !life || speaker.code.minProtocol <= life.code.protocol,
      () => `${life?.name} listens to the protocol of ${speaker?.name}, which it does not know`,
    );
  }

  readBegins(core: RaftCore, id: number): void {
    this.watch(core)?.readFloors.set(id, this.committedIndex);
  }

  private watch(core: RaftCore): Watched | null {
    const known = this.watched.get(core);
    if (known) return known;
    const life = this.currentLife();
    if (!life) return null;
    const { self, boot } = stateOf(core);
    const added: Watched = {
      life,
      id: self,
      boot,
      last: null,
      pending: [],
      written: [],
      owesWrite: false,
      hasSpoken: false,
      readFloors: new Map(),
    };
    this.watched.set(core, added);
    this.membersOf.set(life, [...(this.membersOf.get(life) ?? []), added]);
    if (!this.shadows.has(self)) {
      const founding = stateOf(core).configurations[0]?.configuration ?? core.configuration;
      this.shadows.set(self, new Shadow(self, founding));
      this.newestCommitted ??= { index: 0, configuration: founding };
    }
    this.announces(self, life.code);
    return added;
  }

  /** A place has answered who would found a group: with its incarnation it said what code it has. */
  answersBirth({ code, place }: Life): void {
    const { incarnation } = place.disk;
    if (incarnation === null) return;
    this.announces(memberId(place.number, incarnation), code);
  }

  /**
   * The birth record speaks for its founder too, whose life may have ended in the turn that wrote it, before
   * its core said anything. Only the life that wrote it: the code of a later one is not in the record.
   */
  private founds({ code, place: { disk, number }, superseded }: Life): void {
    const { founder, incarnation } = disk;
    if (superseded || founder === null || founder !== memberId(number, incarnation ?? '')) return;
    if (!this.founders.has(founder) && !this.shadows.has(founder)) this.announces(founder, code);
    this.founders.add(founder);
  }

  private announces(id: MemberId, { rules }: CodeVersion): void {
    this.newestCode.set(id, Math.max(rules, this.newestCode.get(id) ?? 0));
  }

  /** The member that lives there now; one that was removed or lost just now also counts. */
  private watchedOf(life: Life): Watched | null {
    return this.membersOf.get(life)?.at(-1) ?? null;
  }

  // What the platform tells.

  /** A transaction of this life is done, if not durable yet. */
  wrote(life: Life): void {
    for (const watched of this.membersOf.get(life) ?? []) {
      watched.owesWrite = false;
      watched.written.push(...watched.pending.splice(0));
    }
  }

  /** A message or an answer leaves, or is held by the gate behind what was written before it. */
  sends(life: Life): void {
    const owes = this.watchedOf(life)?.owesWrite ?? false;
    this.check(!owes, () => `${life.name} sent something before it wrote what comes before it`);
  }

  /** A crash has undone whatever was not durable. */
  loses(life: Life): void {
    for (const watched of this.membersOf.get(life) ?? []) {
      watched.pending = [];
      watched.written = [];
    }
  }

  /** All that this life has taken so far is durable, and what it said may be heard. */
  isDurable(life: Life): void {
    let hasWritten = false;
    if (!this.membersOf.has(life)) this.founds(life);
    for (const watched of this.membersOf.get(life) ?? []) {
      if (!watched.owesWrite && watched.pending.length > 0)
        watched.written.push(...watched.pending.splice(0));
      if (watched.written.length === 0) continue;
      for (const taken of watched.written.splice(0)) {
        this.settle(watched, taken);
        hasWritten ||= writes(taken.effects, true);
      }
    }
    const group = groupOf(life);
    const watched = this.watchedOf(life);
    if (!group || !watched || group.self !== watched.id) return;
    this.checkRevision(watched, group.machine.appliedIndex, group.machine.revision);
    if (!hasWritten) return;
    this.flushes += 1;
    if (this.flushes % rowsComparedEvery === 0 && !life.superseded) this.compareRows(watched);
  }

  afterEvent(life: Life): void {
    const watched = this.watchedOf(life);
    if (!watched) return;
    if (!life.isGateClosed && !life.ended) this.isDurable(life);
    const core = groupOf(life)?.core;
    if (!core || core.role === 'follower' || life.ended || life.superseded) return;
    const rules = this.shadows.get(watched.id)?.newestRules ?? 0;
    const { code } = life;
    this.check(rules <= code.rules, () => `${life.name} is ${core.role}, and cannot apply`);
    this.checkRest(life, core);
  }

  /** `incarnation`: the one that it gave out last; a configuration may name it some day. */
  wiped(place: number, incarnation: string | null): void {
    if (incarnation !== null) this.wipedIds.add(memberId(place, incarnation));
    for (const shadow of this.shadows.values())
      if (placeOf(shadow.id) === place && !shadow.fate) shadow.fate = 'wiped';
  }

  restored(place: number): void {
    for (const shadow of this.shadows.values())
      if (placeOf(shadow.id) === place && !shadow.fate) shadow.isUnreliable = true;
  }

  /**
   * Of the group that `survivor` begins in `life` out of its log: all of that counts as committed, and
   * whatever else was is lost. `core` is the first of the new group.
   */
  successor(life: Life, survivor: MemberId, core: RaftCore): Oracle {
    const next = new Oracle(this.currentLife);
    const { self } = stateOf(core);
    const written = (this.membersOf.get(life) ?? [])
      .filter(({ id }) => id === survivor)
      .flatMap((watched) => [...watched.written, ...watched.pending]);
    const former = this.shadows.get(survivor) as Shadow;
    const shadow = former.recoveredAs(
      self,
      written.map(({ effects }) => effects),
    );
    const { last, term } = shadow;
    next.shadows.set(self, shadow);
    next.newestCommitted = shadow.configurations.at(-1) ?? null;
    next.inherited = last - 1;
    for (let index = 0; index < last; index += 1) {
      const known = this.committed[index];
      const held = shadow.termAt(index) ?? known?.term;
      if (held === undefined) continue;
      next.committed[index] = { term: held, knownInTerm: term - 1 };
      const revision = known?.term === held ? this.revisions.get(index) : undefined;
      if (revision !== undefined) next.revisions.set(index, revision);
    }
    this.check(
      core.lastIndex >= last && core.termAt(last) === term,
      () => `${life.name} recovered a log that ends at ${core.lastIndex}, and held ${last - 1}`,
    );
    return next;
  }

  /** It is a member of another group now. */
  recovered(survivor: MemberId): void {
    const shadow = this.shadows.get(survivor);
    if (shadow) shadow.fate = 'recovered';
  }

  /** The newest revision that `other` is sure to hold of what this group has committed. */
  commonRevision(other: Oracle): number {
    let index = Math.min(this.committedIndex, other.inherited);
    const isCommon = () => {
      const term = this.committed[index]?.term;
      return term !== undefined && term === other.committed[index]?.term;
    };
    while (index > 0 && !isCommon()) index -= 1;
    const known = [...this.revisions].filter(([at]) => at <= index);
    return known.reduce((newest, [, revision]) => Math.max(newest, revision), 1);
  }

  // Judgement of single turns.

  private checkMonotone({ life, id }: Watched, { before, term, commit, last }: Taken): void {
    const name = () => `${life.name} (${id})`;
    this.check(commit <= last, () => `${name()}: commit ${commit} beyond the log ${last}`);
    if (!before) return;
    this.check(term >= before.term, () => `${name()}: the term fell to ${term}`);
    this.check(commit >= before.commit, () => `${name()}: the commit index fell to ${commit}`);
  }

  private checkReads(watched: Watched, { reads }: Effects): void {
    for (const { id, index } of reads) {
      const floor = watched.readFloors.get(id);
      watched.readFloors.delete(id);
      // What came before a life was superseded may be asked of the core, and so be measured, later
      // than it came: the history judges those (design.md section 4).
      this.check(
        watched.life.superseded || (floor !== undefined && index >= floor),
        () => `${watched.life.name}: read ${id} granted at ${index}, ${floor} was committed before`,
      );
    }
  }

  private checkLeader(core: RaftCore, { life, id }: Watched, taken: Taken): void {
    const { term, before, effects } = taken;
    const { log, role } = stateOf(core);
    const known = this.leaders.get(term);
    if (known === undefined) this.elections += 1;
    this.check(known === undefined || known === id, () => `two leaders in term ${term}`);
    this.leaders.set(term, id);
    const goesOn = before?.role === 'leader' && before.term === term;
    if (goesOn) {
      this.check(effects.truncateFrom === null, () => `${life.name}: leader overwrote its log`);
      if (taken.commit > before.commit)
        this.check(
          log.term(taken.commit) === term,
          () => `${life.name} committed an entry of an older term by counting`,
        );
    } else this.checkCompleteness(core, life);
    if (role.type !== 'leader') return;
    for (const [peer, { match, next }] of role.progress)
      this.check(
        match < next && match <= log.lastIndex,
        () => `${life.name}: ${peer} match ${match}, next ${next}, last ${log.lastIndex}`,
      );
    // What a superseded life appends it can neither store nor send.
    if (life.superseded) return;
    for (const entry of effects.append) this.checkRules(life, taken, entry);
  }

  /** Its log holds all that was committed in earlier terms; by Log Matching the last one will do. */
  private checkCompleteness(core: RaftCore, life: Life): void {
    const { log } = stateOf(core);
    for (let index = this.committedIndex; index > log.start.index; index -= 1) {
      const committed = this.committed[index];
      if (!committed || committed.knownInTerm >= core.term) continue;
      this.check(
        log.term(index) === committed.term,
        () => `${life.name}: the leader of term ${core.term} lacks committed entry ${index}`,
      );
      return;
    }
  }

  /** Newer rules are written only when every member has announced them, and never given up. */
  private checkRules(life: Life, { configuration }: Taken, { payload }: Entry): void {
    if (payload.type !== 'data') return;
    const rules = rulesVersionOf(payload.data);
    const self = this.watchedOf(life)?.id;
    const newest = (self && this.shadows.get(self)?.newestRules) ?? 0;
    this.check(rules >= newest, () => `${life.name} wrote rules ${rules} after ${newest}`);
    if (rules <= newest) return;
    const isAnnounced = (id: MemberId) => (this.newestCode.get(id) ?? 0) >= rules;
    const applied = groupOf(life)?.machine.rulesVersion ?? 0;
    this.check(
      rules <= Math.max(1, applied) || allMembers(configuration).every(isAnnounced),
      () => `${life.name} wrote rules ${rules}, which not every member has announced`,
    );
  }

  // Judgement of what is durable.

  private settle(watched: Watched, taken: Taken): void {
    const { life, id } = watched;
    const shadow = this.shadows.get(id) as Shadow;
    const { effects } = taken;
    if (!life.superseded) this.persist(watched, shadow, effects);
    for (const { index, term, payload } of effects.committed) {
      const known = this.committed[index];
      this.check(
        known === undefined || known.term === term,
        () => `${life.name}: entry ${index} of term ${term} was committed, and of ${known?.term}`,
      );
      if (known) known.knownInTerm = Math.min(known.knownInTerm, taken.term);
      else this.committed[index] = { term, knownInTerm: taken.term };
      if (payload.type === 'configuration' && index > (this.newestCommitted?.index ?? 0))
        this.newestCommitted = { index, configuration: payload.configuration };
    }
    if (taken.role === 'leader' && taken.commit > (taken.before?.commit ?? taken.commit))
      this.checkQuorum(life, taken);
    if (effects.messages.length > 0) this.speaks(watched, effects.messages);
    if (!life.superseded) this.noteConfigurations(taken);
    if (effects.removed) this.onRemoved(watched, shadow);
  }

  private persist({ life, id }: Watched, shadow: Shadow, effects: Effects): void {
    const { hardState, append, truncateFrom, chunks } = effects;
    if (hardState && !shadow.isUnreliable) {
      this.check(hardState.term >= shadow.term, () => `${life.name}: the durable term fell`);
      if (hardState.term === shadow.term && shadow.vote !== null)
        this.check(hardState.vote === shadow.vote, () => `${life.name} changed its vote`);
    }
    const install = chunks.findLast(({ install }) => install)?.install;
    if (install) {
      this.snapshotsInstalled += 1;
      const known = this.committed[install.index];
      this.check(
        known !== undefined && known.term === install.term,
        () => `${life.name} installed a snapshot of ${install.index}/${install.term}`,
      );
    }
    if (truncateFrom !== null && !shadow.isUnreliable) this.checkTruncation(life, shadow, effects);
    shadow.persist({ ...effects, append: [] });
    for (const entry of append) {
      const prevTerm = shadow.termAt(entry.index - 1);
      this.check(
        shadow.isUnreliable || shadow.last === entry.index - 1,
        () => `${life.name} (${id}): entry ${entry.index} persisted after ${shadow.last}`,
      );
      shadow.persist({
        ...effects,
        hardState: null,
        chunks: [],
        truncateFrom: null,
        append: [entry],
      });
      if (!shadow.isUnreliable) this.sameEverywhere(life, entry, prevTerm ?? -1);
    }
  }

  private checkTruncation(life: Life, shadow: Shadow, { truncateFrom }: Effects): void {
    for (let index = truncateFrom ?? 0; index <= shadow.last; index += 1) {
      const known = this.committed[index];
      this.check(
        known === undefined || known.term !== shadow.termAt(index),
        () => `${life.name} removed committed entry ${index}`,
      );
    }
  }

  /** Log Matching: equal index and term, equal entry and equal predecessor. */
  private sameEverywhere(life: Life, entry: Entry, prevTerm: Term): void {
    const key = `${entry.index}/${entry.term}`;
    const known = this.entries.get(key);
    if (!known) this.entries.set(key, { prevTerm, entry });
    else
      this.check(
        known.prevTerm === prevTerm && sameContent(known.entry, entry),
        () => `${life.name}: Log Matching is broken at ${key}`,
      );
  }

  /** A quorum holds durably what the leader counts as committed. */
  private checkQuorum(life: Life, { commit, term, before, configuration }: Taken): void {
    const has = (id: MemberId) => this.shadows.get(id)?.holds(commit, term) ?? false;
    const held = [configuration, before?.configuration ?? configuration].some(
      ({ voters, outgoing }) =>
        [voters, outgoing].every(
          (half) => half.length === 0 || 2 * half.filter(has).length > half.length,
        ),
    );
    this.check(held, () => `${life.name}: no quorum holds ${commit}, committed in term ${term}`);
  }

  private speaks({ life, id, boot }: Watched, messages: readonly Message[]): void {
    const name = `${id}/${boot}`;
    const speaker = this.speakers.get(name) ?? life;
    this.check(speaker === life || this.isGone(id), () => `two lives speak as ${name}`);
    this.speakers.set(name, life);
    for (const message of messages) this.hears(life, id, message);
  }

  private hears(life: Life, id: MemberId, message: Message): void {
    if (message.type === 'vote') this.votesFor(life, id, message.term, id);
    if (message.type === 'voteReply' && message.granted)
      this.votesFor(life, id, message.requestTerm, message.to);
    if (message.type === 'appendReply' && message.ok && !life.superseded) {
      const shadow = this.shadows.get(id) as Shadow;
      this.check(
        message.term < shadow.term || message.index <= shadow.last || shadow.isUnreliable,
        () => `${life.name} acknowledged ${message.index} and holds ${shadow.last}`,
      );
    }
  }

  private votesFor(life: Life, id: MemberId, term: Term, candidate: MemberId): void {
    const key = `${id}/${term}`;
    const shadow = this.shadows.get(id) as Shadow;
    const isDurable = shadow.term > term || (shadow.term === term && shadow.vote === candidate);
    this.check(
      isDurable || this.isGone(id),
      () => `${life.name} votes in term ${term}, and the vote is not durable`,
    );
    const earlier = this.votes.get(key) ?? candidate;
    this.check(
      earlier === candidate || this.isGone(id),
      () => `${life.name} voted twice in term ${term}`,
    );
    this.votes.set(key, candidate);
  }

  private onLost({ life, id }: Watched): void {
    const shadow = this.shadows.get(id) as Shadow;
    this.check(life.superseded || shadow.isUnreliable, () => `${life.name} takes itself for lost`);
    if (life.superseded) return;
    this.losses += 1;
    shadow.fate = 'lost';
  }

  private onRemoved({ life, id }: Watched, shadow: Shadow): void {
    const { newestCommitted } = this;
    if (!newestCommitted) return;
    const { index, configuration } = newestCommitted;
    // Named again meanwhile, but it does not know that yet: it has to be added anew.
    this.check(
      !allMembers(configuration).includes(id) || shadow.last < index,
      () => `${life.name} takes itself for removed`,
    );
    this.removals += 1;
    shadow.fate = 'removed';
  }

  /** What is handed out for applying is bounded per turn, and so may be behind what is committed. */
  private noteConfigurations({ configurations, commit }: Taken): void {
    for (const placed of configurations)
      if (placed.index <= commit && placed.index > (this.newestCommitted?.index ?? 0))
        this.newestCommitted = placed;
  }

  /** State Machine Safety in one number: equal applied index, equal revision. */
  private checkRevision({ life, id }: Watched, applied: LogIndex, revision: number): void {
    const known = this.revisions.get(applied);
    if (known === undefined) this.revisions.set(applied, revision);
    else
      this.check(
        known === revision,
        () => `${life.name} (${id}): revision ${revision} at ${applied}, elsewhere ${known}`,
      );
  }

  private compareRows({ life, id }: Watched): void {
    const shadow = this.shadows.get(id) as Shadow;
    if (shadow.isUnreliable || shadow.fate) return;
    const { reader } = life.place.disk;
    const hard = reader.first('SELECT term, vote FROM raft_hard_state');
    this.check(
      hard?.[0] === shadow.term && hard[1] === shadow.vote,
      () => `${life.name}: hard state ${hard} on disk, ${shadow.term},${shadow.vote} was taken`,
    );
    const last = reader.first('SELECT idx, term FROM raft_log ORDER BY idx DESC LIMIT 1');
    this.check(
      !last || (last[0] === shadow.last && last[1] === shadow.termAt(shadow.last)),
      () => `${life.name}: the log on disk ends at ${last}, ${shadow.last} was taken`,
    );
  }

  /** A leader at rest owes nobody anything who answers (design.md section 6). */
  private checkRest(life: Life, core: RaftCore): void {
    const { role } = stateOf(core);
    if (role.type !== 'leader' || !role.awake || core.nextDeadline() !== null) return;
    const { lastIndex, commitIndex } = core;
    this.check(core.configuration.outgoing.length === 0, () => `${life.name} rests, and is joint`);
    this.check(commitIndex === lastIndex, () => `${life.name} rests with an uncommitted entry`);
    for (const [peer, { match, ackedCommit, onRepairList }] of role.progress)
      this.check(
        onRepairList || (match === lastIndex && ackedCommit === commitIndex),
        () => `${life.name} rests while ${peer} lacks something`,
      );
  }
}

export function groupOf({ member }: Life): GroupMember | null {
  return (member as unknown as { group: GroupMember | null }).group;
}

function writes(effects: Effects, applies: boolean): boolean {
  const { hardState, chunks, truncateFrom, append, committed } = effects;
  return (
    hardState !== null ||
    chunks.length > 0 ||
    truncateFrom !== null ||
    append.length > 0 ||
    (applies && committed.length > 0)
  );
}

function sameContent({ payload: a }: Entry, { payload: b }: Entry): boolean {
  if (a.type === 'data' && b.type === 'data') return Buffer.compare(a.data, b.data) === 0;
  return JSON.stringify(a) === JSON.stringify(b);
}
