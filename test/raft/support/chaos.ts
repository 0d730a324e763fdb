/**
 * One seeded run: a faulty phase of random steps, then a majority heals and has to make progress.
 *
 * The invariants are checked by Group after every turn. A run depends on its seed alone.
 */
import { allMembers } from '../../../src/raft/configuration.ts';
import type { Settings } from '../../../src/raft/state.ts';
import type { MemberId, Message } from '../../../src/raft/types.ts';
import { Random } from '../../support/random.ts';
import { Group, type GroupOptions } from './group.ts';

export interface ChaosOptions {
  readonly steps?: number;
  /** Told of every step, for a look at a failing seed. */
  readonly trace?: (line: string) => void;
}

/** Shapes of groups; joint and with learners too, since quorums must hold there as well. */
const shapes: readonly GroupOptions[] = [
  { voters: 'A' },
  { voters: 'ABC' },
  { voters: 'ABC' },
  { voters: 'ABC' },
  { voters: 'ABCDE' },
  { voters: 'ABCDE' },
  { voters: 'ABC', learners: 'D' },
  { voters: 'ABD', outgoing: 'ABC' },
];

/** Who may join, one after the other. */
const newcomers = 'FGHIJ';
const messagesUnderWayMax = 60;
const attemptMs = 2_000;
const attemptsMax = 15;
/** Longest wait of the core that is not renewed: repair list, suspicion, tail of a member. */
const restWithinMs = 120_000;
/** In a group at work a message takes 1 ms, so spinning shows as thousands of them. */
const messagesPerRunMax = 6_000;

export class Chaos {
  readonly group: Group;
  private readonly random: Random;
  private readonly trace: (line: string) => void;
  private proposals = 0;
  /** How much of the client's work is done: a leader that is always busy never rests. */
  private readonly load: number;
  private readonly withMembership: boolean;

  constructor(seed: number, trace: (line: string) => void = () => {}) {
    this.random = new Random(seed);
    this.trace = trace;
    this.load = this.random.pick([0.1, 0.5, 1]);
    this.withMembership = this.random.next() < 0.6;
    this.group = new Group({
      ...this.random.pick(shapes),
      settings: this.settings(),
      seed,
      latencyMs: 1,
    });
  }

  /** Small limits make the rare paths common. */
  private settings(): Partial<Settings> {
    if (this.random.next() < 0.4) return {};
    return {
      appendEntriesMax: this.random.integer(1, 3),
      committedEntriesMax: this.random.integer(1, 3),
      inflightMessagesMax: this.random.integer(1, 3),
      uncommittedBytesMax: this.random.integer(1, 20),
      pendingReadsMax: this.random.integer(1, 5),
      readSpacingMs: this.random.integer(0, 5),
      commitNoticeMs: this.random.integer(0, 20),
    };
  }

  disturb(steps: number): void {
    for (let step = 0; step < steps; step += 1) this.step();
  }

  private step(): void {
    const { group, random } = this;
    const id = random.pick(group.ids);
    const dice = random.integer(1, 100);
    if (dice > 60 && dice <= 79 && random.next() > this.load) this.network();
    else if (dice <= 48) this.network();
    else if (dice <= 56) this.time(id);
    else if (dice <= 60) this.membership();
    else if (dice <= 70) {
      const name = random.next() < 0.8 ? (this.leader() ?? id) : id;
      this.proposals += 1;
      this.trace(`propose ${this.proposals} at ${name}`);
      group.propose(name, `${this.proposals}`);
    } else if (dice <= 79) {
      const name = random.next() < 0.8 ? (this.leader() ?? id) : id;
      this.trace(`read at ${name}`);
      group.read(name);
    } else if (dice <= 87) {
      this.trace(`suspect at ${id}`);
      group.suspect(id);
    } else if (dice <= 91) this.links();
    else if (dice <= 94) this.coup();
    else this.lives(id);
  }

  private network(): void {
    const { group, random } = this;
    if (group.pool.length === 0) return;
    // Mostly near the front: wholly random order would let hardly any exchange succeed.
    const spread = random.next() < 0.7 ? 3 : group.pool.length;
    const at = Math.min(random.integer(0, spread - 1), group.pool.length - 1);
    const message = group.pool[at];
    if (!message) return;
    const dice = random.integer(1, 100);
    if (dice > 8 || dice <= 0) group.pool.splice(at, 1);
    if (dice > 8 && dice <= 16) {
      this.trace(`lose ${show(message)}`);
      return;
    }
    this.trace(`${dice <= 8 ? 'deliver and keep' : 'deliver'} ${show(message)}`);
    // What one envelope carries arrives in one turn.
    const together = random.next() < 0.2 ? group.pool.slice(at, at + 3) : [];
    const others = together.filter((other) => other !== message && other.to === message.to);
    group.pool = group.pool.filter((other) => !others.includes(other));
    for (const other of others) this.trace(`  with ${show(other)}`);
    group.step(message, ...others);
    while (group.pool.length > messagesUnderWayMax)
      group.pool.splice(random.integer(0, group.pool.length - 1), 1);
  }

  private time(id: MemberId): void {
    const { group, random } = this;
    if (random.next() < 0.5) group.now += random.pick([1, 3, 10, 40, 150, 400, 1_200, 11_000]);
    // A timer fires late as often as it likes, and not in order.
    if (random.next() < 0.2) this.tickZombie();
    const at = group.core(id).nextDeadline();
    this.trace(`now ${group.now}, ${id} waits for ${at}`);
    // A timer of an earlier deadline fires too, and for nothing.
    if ((at !== null && at <= group.now) || random.next() < 0.2) group.tick(id);
  }

  private tickZombie(): void {
    const { group, random } = this;
    if (group.zombies.length === 0) return;
    const zombie = random.pick(group.zombies);
    this.trace(`tick zombie ${zombie.id}/${zombie.boot}`);
    group.turn(zombie, (core) => core.tick(group.now));
  }

  private links(): void {
    const { group, random } = this;
    const dice = random.integer(1, 10);
    this.trace(`links ${dice}`);
    if (dice <= 1) {
      // Trouble that starts in a group at rest is of another kind.
      group.heal();
      group.pass(5_000);
    } else if (dice <= 4) group.heal();
    else if (dice <= 6) group.isolate(random.pick(group.ids));
    else if (dice <= 7) group.isolate(...group.ids.filter(() => random.next() < 0.5));
    else group.cutLink(random.pick(group.ids), random.pick(group.ids));
  }

  /** The others elect while the leader is cut off, unaware; its messages are late, or lost. */
  private coup(): void {
    const { group, random } = this;
    const old = this.leader() ?? random.pick(group.ids);
    const late = group.withhold(({ from, to }) => from === old || to === old);
    group.isolate(old);
    // The old leader's log goes its own way.
    for (let count = random.integer(0, 3); count > 0; count -= 1) {
      this.proposals += 1;
      group.propose(old, `${this.proposals}`);
    }
    const entry = random.pick(group.ids);
    this.trace(`coup against ${old} by ${entry}`);
    group.suspect(entry);
    group.pass(random.pick([500, 1_500, 3_000]), () => this.isReplaced(old));
    if (random.next() < 0.7) group.heal();
    if (random.next() < 0.7) group.pool.push(...late.filter((message) => !group.isCut(message)));
  }

  private membership(): void {
    const { group, random } = this;
    const name = this.leader() ?? random.pick(group.ids);
    const dice = random.integer(1, 10);
    if (dice <= 4) this.change(name);
    else if (dice <= 6) {
      const to = random.pick(group.ids);
      this.trace(`transfer from ${name} to ${to}: ${group.transfer(name, to)}`);
    } else if (dice <= 8) {
      const id = random.pick(group.ids);
      const index = group.storage(id).applied - random.integer(0, 3);
      this.trace(`compact ${id} to ${index}: ${group.compact(id, index)}`);
    } else if (dice === 9) {
      const id = random.pick(group.ids);
      this.trace(`repair at ${id}`);
      group.repair(id);
    } else {
      // Each its own order: during a deploy they may differ.
      for (const id of group.ids) {
        const order = [...group.ids].sort(() => random.next() - 0.5);
        this.trace(`${id} prefers ${order.join('')}`);
        group.core(id).preferLeaders(order);
      }
    }
  }

  /** A random step from the present configuration: add, promote, demote, remove, several at once. */
  private change(name: string): void {
    const { group, random } = this;
    const { voters, learners } = group.core(name).configuration;
    const place = new Map<MemberId, 'voter' | 'learner'>();
    for (const id of voters) place.set(id, 'voter');
    for (const id of learners) place.set(id, 'learner');
    for (let count = random.integer(1, 3); count > 0; count -= 1) {
      const dice = random.integer(1, 4);
      const joined = [...newcomers].find((id) => !group.ids.includes(id as MemberId));
      const some = random.pick([...place.keys()]);
      if (dice === 1 && joined && this.withMembership) {
        group.join(joined);
        place.set(joined as MemberId, 'learner');
      } else if (dice === 2) for (const id of place.keys()) place.set(id, 'voter');
      else if (dice === 3) place.set(some, 'learner');
      else if (place.size > 2) place.delete(some);
    }
    const wanted = (kind: string) => [...place].filter(([, is]) => is === kind).map(([id]) => id);
    const result = group.change(name, wanted('voter').join(''), wanted('learner').join(''));
    const verdict = result.ok ? result.index : result.reason;
    this.trace(
      `change at ${name} to ${wanted('voter').join('')}+${wanted('learner').join('')}: ${verdict}`,
    );
  }

  private isReplaced(old: string): boolean {
    return this.group.ids.some((id) => id !== old && this.group.core(id).role === 'leader');
  }

  private lives(id: MemberId): void {
    const { group, random } = this;
    const dice = random.integer(1, 11);
    const message = group.pool.find(({ to }) => to === id);
    this.trace(`lives ${dice} ${id}`);
    if (dice <= 3) group.restart(id);
    else if (dice <= 4) group.restart(...group.ids);
    else if (dice <= 6 && message) {
      this.trace(`crash of ${id} at ${show(message)}`);
      group.crashDuring(id, (core) => core.step(message, group.now));
    } else if (dice <= 7) group.crashDuring(id, (core) => core.tick(group.now));
    else if (dice <= 8) group.supersede(id);
    else if (dice <= 10) group.unreachable(id, random.pick(group.ids));
    else group.standDown(id);
  }

  private leader(): string | null {
    const leaders = this.group.ids.filter((id) => this.group.core(id).role === 'leader');
    return leaders.length > 0 ? this.random.pick(leaders) : null;
  }

  /** A quorum is healed, perhaps not more; somebody asks there, as the router would. */
  recover(): void {
    const { group, random } = this;
    const healed = this.healQuorum();
    for (const zombie of group.zombies) zombie.ended = true;
    group.restart(...healed.filter((id) => group.life(id).stoodDown));
    if (random.next() < 0.5) group.pool = [];
    group.sent = [];
    const entry = random.pick(healed.filter((id) => this.isVoter(id)));
    for (const id of healed)
      this.trace(`${id}: ${JSON.stringify(group.storage(id).configurations.slice(-2))}`);
    this.trace(`healed ${healed.join('')}, asking at ${entry}`);
    const target = this.commitSomething(entry);
    const isQuiet = () =>
      group.nextDeadline(healed) === null &&
      !group.pool.some(({ from, to }) => healed.includes(from) && healed.includes(to));
    if (!group.pass(restWithinMs, isQuiet)) throw new Error('liveness: no rest');
    if (group.sent.length > messagesPerRunMax)
      throw new Error(`liveness: ${group.sent.length} messages until rest`);
    // A leader that was deposed after the commit owes nobody anything; the next one will.
    if (!healed.some((id) => group.core(id).role === 'leader')) return;
    for (const id of healed)
      if (this.isMember(id) && group.core(id).commitIndex < target)
        throw new Error(`liveness: ${id} lacks ${target}`);
  }

  private healQuorum(): MemberId[] {
    const { group, random } = this;
    group.heal();
    const down = new Set<MemberId>();
    if (random.next() < 0.6)
      for (const id of group.ids) {
        if (this.isEnough(new Set([...down, id])) && random.next() < 0.6) down.add(id);
      }
    group.isolate(...down);
    // What is down does nothing at all: its next life begins after this run.
    for (const id of down) group.life(id).ended = true;
    return group.ids.filter((id) => !down.has(id) && group.storage(id).fate === null);
  }

  private isVoter(id: MemberId): boolean {
    return this.halves().some((half) => half.includes(id));
  }

  private isMember(id: MemberId): boolean {
    const { group } = this;
    // One that was replaced, and that nobody has asked since, does not know who belongs to the group.
    const leader = group.ids
      .filter((name) => group.core(name).role === 'leader' && !group.life(name).ended)
      .sort((a, b) => group.core(b).term - group.core(a).term)[0];
    return leader !== undefined && allMembers(group.core(leader).configuration).includes(id);
  }

  /** Of every configuration that is or may come into force. */
  private halves(): MemberId[][] {
    const { group } = this;
    const alive = group.ids.filter((id) => group.storage(id).fate === null);
    const committed = Math.max(
      ...alive.map((id) => {
        const { applied, configurations } = group.storage(id);
        return configurations.filter(({ index }) => index <= applied).at(-1)?.index ?? 0;
      }),
    );
    return alive
      .flatMap((id) => group.storage(id).configurations)
      .filter(({ index }) => index >= committed)
      .flatMap(({ configuration: { voters, outgoing } }) => [[...voters], [...outgoing]])
      .filter((half) => half.length > 0);
  }

  /** Counted here, not by the core: an oracle must not share its faults. */
  private isEnough(down: ReadonlySet<MemberId>): boolean {
    const isUp = (id: MemberId) => !down.has(id) && this.group.storage(id).fate === null;
    return this.halves().every((half) => 2 * half.filter(isUp).length > half.length);
  }

  private another(than: MemberId): MemberId {
    const { group } = this;
    const alive = group.ids.filter((id) => !group.life(id).ended && id !== than);
    return this.random.pick(alive.filter((id) => this.isVoter(id)));
  }

  /** Asks at one member only, as a client near it would. Returns the index that was committed. */
  private commitSomething(entry: MemberId): number {
    const { group } = this;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      // It may find itself removed, as a router's favourite may.
      if (group.storage(entry).fate !== null) return this.commitSomething(this.another(entry));
      const { leader, term } = group.core(entry);
      this.trace(`attempt ${attempt} at ${group.now}: leader ${leader} of term ${term}`);
      const proposed = leader ? group.propose(leader, `last ${attempt}`) : null;
      if (proposed?.ok) {
        const { index, term } = proposed;
        const isDone = () => group.checks.isCommitted(index, term);
        if (group.pass(attemptMs, isDone)) return index;
      }
      group.suspect(entry);
      group.pass(attemptMs, () => !group.core(entry).isSuspecting);
      // A leader that is full is asked again later.
      if (proposed) group.pass(attemptMs);
    }
    throw new Error('liveness: nothing was committed');
  }
}

export function runChaos(seed: number, { steps = 400, trace }: ChaosOptions = {}): Chaos {
  const chaos = new Chaos(seed, trace);
  chaos.disturb(steps);
  chaos.recover();
  return chaos;
}

export function show(message: Message): string {
  const { from, to, boot, term, type, ...rest } = message;
  const detail = JSON.stringify(rest, (key, value) =>
    key === 'entries'
      ? (value as { index: number; term: number }[]).map(({ index, term }) => `${index}/${term}`)
      : value,
  );
  return `${from}/${boot}>${to} ${type} term ${term} ${detail}`;
}
