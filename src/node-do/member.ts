/**
 * One place of a tenant, from before its group is born: identity, birth, adoption, dispatch.
 *
 * A group is born once, by place 1, after all founding places have said that they were never born
 * (consensus-rules.md 2). The others adopt the birth record only from a message that names the
 * incarnation they have given out, and refuse everything of Raft before (rule 3).
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { RestoreReplySchema, RestoreRequestSchema } from '../api/gen/backup_pb.js';
import { MemberRepliesSchema, MemberRequestsSchema } from '../api/gen/batch_pb.js';
import {
  type MemberReply,
  MemberReplySchema,
  MemberRequestSchema,
  Redirect_Reason,
} from '../api/gen/member_pb.js';
import {
  type BirthAnswer,
  BirthAnswerSchema,
  BirthQuestionSchema,
  type BirthRecord,
  BirthRecordSchema,
  type Configuration,
  type Envelope,
  EnvelopeSchema,
  type Tombstone,
  Tombstone_Kind,
  TombstoneSchema,
} from '../api/gen/peer_pb.js';
import { foundingPlaces } from '../api/limits.ts';
import type { MemberStatus, RecoverRequest } from '../api/member.ts';
import { rootOnly } from '../kv/auth/needs.ts';
import { StateMachine } from '../kv/state-machine.ts';
import { shownBy } from './auth/callers.ts';
import { elsewhere, foundersOf, knownGroup } from './birth.ts';
import { ClientService } from './client.ts';
import { fromWireConfiguration, fromWireMember, toWireConfiguration } from './codec.ts';
import type { Counters } from './counters.ts';
import { type Fate, GroupMember, type Home, type Tuning } from './group-member.ts';
import {
  createIdentity,
  type Identity,
  loadIdentity,
  memberId,
  needsUpgrade,
  noPlan,
  saveBirth,
  saveIncarnation,
  saveTombstone,
} from './identity.ts';
import { clearLog, initialize, initializeAfter, takeOver } from './log-store.ts';
import { type CodeVersion, type Platform, thisCode } from './platform.ts';
import { redirect } from './replies.ts';
import { type Birthplace, Restore } from './restore.ts';
import { upgradeSchema } from './schema.ts';
import { memberMetrics, memberStatus } from './status.ts';
import { closeCode, type WatchSocket } from './watch-hub.ts';

const birthTimeoutMs = 2_000;
/** As long as a suspicion lives: whoever can lead has tried several times, however far it is. */
const recoverPatienceMs = 12_000;

export class Member {
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly code: CodeVersion;
  private readonly tuning: Tuning;
  private identity: Identity | null;
  private group: GroupMember | null = null;
  private service: ClientService | null = null;
  private birthUnderWay: Promise<MemberReply | null> | null = null;
  private readonly restore: Restore;

  /** Reads a fixed number of rows and writes nothing, but once after a deployment. */
  constructor(
    platform: Platform,
    counters: Counters,
    code: CodeVersion = thisCode,
    tuning: Tuning = {},
  ) {
    this.platform = platform;
    this.counters = counters;
    this.code = code;
    this.tuning = tuning;
    this.restore = new Restore(platform, counters, code, this.birthplace());
    if (needsUpgrade(platform.sql))
      platform.transaction(() => upgradeSchema(platform.sql, platform.wallTime()));
    this.identity = loadIdentity(platform.sql);
    if (this.identity?.birth) this.join(this.identity, this.identity.birth);
    else {
      for (const socket of platform.sockets())
        socket.close(closeCode.again, 'no member of a group');
      // The life in which it was removed may have ended before its rows went.
      void this.discard();
    }
  }

  /** A request of the router: MemberRequest in, MemberReply out. */
  onClient(body: Uint8Array): Promise<Uint8Array> {
    this.counters.requestsIn.client += 1;
    return this.reply(body);
  }

  /** Several, as one request: MemberRequests in, MemberReplies out when all have been answered. */
  async onClients(body: Uint8Array): Promise<Uint8Array> {
    this.counters.requestsIn.client += 1;
    const { requests } = fromBinary(MemberRequestsSchema, body);
    const replies = await Promise.all(requests.map((request) => this.reply(request)));
    return toBinary(MemberRepliesSchema, create(MemberRepliesSchema, { replies }));
  }

  private async reply(body: Uint8Array): Promise<Uint8Array> {
    const { totals } = this.counters;
    totals.clientBytesReceived += body.length;
    const reply = toBinary(MemberReplySchema, await this.client(body));
    totals.clientBytesSent += reply.length;
    return reply;
  }

  private async client(body: Uint8Array): Promise<MemberReply> {
    const request = fromBinary(MemberRequestSchema, body);
    if (!this.service) {
      if (this.identity?.tombstone) return movedOn(this.identity.tombstone);
      if (this.platform.place !== 1) return redirect({ reason: Redirect_Reason.NOT_BORN });
      // The group is about to be born of a snapshot.
      if (this.restore.isUnderWay) return redirect({ reason: Redirect_Reason.NO_LEADER });
      const obstacle = await this.bearGroup(request.groupSize);
      if (obstacle) return obstacle;
    }
    // Born just now, or by another request meanwhile.
    if (!this.service) return redirect({ reason: Redirect_Reason.NO_LEADER });
    return this.service.serve(request);
  }

  /** A message of another member: Envelope in, Envelope out. Empty when it is not meant for us. */
  onPeer(body: Uint8Array): Uint8Array {
    this.counters.requestsIn.peer += 1;
    const envelope = fromBinary(EnvelopeSchema, body);
    // Newer code that this one would misunderstand: silence is something that Raft can deal with.
    if (envelope.minProtocol > this.code.protocol) return nobody();
    if (!this.group) this.adopt(envelope);
    if (!this.group?.isForUs(envelope)) return nobody();
    return this.group.onEnvelope(envelope, body.length);
  }

  /** Place 1, or a leader, asks whether this place was ever born: BirthQuestion, BirthAnswer. */
  onBirth(body: Uint8Array): Uint8Array {
    this.counters.requestsIn.birth += 1;
    const { groupId, leader, members } = fromBinary(BirthQuestionSchema, body);
    // A leader that would add this place does not count it as a member.
    if (leader && this.group?.birth.groupId === groupId)
      this.group.askLeader(fromWireMember(leader));
    if (members) this.remember(groupId, members);
    const { birth, incarnation, tombstone } = this.ensureIdentity();
    const { protocol, rules: rulesVersion } = this.code;
    const answer = create(BirthAnswerSchema, { protocol, rulesVersion, fresh: incarnation });
    if (birth) answer.state = { case: 'record', value: birth };
    if (this.group) answer.members = toWireConfiguration(this.group.core.configuration);
    else if (tombstone) answer.state = { case: 'tombstone', value: tombstone };
    else answer.state = { case: 'incarnation', value: incarnation };
    return toBinary(BirthAnswerSchema, answer);
  }

  /** Only root gives a group up. Nobody can be asked whether that is the latest word on who is root. */
  refusesRecovery(asked: RecoverRequest): EtcdErrorName | null {
    const shown = shownBy(asked, this.platform.wallTime());
    return this.group?.machine.permit(shown, rootOnly) ?? null;
  }

  /**
   * Begins a new group out of this member alone, by hand, when a quorum is lost for good: all of its
   * log counts as committed. What it did not hold is lost. Gives the id of the new group; null: this is
   * no member of the group that is to be given up.
   */
  async recover(givenUp: string): Promise<string | null> {
    const { group, identity } = this;
    if (!group || !identity || group.birth.groupId !== givenUp) return null;
    // A quorum that answers is not lost: two groups of one tenant would live.
    if (await group.hasQuorum(this.platform.now() + recoverPatienceMs)) return null;
    // Meanwhile it may have been removed, or recovered by another request.
    if (this.group !== group) return null;
    group.stop();
    const incarnation = this.platform.randomId();
    const founding = {
      voters: [{ place: this.platform.place, incarnation }],
      outgoing: [],
      learners: [],
    };
    const birth = create(BirthRecordSchema, {
      groupId: this.platform.randomId(),
      size: 1,
      founding,
    });
    this.platform.transaction(() => {
      saveBirth(this.platform.sql, birth);
      saveIncarnation(this.platform.sql, incarnation);
      const self = memberId(this.platform.place, incarnation);
      const alone = { voters: [self], outgoing: [], learners: [] };
      takeOver(this.platform.sql, alone, this.platform.wallTime());
    });
    this.counters.commits += 1;
    this.identity = { ...identity, incarnation, birth, boot: group.boot, plan: noPlan };
    const deadline = this.platform.now() + birthTimeoutMs;
    await this.join(this.identity, birth).findLeader(0, deadline);
    return birth.groupId;
  }

  /** A step of a tenant's restoration: RestoreRequest in, RestoreReply out. */
  async onRestore(body: Uint8Array): Promise<Uint8Array> {
    this.counters.requestsIn.birth += 1;
    const reply = await this.restore.serve(fromBinary(RestoreRequestSchema, body));
    return toBinary(RestoreReplySchema, reply);
  }

  /** A socket for the watches of one client (watch.proto). False: nobody here serves it. */
  onWatch(socket: WatchSocket): boolean {
    this.counters.requestsIn.watch += 1;
    if (!this.group?.canServe || this.group.watches.isFull) return false;
    this.group.watches.open(socket);
    return true;
  }

  /** A WatchAsk; null: a message of another kind. */
  onWatchMessage(socket: WatchSocket, data: Uint8Array | null): void {
    this.counters.watchMessages += 1;
    this.counters.totals.clientBytesReceived += data?.length ?? 0;
    if (this.group) this.group.watches.hear(socket, data);
    else socket.close(closeCode.again, 'no member of a group');
  }

  onWatchClosed(socket: WatchSocket): void {
    this.group?.watches.closed(socket);
  }

  onTimer(): void {
    this.group?.onTimer();
  }

  onAlarm(): void {
    this.counters.alarms += 1;
    this.group?.onAlarm();
  }

  status(withMetrics = false): MemberStatus {
    this.counters.requestsIn.status += 1;
    const metrics =
      withMetrics && this.group ? { metrics: memberMetrics(this.platform, this.group) } : {};
    return { ...memberStatus(this.platform, this.counters, this.identity, this.group), ...metrics };
  }

  private ensureIdentity(): Identity {
    if (this.identity) return this.identity;
    const incarnation = this.platform.randomId();
    this.platform.transaction(() => {
      this.identity = createIdentity(this.platform.sql, incarnation);
    });
    this.counters.commits += 1;
    if (!this.identity) throw new Error('an identity was just made');
    return this.identity;
  }

  /**
   * A place that belongs to no group keeps where the tenant's group lives: as long as one founding place
   * knows of it, nobody founds another.
   */
  private remember(groupId: string, members: Configuration): void {
    const identity = this.ensureIdentity();
    const known = identity.tombstone?.kind ?? Tombstone_Kind.ELSEWHERE;
    if (identity.birth || known !== Tombstone_Kind.ELSEWHERE) return;
    const tombstone = elsewhere(groupId, members);
    this.platform.transaction(() =>
      saveTombstone(this.platform.sql, tombstone, identity.incarnation),
    );
    this.counters.commits += 1;
    this.identity = { ...identity, tombstone };
  }

  private adopt(envelope: Envelope): void {
    const { birth, to, groupId } = envelope;
    const { identity } = this;
    if (!identity || identity.birth || !birth || birth.groupId !== groupId) return;
    // The tenant was deleted here: that never yields (consensus-rules.md 3).
    if (identity.tombstone?.kind === Tombstone_Kind.DELETED) return;
    if (to?.place !== this.platform.place || to.incarnation !== identity.incarnation) return;
    this.begin(identity, birth);
  }

  /** Makes this member part of a group: one transaction, then the first life begins. */
  private begin(identity: Identity, birth: BirthRecord): GroupMember {
    const { founding } = birth;
    if (!founding) throw new Error('a birth record has its founding configuration');
    const { sql } = this.platform;
    this.platform.transaction(() => {
      // Of a member that was lost: its rows have stayed until now.
      if (StateMachine.exists(sql)) {
        clearLog(sql);
        StateMachine.destroy(sql);
      }
      saveBirth(sql, birth);
      initialize(sql, fromWireConfiguration(founding));
      StateMachine.create(sql);
    });
    this.counters.commits += 1;
    this.identity = { ...identity, birth, tombstone: null, plan: noPlan };
    return this.join(this.identity, birth);
  }

  private join(identity: Identity, birth: BirthRecord): GroupMember {
    const { platform, counters, code, tuning } = this;
    const home: Home = {
      platform,
      counters,
      code,
      tuning,
      bury: (member, fate) => this.bury(member, fate),
      onEnd: () => this.leave(),
    };
    this.group = new GroupMember(home, identity, birth);
    this.service = new ClientService(platform, this.group);
    return this.group;
  }

  /** Within the last transaction of a member: the place gives out a fresh incarnation from now on. */
  private bury(member: GroupMember, fate: Fate): void {
    if (!this.identity) throw new Error('a member has an identity');
    const { groupId } = member.birth;
    const kind = fate === 'lost' ? Tombstone_Kind.LOST : Tombstone_Kind.REMOVED;
    const members = toWireConfiguration(member.core.configuration);
    const former = this.identity.incarnation;
    const tombstone = create(TombstoneSchema, { kind, groupId, members, incarnation: former });
    const incarnation = this.platform.randomId();
    saveTombstone(this.platform.sql, tombstone, incarnation);
    this.identity = { ...this.identity, incarnation, birth: null, tombstone, plan: noPlan };
  }

  private leave(): void {
    this.group = null;
    this.service = null;
    void this.discard();
  }

  /** Of a removed member nothing but the tombstone stays. A turn of its own: it may take a while. */
  private async discard(): Promise<void> {
    const { sql } = this.platform;
    if (this.identity?.tombstone?.kind !== Tombstone_Kind.REMOVED) return;
    await this.platform.yieldTurn();
    if (this.group || !StateMachine.exists(sql)) return;
    this.platform.transaction(() => {
      clearLog(sql);
      StateMachine.destroy(sql);
    });
    this.counters.commits += 1;
  }

  /** Null when the group is born; else what to tell the router. One birth at a time. */
  private bearGroup(size: number): Promise<MemberReply | null> {
    this.birthUnderWay ??= this.askAndBear(size).finally(() => {
      this.birthUnderWay = null;
    });
    return this.birthUnderWay;
  }

  /** What a group needs that begins with a snapshot here, and with this member alone. */
  private birthplace(): Birthplace {
    const member = this;
    return {
      get isFresh() {
        return !member.identity?.birth && !member.identity?.tombstone;
      },
      get groupId() {
        return member.identity?.birth?.groupId ?? null;
      },
      askFounders: async () => {
        this.ensureIdentity();
        const answers = [...(await this.askOthers()).values()];
        if (knownGroup(answers)) return 'born';
        return answers.every((one) => one?.state.case === 'incarnation') ? 'fresh' : 'silent';
      },
      record: (groupId, index) => this.recordRestored(groupId, index),
      live: async (birth) => {
        this.identity = { ...this.ensureIdentity(), birth, tombstone: null, plan: noPlan };
        const deadline = this.platform.now() + birthTimeoutMs;
        await this.join(this.identity, birth).findLeader(0, deadline);
      },
    };
  }

  /**
   * Of one member: others that had voted before they had the state could do without it. They are added
   * like any newcomer.
   */
  private recordRestored(groupId: string, index: number): BirthRecord {
    const { sql, place } = this.platform;
    const { incarnation } = this.ensureIdentity();
    const founding = { voters: [{ place, incarnation }], outgoing: [], learners: [] };
    const rulesVersion = this.code.rules;
    const birth = create(BirthRecordSchema, { groupId, size: 1, founding, rulesVersion });
    saveBirth(sql, birth);
    initializeAfter(sql, index, fromWireConfiguration(birth.founding as Configuration));
    return birth;
  }

  /** The other founding places, whatever the size: any of them may know of a group. */
  private async askOthers(): Promise<Map<number, BirthAnswer | null>> {
    const others = foundingPlaces.filter((place) => place !== this.platform.place);
    const answers = await Promise.all(others.map((place) => this.askPlace(place)));
    return new Map(others.map((place, at) => [place, answers[at] ?? null]));
  }

  private async askAndBear(wanted: number): Promise<MemberReply | null> {
    const identity = this.ensureIdentity();
    const answers = await this.askOthers();
    // Anybody who knows of a group means that this place was wiped: the group lives, without it.
    const known = knownGroup([...answers.values()]);
    if (known?.members && known.kind !== Tombstone_Kind.DELETED)
      this.remember(known.groupId, known.members);
    if (known) return movedOn(known);
    const founders = foundersOf(answers, wanted);
    if (!founders) return redirect({ reason: Redirect_Reason.NO_LEADER });
    // Checked again in the turn that writes the record: other events came in while we asked.
    if (this.identity?.birth) return null;
    if (this.identity?.tombstone) return movedOn(this.identity.tombstone);
    const self = { place: this.platform.place, incarnation: identity.incarnation };
    const voters = [self, ...founders.members];
    const birth = create(BirthRecordSchema, {
      groupId: this.platform.randomId(),
      size: voters.length,
      founding: { voters, outgoing: [], learners: [] },
      rulesVersion: Math.min(this.code.rules, founders.rules),
    });
    const group = this.begin(identity, birth);
    await group.findLeader(0, this.platform.now() + birthTimeoutMs);
    return null;
  }

  private async askPlace(place: number): Promise<BirthAnswer | null> {
    this.counters.requestsOut.birth += 1;
    try {
      const body = await this.platform.call(place, 'birth', new Uint8Array(), birthTimeoutMs);
      return fromBinary(BirthAnswerSchema, body);
    } catch {
      return null;
    }
  }
}

/** The answer to an envelope that is not meant for whoever lives here. */
function nobody(): Uint8Array {
  return toBinary(EnvelopeSchema, create(EnvelopeSchema));
}

/** The group lives elsewhere. */
function movedOn({ members }: Tombstone): MemberReply {
  const places = [...(members?.voters ?? []), ...(members?.learners ?? [])].map(
    ({ place }) => place,
  );
  return redirect({ reason: Redirect_Reason.NOT_BORN, places });
}
