/**
 * A tenant out of a client's snapshot (docs/decisions/backup.md), at place 1, before its group is born. The
 * chunks fill the tables beside those of an empty state machine; the last step makes them the state and founds
 * the group of this one member, in one transaction. Until then the place is one that was never born.
 *
 * What an attempt has left is never in the way: another attempt takes its place, and so does a birth.
 */
import { create } from '@bufbuild/protobuf';
import {
  RestoreReply_Outcome as Outcome,
  type RestoreChunk,
  type RestoreCommit,
  type RestoreReply,
  RestoreReplySchema,
  type RestoreRequest,
} from '../api/gen/backup_pb.js';
import type { BirthRecord } from '../api/gen/peer_pb.js';
import { installable } from '../kv/snapshot-format.ts';
import { StateMachine } from '../kv/state-machine.ts';
import type { Counters } from './counters.ts';
import type { CodeVersion, Platform } from './platform.ts';

/** For so long after a chunk nobody else founds a group here: then the client has gone. */
const underWayMs = 60_000;
const rowsPerStep = 1_000;

/** What the place knows of itself and of the others. */
export interface Birthplace {
  /** Whether it belongs to no group, and never did. */
  readonly isFresh: boolean;
  /** The id of the group that lives here; null: none. */
  readonly groupId: string | null;
  askFounders(): Promise<'fresh' | 'born' | 'silent'>;
  /** Within a transaction: makes this place the only member of a group whose log begins after `index`. */
  record(groupId: string, index: number): BirthRecord;
  /** The transaction is over. Resolves when the member leads, or has tried to. */
  live(birth: BirthRecord): Promise<void>;
}

export class Restore {
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly code: CodeVersion;
  private readonly place: Birthplace;
  /** With what has come so far; null: look for it on disk. */
  private machine: StateMachine | null = null;
  private heardAt: number | null = null;

  constructor(platform: Platform, counters: Counters, code: CodeVersion, place: Birthplace) {
    this.platform = platform;
    this.counters = counters;
    this.code = code;
    this.place = place;
  }

  get isUnderWay(): boolean {
    return this.heardAt !== null && this.platform.now() - this.heardAt < underWayMs;
  }

  async serve({ id, step }: RestoreRequest): Promise<RestoreReply> {
    if (!this.place.isFresh) return this.notFresh(id);
    switch (step.case) {
      case 'begin':
        return this.begin(id);
      case 'chunk':
        return this.chunk(id, step.value);
      case 'commit':
        return this.commit(id, step.value);
      case 'abandon':
        return this.abandon(id);
      default:
        return answer(Outcome.UNKNOWN);
    }
  }

  /** The state is gone with the birth, whoever's it was. */
  private notFresh(id: string): RestoreReply {
    this.machine = null;
    this.heardAt = null;
    // The answer to the last step was lost, and it is asked for again.
    return answer(this.place.groupId === id ? Outcome.DONE : Outcome.BORN);
  }

  private async begin(id: string): Promise<RestoreReply> {
    const obstacle = await this.obstacle(id);
    if (obstacle) return obstacle;
    this.heardAt = this.platform.now();
    if (!this.staged()) this.write(() => StateMachine.create(this.platform.sql));
    // Another attempt, or a birth, may have come between two steps.
    for (let machine = this.staged(); machine; machine = this.staged()) {
      const here = machine;
      let ready = false;
      this.write(() => {
        ready = here.beginReceive(id);
        if (!ready) here.clearStep(rowsPerStep);
      });
      if (ready) return answer(Outcome.DONE);
      await this.platform.yieldTurn();
      if (!this.place.isFresh) return this.notFresh(id);
    }
    return answer(Outcome.FORGOTTEN);
  }

  private chunk(id: string, { number, data }: RestoreChunk): RestoreReply {
    const machine = this.staged();
    const cursor = machine?.receiving?.id === id ? machine.receiving.cursor : null;
    if (!machine || cursor === null) return answer(Outcome.FORGOTTEN);
    this.heardAt = this.platform.now();
    const expected = Number(cursor);
    if (number === expected - 1) return answer(Outcome.DONE);
    if (number !== expected) return answer(Outcome.FORGOTTEN);
    const chunk = installable(data, this.code.rules);
    if (!chunk) return answer(Outcome.UNREADABLE, `chunk ${number} needs other code`);
    return this.attempt(() => {
      const receipt = machine.receiveChunk(id, cursor, chunk, String(number + 1));
      if (receipt !== 'received') throw new Error(`chunk ${number}: ${receipt}`);
    });
  }

  private async commit(id: string, { chunks, bumpRevision }: RestoreCommit): Promise<RestoreReply> {
    const obstacle = await this.obstacle(id);
    if (obstacle) return obstacle;
    if (chunks === 0) return answer(Outcome.UNREADABLE, 'there is nothing in it');
    const machine = this.staged();
    const isComplete = machine?.receiving?.id === id && machine.receiving.cursor === String(chunks);
    if (!machine || !isComplete) return answer(Outcome.FORGOTTEN);
    let birth: BirthRecord | undefined;
    const reply = this.attempt(() => {
      machine.completeReceive();
      machine.install(Number(bumpRevision));
      birth = this.place.record(id, machine.appliedIndex);
    });
    if (!birth || reply.outcome !== Outcome.DONE) return reply;
    this.machine = null;
    this.heardAt = null;
    await this.place.live(birth);
    return create(RestoreReplySchema, { ...reply, revision: BigInt(machine.revision) });
  }

  /** Bounded steps; what a life leaves undone the next attempt does. */
  private async abandon(id: string): Promise<RestoreReply> {
    const machine = this.staged();
    if (machine?.receiving?.id !== id) return answer(Outcome.FORGOTTEN);
    this.heardAt = null;
    this.write(() => machine.abandonReceive());
    while (this.machine === machine && machine.clearPending()) {
      this.write(() => machine.clearStep(rowsPerStep));
      await this.platform.yieldTurn();
    }
    return answer(Outcome.DONE);
  }

  /** Why no group may be founded here; null: it may, in this turn. */
  private async obstacle(id: string): Promise<RestoreReply | null> {
    const said = await this.place.askFounders();
    // Other events came in while the others were asked.
    if (!this.place.isFresh) return this.notFresh(id);
    if (said === 'born') return answer(Outcome.BORN);
    return said === 'silent' ? answer(Outcome.UNREACHABLE) : null;
  }

  /** Null: nothing of an attempt is here. */
  private staged(): StateMachine | null {
    const { platform, code, place } = this;
    if (!place.isFresh || !StateMachine.exists(platform.sql)) return null;
    this.machine ??= StateMachine.open(platform.sql, {}, code.rules);
    return this.machine;
  }

  /** What cannot be written is no snapshot of ours, whatever its checksum says. */
  private attempt(work: () => void): RestoreReply {
    try {
      this.write(work);
      return answer(Outcome.DONE);
    } catch (error) {
      return answer(Outcome.UNREADABLE, String(error));
    }
  }

  private write(work: () => void): void {
    try {
      this.platform.transaction(work);
    } catch (error) {
      // In memory it may be ahead of the rows.
      this.machine = null;
      throw error;
    }
    this.counters.commits += 1;
  }
}

function answer(outcome: Outcome, detail = ''): RestoreReply {
  return create(RestoreReplySchema, { outcome, detail });
}
