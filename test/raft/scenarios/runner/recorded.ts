/**
 * A group that writes down, as lines, all that happens in it.
 *
 * The random waits of its members are not random: each draw gives the number that the scenario
 * has put on the member's die, 0 (the shortest wait) unless it says otherwise.
 */
import type { RaftCore } from '../../../../src/raft/core.ts';
import type { MemberId, Message } from '../../../../src/raft/types.ts';
import { RaftInvariantError } from '../../../../src/raft/types.ts';
import { Random } from '../../../support/random.ts';
import { Group, type GroupOptions, type Life } from '../../support/group.ts';
import {
  deadlineFacts,
  roleFacts,
  showHead,
  showMember,
  showTurn,
  type View,
  viewOf,
} from './print.ts';

class Dice extends Random {
  /** Whose turn it is. */
  thrower = '';
  readonly faces = new Map<string, number>();

  constructor() {
    super(0);
  }

  override next(): number {
    return this.faces.get(this.thrower) ?? 0;
  }
}

const restWithinMs = 120_000;
const electTurnsMax = 10;
const turnsPerWaitMax = 10_000;

export class RecordedGroup extends Group {
  readonly dice: Dice;
  private lines: string[] = [];
  /** When the command began whose lines are being recorded. */
  private since = 0;
  private readonly views = new Map<Life, View>();
  private readonly firstLives: Map<string, number>;
  private readonly held: Message[] = [];

  constructor(options: GroupOptions) {
    const dice = new Dice();
    super({ ...options, random: dice });
    this.dice = dice;
    this.firstLives = new Map(this.ids.map((id) => [id, this.life(id).boot]));
    this.since = this.now;
    for (const id of this.ids) this.look(this.life(id));
    this.onTurn = (life, effects) => {
      const before = this.view(life);
      const after = this.look(life);
      const fate = (message: Message) => this.fateOf(message);
      const { now, isFirstLife } = this;
      this.record(...showTurn(life, effects, { before, after, now, isFirstLife, fate }));
    };
  }

  private readonly isFirstLife = (id: MemberId, boot: number) => this.firstLives.get(id) === boot;

  recordStatus(name: string): void {
    const { isFirstLife, configuration: founding } = this;
    this.record(...showMember(this.life(name), this.storage(name), { isFirstLife, founding }));
  }

  record(...lines: readonly string[]): void {
    this.lines.push(...lines);
  }

  /** What was recorded since the last call; a command ends here and the next one begins. */
  takeLines(): string[] {
    this.since = this.now;
    return this.lines.splice(0);
  }

  private fateOf(message: Message): string {
    // A chunk is read where it is sent; of a closed snapshot there is nothing to send.
    if (message.type === 'snapshot') {
      const chunk = this.storage(message.from).chunk(message.snapshot.id, message.cursor);
      if (!chunk) return ' (not sent: closed)';
    }
    return this.isCut(message) || this.loses(message) ? ' (lost)' : '';
  }

  private view(life: Life): View {
    return this.views.get(life) ?? this.look(life);
  }

  private look(life: Life): View {
    const view = viewOf(life);
    this.views.set(life, view);
    return view;
  }

  /** For what changes a member outside a turn. */
  recordChange(name: string): void {
    const life = this.life(name);
    const before = this.view(life);
    const after = this.look(life);
    const facts = [...roleFacts(before, after), ...deadlineFacts(before, after, this.now)];
    if (facts.length > 0) this.record(`${name} ${facts.join(', ')}`);
  }

  // What happens to members.

  /** A life whose core finds a broken invariant ends there, as the host would end it. */
  override turn(life: Life, input: Parameters<Group['turn']>[1]): void {
    this.dice.thrower = life.id;
    const wasEnded = life.ended;
    try {
      super.turn(life, input);
      if (life.ended && !wasEnded) {
        const fate = this.storage(life.id).fate;
        this.record(`${life.id} life ${life.boot} ends: ${fate ?? 'superseded'}`);
      }
    } catch (error) {
      if (!(error instanceof RaftInvariantError)) throw error;
      life.ended = true;
      this.look(life);
      this.record(`${life.id} stops: ${error.message}`);
    }
  }

  override step(...messages: Message[]): void {
    for (const message of messages) {
      const isThere = this.ids.includes(message.to) && !this.life(message.to).ended;
      this.record(`-> ${showHead(message)}${isThere ? '' : ' (nobody there)'}`);
    }
    super.step(...messages);
  }

  override tick(name: string): void {
    this.record(
      `${name} is woken${this.now > this.since ? ` after ${this.now - this.since}` : ''}`,
    );
    super.tick(name);
  }

  override restart(...names: string[]): void {
    for (const name of names) {
      this.dice.thrower = name;
      super.restart(name);
      if (!this.life(name).ended) this.recordLife(name);
    }
  }

  override supersede(name: string): Life {
    this.dice.thrower = name;
    const old = super.supersede(name);
    this.recordLife(name);
    return old;
  }

  override crashDuring(name: string, input: (core: RaftCore) => void): void {
    this.dice.thrower = name;
    super.crashDuring(name, input);
  }

  override join(name: string): void {
    super.join(name);
    this.firstLives.set(name, this.life(name).boot);
    this.look(this.life(name));
  }

  private recordLife(name: string): void {
    const life = this.life(name);
    const { role, term, deadline } = { ...this.look(life), term: life.core.term };
    const wakes = deadline === null ? 'rests' : `wakes in ${deadline - this.now}`;
    this.record(`${name} begins life ${life.boot}: ${role} t${term}, ${wakes}`);
  }

  // The network.

  /** Puts messages aside until `release`. */
  hold(messages: readonly Message[]): void {
    this.held.push(...messages);
  }

  /** The oldest message under way that matches; every one of them when `all`. */
  pick(matches: (message: Message) => boolean, all: boolean): Message[] {
    const picked = this.pool.filter(matches).slice(0, all ? undefined : 1);
    this.pool = this.pool.filter((message) => !picked.includes(message));
    return picked;
  }

  release(matches: (message: Message) => boolean): Message[] {
    const released = this.held.filter(matches);
    const others = this.held.filter((message) => !matches(message));
    this.held.splice(0, this.held.length, ...others);
    this.pool.push(...released);
    return released;
  }

  // Time.

  /** Like pass, but what is under way stays under way. */
  wait(ms: number): void {
    const until = this.now + ms;
    for (let turns = 0; ; turns += 1) {
      if (turns > turnsPerWaitMax) throw new Error('turns without end');
      const next = this.nextDeadline();
      if (next === null || next > until) break;
      this.now = Math.max(this.now, next);
      for (const id of this.ids) if ((this.nextDeadline([id]) ?? until + 1) <= next) this.tick(id);
    }
    this.now = until;
  }

  rest(): void {
    if (!this.pass(restWithinMs, () => this.isAtRest)) throw new Error('the group finds no rest');
  }

  /** Elects `name` and lets the group come to rest, long enough for nobody to trust anybody. */
  lead(name: string): void {
    this.suspect(name);
    if (!this.pass(restWithinMs, () => this.core(name).role === 'leader'))
      throw new Error(`${name} does not lead`);
    this.rest();
    this.now += 1_000;
  }

  /** Elects `name` at once, as far as that needs no time; its first appends stay under way. */
  elect(name: string): void {
    const core = () => this.core(name);
    this.suspect(name);
    for (let turns = 0; core().role !== 'leader'; turns += 1) {
      this.settle(({ type }) => type !== 'append');
      if (core().role === 'leader') return;
      const next = core().nextDeadline();
      if (next === null || turns > electTurnsMax) throw new Error(`${name} is not elected`);
      this.now = Math.max(this.now, next);
      this.tick(name);
    }
  }
}
