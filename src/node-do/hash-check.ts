/**
 * Whether the members still hold the same: once per 10,000 revisions the leader asks the others for the hash of
 * the history up to there, and raises CORRUPT for who disagrees with the majority; where no
 * majority can be told, for who disagrees with the leader.
 *
 * It happens on the back of writes, never by a timer of its own, and is over within a minute, be it
 * without a result: the next one comes with later writes. Each member reads its history in many short turns,
 * and no call waits for that: who is not done yet is asked again.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AlarmType } from '../api/gen/maintenance_pb.js';
import {
  type HistoryHash,
  HistoryHashSchema,
  MaintenanceQuerySchema,
  MemberReplySchema,
  MemberRequestSchema,
} from '../api/gen/member_pb.js';
import { protocolVersion } from '../api/limits.ts';
import { clusterRulesVersion } from '../kv/batch.ts';
import { historyHashAlgorithm } from '../kv/keys-hash.ts';
import type { Outcome } from '../kv/store.ts';
import { allMembers } from '../raft/configuration.ts';
import type { MemberId } from '../raft/types.ts';
import type { GroupMember } from './group-member.ts';
import { incarnationOf, numericId, placeOf } from './identity.ts';
import type { Platform } from './platform.ts';
import { alarmCommand } from './write-gate.ts';

/** Of the leader, between two comparisons. */
const revisionsPerCheck = 10_000;
const checkMs = 60_000;
const callTimeoutMs = 2_000;
/** Between two questions to one that is not done; doubles. */
const askAgainFirstMs = 100;
const askAgainMaxMs = 4_000;

/** 'not yet': ask again. 'never': this revision is compacted, or who would have to say it is not there. */
type Answer = HistoryHash | 'not yet' | 'never';
type Hashed = Outcome<{ readonly digest: string; readonly compactRevision: number }>;

/** What it needs of a member: by its parts, so that a mutant of GroupMember still is one. */
type Checked = Pick<
  GroupMember,
  | 'core'
  | 'hashing'
  | 'isOver'
  | 'machine'
  | 'peers'
  | 'propose'
  | 'rest'
  | 'roster'
  | 'rules'
  | 'self'
  | 'until'
>;

export class HashCheck {
  private readonly platform: Platform;
  private readonly group: Checked;
  private readonly interval: number;
  /** How often the interval has been passed, as of the last look. */
  private passed: number;
  private isChecking = false;
  /** The last hash that was asked for here; outcome null: it is being made. */
  private last: { readonly revision: number; outcome: Hashed | null } | null = null;

  constructor(platform: Platform, group: Checked, interval = revisionsPerCheck) {
    this.platform = platform;
    this.group = group;
    this.interval = interval;
    // What this life finds here is not looked into: it would be looked into by each life.
    this.passed = Math.floor(group.machine.revision / interval);
  }

  get isRunning(): boolean {
    return this.isChecking || this.last?.outcome === null;
  }

  /** After each turn. */
  look(): void {
    const passed = Math.floor(this.group.machine.revision / this.interval);
    if (passed === this.passed) return;
    this.passed = passed;
    const { core, rules } = this.group;
    const isAlone = allMembers(core.configuration).length === 1;
    const isOld = rules < clusterRulesVersion;
    if (core.role !== 'leader' || this.isChecking || isAlone || isOld) return;
    this.isChecking = true;
    this.check(passed * this.interval, this.platform.now() + checkMs)
      .finally(() => {
        this.isChecking = false;
      })
      .then(() => this.group.rest())
      // A turn that threw has ended this life and said why.
      .catch(() => {});
  }

  /** For the leader that compares. */
  answer(revision: number): Answer {
    const outcome = this.hashAt(revision);
    if (outcome === null) return 'not yet';
    if (!outcome.ok) return 'never';
    const { digest, compactRevision } = outcome.response;
    const memberId = numericId(incarnationOf(this.group.self));
    return create(HistoryHashSchema, {
      digest,
      compactRevision: BigInt(compactRevision),
      memberId,
      algorithm: historyHashAlgorithm,
    });
  }

  /** Begins to make it, if nothing else is being made. */
  private hashAt(revision: number): Hashed | null {
    const { last } = this;
    if (last?.outcome === null) return null;
    if (last?.revision === revision) return last.outcome;
    const { machine, hashing } = this.group;
    if (machine.revision < revision) return null;
    const making: { revision: number; outcome: Hashed | null } = { revision, outcome: null };
    this.last = making;
    const deadline = this.platform.now() + checkMs;
    const mayGoOn = () => !this.group.isOver && this.platform.now() < deadline;
    hashing
      .run(() => machine.historyHash(revision), mayGoOn)
      .then((hashed) => {
        making.outcome =
          hashed.type === 'done' ? hashed.value : { ok: false, error: 'TooManyRequests' };
      })
      .then(() => this.group.rest())
      // As above. It is not made for ever, whatever it threw.
      .catch(() => {
        this.last = null;
      });
    return null;
  }

  private async check(revision: number, deadline: number): Promise<void> {
    const { group } = this;
    const goesOn = () => group.core.role === 'leader' && !group.isOver;
    const own = await this.patiently(async () => this.answer(revision), goesOn, deadline);
    if (!own) return;
    const members = allMembers(group.core.configuration);
    const found = new Map<MemberId, string>([[group.self, own.digest]]);
    for (const member of members) {
      if (member === group.self) continue;
      const ask = () => this.ask(member, revision, deadline);
      const theirs = await this.patiently(ask, goesOn, deadline);
      if (theirs && isComparable(own, theirs)) found.set(member, theirs.digest);
    }
    for (const member of dissenters(found, own.digest, members.length)) {
      if (!goesOn()) return;
      await this.raise(this.group.roster.idOf(member), deadline);
    }
  }

  /** Until there is an answer; null: there is none in time, or nobody wants it any more. */
  private async patiently(
    ask: () => Promise<Answer>,
    goesOn: () => boolean,
    deadline: number,
  ): Promise<HistoryHash | null> {
    for (let pauseMs = askAgainFirstMs; ; pauseMs = Math.min(2 * pauseMs, askAgainMaxMs)) {
      if (!goesOn() || this.platform.now() >= deadline) return null;
      const answer = await ask();
      if (answer === 'never') return null;
      if (answer !== 'not yet') return answer;
      await this.group.until(() => !goesOn(), this.platform.now() + pauseMs);
    }
  }

  private async ask(member: MemberId, revision: number, deadline: number): Promise<Answer> {
    const { peers } = this.group;
    if (!peers.mayRelay) return 'not yet';
    const query = { case: 'historyHash' as const, value: { revision: BigInt(revision) } };
    const timeoutMs = Math.max(1, Math.min(callTimeoutMs, deadline - this.platform.now()));
    const request = create(MemberRequestSchema, {
      protocol: protocolVersion,
      op: { case: 'maintenance', value: create(MaintenanceQuerySchema, { query }) },
      timeoutMs,
    });
    const body = toBinary(MemberRequestSchema, request);
    try {
      const answer = await peers.relay(placeOf(member), body, timeoutMs);
      const { outcome } = fromBinary(MemberReplySchema, answer);
      if (outcome.case === 'failure' && outcome.value.error === 'TooStale') return 'not yet';
      if (outcome.case !== 'response') return 'never';
      const hash = fromBinary(HistoryHashSchema, outcome.value);
      // Another member may live at that place by now.
      return hash.memberId === numericId(incarnationOf(member)) ? hash : 'never';
    } catch {
      return 'never';
    }
  }

  private async raise(memberId: bigint, deadline: number): Promise<void> {
    const { machine } = this.group;
    if (machine.alarms.find(AlarmType.CORRUPT, memberId)) return;
    await this.group.propose(alarmCommand(AlarmType.CORRUPT, memberId), deadline);
  }
}

function isComparable(one: HistoryHash, other: HistoryHash): boolean {
  return one.algorithm === other.algorithm && one.compactRevision === other.compactRevision;
}

/** `own`: of the leader. `memberCount`: of all, also of those that gave no answer. */
export function dissenters<T>(
  found: ReadonlyMap<T, string>,
  own: string,
  memberCount: number,
): T[] {
  const counts = new Map<string, number>();
  for (const digest of found.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const majority = [...counts].find(([, count]) => 2 * count > memberCount)?.[0];
  const right = majority ?? own;
  return [...found].filter(([, digest]) => digest !== right).map(([member]) => member);
}
