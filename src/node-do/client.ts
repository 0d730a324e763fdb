/**
 * Serves one request of the router at a member of a group (member.proto).
 *
 * Every expected outcome is a reply; a throw means that this life has ended. Nothing here proposes
 * a command twice, and what is not known is said to be unknown (consensus-rules.md 1).
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { CommandSchema } from '../api/gen/command_pb.js';
import {
  type MaintenanceQuery,
  type MemberReply,
  MemberReplySchema,
  type MemberRequest,
  MemberRequestSchema,
  Redirect_Reason,
} from '../api/gen/member_pb.js';
import { defaultRequestTimeoutMs, maxRequestTimeoutMs } from '../api/limits.ts';
import { asCaller } from '../kv/auth/as.ts';
import { anyUser, type Needs, needsOfRead, needsOfTxn, rootOnly } from '../kv/auth/needs.ts';
import { authRulesVersion } from '../kv/batch.ts';
import type { Outcome } from '../kv/store.ts';
import { AuthService } from './auth/auth-service.ts';
import { type Shown, shownBy } from './auth/callers.ts';
import { ClusterService } from './cluster/cluster-service.ts';
import type { GroupMember } from './group-member.ts';
import { placeOf } from './identity.ts';
import { type LeaseOutcome, LeaseService } from './lease-service.ts';
import { isOfMember, MaintenanceService } from './maintenance-service.ts';
import { type ChangeOutcome, Membership } from './membership.ts';
import type { Platform } from './platform.ts';
import type { ReadOutcome } from './reads.ts';
import { failure, type Measured, Replies, redirect, reply } from './replies.ts';
import type { ProposeOutcome } from './requests.ts';
import { countTxn } from './totals.ts';
import { type Refusal, WriteGate } from './write-gate.ts';

/** Pages of a range read before other events are let in. */
const pagesPerTurn = 8;

export class ClientService {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly replies: Replies;
  private readonly membership: Membership;
  private readonly leases: LeaseService;
  private readonly auth: AuthService;
  private readonly maintenance: MaintenanceService;
  private readonly gate: WriteGate;
  private readonly cluster: ClusterService;

  constructor(platform: Platform, group: GroupMember) {
    this.platform = platform;
    this.group = group;
    this.replies = new Replies(group, platform.place);
    this.membership = new Membership(platform, group);
    this.leases = new LeaseService(platform, group, this.replies);
    this.auth = new AuthService(platform, group, this.replies);
    this.maintenance = new MaintenanceService(platform, group, this.replies);
    this.gate = new WriteGate(platform, group);
    const propose = this.propose.bind(this);
    this.cluster = new ClusterService(platform, group, this.replies, this.membership, propose);
  }

  async serve(request: MemberRequest): Promise<MemberReply> {
    const startedAt = this.platform.now();
    const timeoutMs = Math.min(request.timeoutMs || defaultRequestTimeoutMs, maxRequestTimeoutMs);
    const deadline = startedAt + timeoutMs;
    const { readHere } = request;
    const measured: Measured = { quorumMs: null, stalenessMs: null, namesPlaces: readHere };
    if (!this.group.canServe) return this.replies.sign(failure('NotCapable'), measured);
    const { op } = request;
    if (op.case === 'maintenance' && isOfMember(op.value, request.serializable))
      return this.replies.sign(await this.maintain(request, op.value, deadline), measured);
    if (request.serializable && isRead(request)) {
      const reply = await this.serializableRead(request, deadline, measured);
      return this.replies.sign(reply, measured);
    }
    const ofBackup = this.backup(request);
    if (ofBackup) return this.replies.sign(reply(ofBackup), measured);
    const isServedHere = readHere && isRead(request);
    if (this.group.core.role !== 'leader' && !isServedHere) {
      const elsewhere = await this.notLeading(request, deadline);
      if (elsewhere) return elsewhere;
    }
    return this.replies.sign(await this.execute(request, deadline, measured), measured);
  }

  private async execute(
    request: MemberRequest,
    deadline: number,
    measured: Measured,
  ): Promise<MemberReply> {
    const { op } = request;
    const shown = shownBy(request, this.platform.wallTime());
    const permitted = (needs: Needs) => this.group.machine.permit(shown, needs);
    const asRoot = () => permitted(rootOnly);
    switch (op.case) {
      case 'command':
        return this.write(request, op.value, shown, deadline, measured);
      case 'changeMembership':
        return this.changed(
          await this.cluster.changedOtherwise(op.value, shown, deadline, () =>
            this.membership.change(op.value, asRoot, deadline),
          ),
        );
      case 'transferLeader':
        return this.changed(await this.membership.transfer(op.value, asRoot, deadline));
      case 'cluster': {
        if (isRead(request)) return this.linearizableRead(request, deadline, measured);
        const outcome = await this.cluster.serve(op.value, shown, deadline);
        return typeof outcome === 'string' ? this.changed(outcome, shown) : outcome;
      }
      case 'leaseKeepAlive':
        return this.ofLeases(await this.leases.keepAlive(op.value.ids, permitted, deadline));
      case 'leaseTimeToLive':
        return this.ofLeases(await this.leases.timeToLive(op.value, permitted, deadline));
      case 'leaseLeases':
        return this.ofLeases(await this.leases.list(permitted, deadline));
      case 'askDeadline':
        return this.ofLeases(await this.leases.nextDeadline(deadline));
      case 'authQuery':
        return this.atReadPoint(deadline, () => this.auth.query(op.value, shown));
      case 'authBegin':
        return this.atReadPoint(deadline, () => this.auth.begin(op.value));
      case 'authIssue':
        return this.atReadPoint(deadline, () => this.auth.issue(op.value));
      case 'authWhoIs':
        return this.atReadPoint(deadline, () => this.auth.whoIs(shown));
      case 'maintenance':
        return this.ofGroup(request, op.value, asRoot, deadline);
      case 'backupOpen':
        return this.atReadPoint(deadline, () => this.openBackup(asRoot));
      default:
        return this.linearizableRead(request, deadline, measured);
    }
  }

  private openBackup(asRoot: () => EtcdErrorName | null): MemberReply {
    const refused = asRoot();
    if (refused) return failure(refused);
    const opened = this.group.backups.open();
    return opened ? reply(opened) : failure('TooManyRequests');
  }

  /** Of one that is open here, whoever leads. Its id is enough: only who may have it was told. */
  private backup({ op }: MemberRequest): Uint8Array | null {
    if (op.case === 'backupRead') return this.group.backups.read(op.value);
    return op.case === 'backupClose' ? this.group.closeBackup(op.value) : null;
  }

  private maintain(
    request: MemberRequest,
    query: MaintenanceQuery,
    deadline: number,
  ): Promise<MemberReply> {
    const shown = shownBy(request, this.platform.wallTime());
    return this.maintenance.answer(query, shown, deadline);
  }

  /** What is of the whole group. */
  private async ofGroup(
    request: MemberRequest,
    { query, ...rest }: MaintenanceQuery,
    asRoot: () => EtcdErrorName | null,
    deadline: number,
  ): Promise<MemberReply> {
    if (query.case === 'moveLeader') {
      const place = this.maintenance.placeOfMember(query.value.targetID);
      const refused = asRoot() ?? (place === null ? 'BadLeaderTransferee' : null);
      if (refused || place === null) return failure(refused ?? 'BadLeaderTransferee');
      const outcome = await this.membership.transfer(place, asRoot, deadline);
      return outcome === 'done' ? this.maintenance.moved() : this.changed(outcome);
    }
    const answer = () => this.maintain(request, { query, ...rest }, deadline);
    return this.atReadPoint(deadline, answer);
  }

  private async atReadPoint(
    deadline: number,
    serve: () => MemberReply | Promise<MemberReply>,
  ): Promise<MemberReply> {
    const outcome = await this.group.readPoint(deadline);
    return outcome === 'ready' ? serve() : this.unread(outcome);
  }

  private ofLeases(outcome: LeaseOutcome): MemberReply {
    return typeof outcome === 'string' ? this.unread(outcome) : outcome;
  }

  private changed(outcome: ChangeOutcome, shown: Shown | null = null): MemberReply {
    switch (outcome) {
      case 'done':
        return this.replies.ping();
      case 'notLeader':
        return this.notLeader();
      case 'unknown':
        return failure('OutcomeUnknown', true);
      default:
        return failure(refusalOf(outcome, shown));
    }
  }

  /** What `wait` gives; the time counts as the quorum's. */
  private async waitForQuorum<T>(wait: Promise<T>, measured: Measured): Promise<T> {
    const startedAt = this.platform.now();
    const outcome = await wait;
    measured.quorumMs = this.platform.now() - startedAt;
    return outcome;
  }

  /** Null when this member has become the leader: then it serves the request itself. */
  private async notLeading(request: MemberRequest, deadline: number): Promise<MemberReply | null> {
    const { suspectTerm } = request;
    if (suspectTerm === undefined) return this.notLeader();
    const leader = await this.group.findLeader(Number(suspectTerm), deadline);
    if (leader === this.group.self) return null;
    if (leader === null) return this.redirect(0, false);
    // The router could not reach it, this member can: one hop.
    const mayTravel = isRepeatable(request) || request.mayPropose;
    if (request.relayed || !mayTravel || !this.group.peers.mayRelay)
      return this.redirect(placeOf(leader), true);
    return this.relay(request, placeOf(leader), deadline);
  }

  private async relay(
    request: MemberRequest,
    place: number,
    deadline: number,
  ): Promise<MemberReply> {
    const timeoutMs = Math.max(1, deadline - this.platform.now());
    const { suspectTerm: _, ...rest } = request;
    const onward = create(MemberRequestSchema, { ...rest, relayed: true, timeoutMs });
    const body = toBinary(MemberRequestSchema, onward);
    try {
      return fromBinary(MemberReplySchema, await this.group.peers.relay(place, body, timeoutMs));
    } catch {
      // It may have arrived. A read can be asked again; a write cannot.
      return isRepeatable(request) ? this.redirect(0, false) : failure('OutcomeUnknown', true);
    }
  }

  private async write(
    request: MemberRequest,
    command: Uint8Array,
    shown: Shown | null,
    deadline: number,
    measured: Measured,
  ): Promise<MemberReply> {
    if (!request.mayPropose) return this.redirect(this.platform.place, true);
    const refused = this.gate.mayRefuse(command)
      ? await this.gate.refusal(command, shown, deadline)
      : null;
    if (refused) return isUnread(refused) ? this.unread(refused) : failure(refused);
    const proposed = this.propose(shown, command, deadline);
    const outcome = await this.waitForQuorum(proposed, measured);
    switch (outcome.type) {
      case 'applied':
        if (!outcome.result.ok) return failure(refusalOf(outcome.result.error, shown));
        if (outcome.result.response.case === 'compact' && asksForPhysical(command))
          await this.group.compacted(deadline);
        return this.replies.command(outcome.result.response);
      case 'notProposed':
        return this.notLeader();
      case 'refused':
        return failure(outcome.error);
      case 'unknown':
        return failure('OutcomeUnknown', true);
    }
  }

  private async propose(
    shown: Shown | null,
    command: Uint8Array,
    deadline: number,
  ): Promise<ProposeOutcome> {
    const outcome = await this.group.propose(this.commandOf(shown, command), deadline);
    const isLate = outcome.type === 'refused' && outcome.error === 'Timeout';
    if (isLate || outcome.type === 'unknown') this.group.counters.totals.failedProposals += 1;
    return outcome;
  }

  /**
   * With whoever asked for it, to be judged where it is applied: a new leader may not have applied yet that
   * auth is enabled. Of the operator only if it has, which spares open tenants the envelope.
   */
  private commandOf(shown: Shown | null, command: Uint8Array): Uint8Array {
    if (shown === null || this.group.rules < authRulesVersion) return command;
    const isOpen = shown.kind === 'operator' && !this.group.machine.auth.enabled;
    return isOpen ? command : asCaller(shown, command);
  }

  private async linearizableRead(
    request: MemberRequest,
    deadline: number,
    measured: Measured,
  ): Promise<MemberReply> {
    const outcome = await this.waitForQuorum(this.group.readPoint(deadline), measured);
    if (outcome !== 'ready') return this.unread(outcome);
    // Whoever has seen a revision has seen it committed: it would be here.
    if (!this.hasRevision(request)) return failure('FutureRev');
    return this.read(request, deadline);
  }

  /**
   * From the state as it is. If that does not show to be as new as is asked for, one read point may: it
   * brings what is missing, and shows how new the state is then.
   */
  private async serializableRead(
    request: MemberRequest,
    deadline: number,
    measured: Measured,
  ): Promise<MemberReply> {
    if (!this.hasRevision(request) || !this.isFresh(request)) {
      const outcome = await this.waitForQuorum(this.group.readPoint(deadline), measured);
      if (outcome === 'overloaded') return this.unread(outcome);
      if (outcome === 'ready' && !this.hasRevision(request)) return failure('FutureRev');
      // No leader can be asked. What is missing may come all the same.
      if (!this.hasRevision(request))
        await this.group.until(() => this.hasRevision(request), deadline);
      if (!this.hasRevision(request) || !this.isFresh(request)) return failure('TooStale');
    }
    const { freshAt } = this.group;
    const reply = await this.read(request, deadline);
    // The revision was fixed when the reading began.
    measured.stalenessMs = this.ageOf(freshAt);
    return reply;
  }

  private hasRevision({ minRevision }: MemberRequest): boolean {
    return BigInt(this.group.machine.revision) >= minRevision;
  }

  private isFresh({ maxStalenessMs }: MemberRequest): boolean {
    if (maxStalenessMs === undefined) return true;
    const ageMs = this.ageOf(this.group.freshAt);
    return ageMs !== null && ageMs <= maxStalenessMs;
  }

  /** null: unknown, also when the clock has been set back since. */
  private ageOf(time: number | null): number | null {
    const now = this.platform.wallTime();
    return time === null || time > now ? null : now - time;
  }

  private unread(outcome: Exclude<ReadOutcome, 'ready'>): MemberReply {
    switch (outcome) {
      case 'notLeader':
        return this.notLeader();
      case 'timeout':
        return failure('Timeout');
      case 'overloaded':
        return failure('TooManyRequests');
    }
  }

  private async read(request: MemberRequest, deadline: number): Promise<MemberReply> {
    const { op } = request;
    const refused = this.refused(request);
    if (refused) return failure(refused);
    switch (op.case) {
      case 'range': {
        const result = await this.inPages(
          this.group.machine.range(op.value, !request.withoutCount),
          deadline,
        );
        if (!result.ok) return failure(result.error);
        this.group.counters.totals.ranges += 1;
        return this.replies.range(result.response);
      }
      case 'readTxn': {
        const result = await this.inPages(this.group.machine.readTxn(op.value), deadline);
        if (!result.ok) return failure(result.error);
        countTxn(this.group.counters.totals, result.response);
        return this.replies.txn(result.response);
      }
      case 'ping':
        return this.replies.ping();
      case 'cluster':
        return this.cluster.list();
      default:
        return failure('NotCapable', false, 'this member does not know the operation');
    }
  }

  /** In the state that answers. A ping tells the revision alone. */
  private refused(request: MemberRequest): EtcdErrorName | null {
    const { machine } = this.group;
    const { op } = request;
    if (!machine.auth.enabled || op.case === 'ping') return null;
    const needs = op.case === 'range' ? needsOfRead(op.value) : null;
    const shown = shownBy(request, this.platform.wallTime());
    if (needs) return machine.permit(shown, needs);
    return machine.permit(shown, op.case === 'readTxn' ? needsOfTxn(op.value) : anyUser);
  }

  /** Drives a read that yields between pages; nobody waits for it after its deadline. */
  private async inPages<T>(
    pages: Generator<void, Outcome<T>>,
    deadline: number,
  ): Promise<Outcome<T>> {
    for (let page = 1; ; page += 1) {
      const step = pages.next();
      if (step.done) return step.value;
      if (page % pagesPerTurn !== 0) continue;
      await this.platform.yieldTurn();
      if (this.platform.now() > deadline) return { ok: false, error: 'Timeout' };
    }
  }

  private notLeader(): MemberReply {
    const hint = this.group.core.leaderHint;
    return this.redirect(hint === null || hint === this.group.self ? 0 : placeOf(hint), false);
  }

  private redirect(leaderPlace: number, confirmed: boolean): MemberReply {
    const { core } = this.group;
    const { voters, learners } = core.configuration;
    return redirect({
      reason: leaderPlace === 0 ? Redirect_Reason.NO_LEADER : Redirect_Reason.NOT_LEADER,
      leaderPlace,
      term: BigInt(core.term),
      confirmed,
      places: [...voters, ...learners].map(placeOf),
    });
  }
}

/** Nothing was done. Of the operator it is not true that nobody asked: another try names it. */
function refusalOf(error: EtcdErrorName, shown: Shown | null): EtcdErrorName {
  return error === 'UserEmpty' && shown?.kind === 'operator' ? 'LeaderChanged' : error;
}

function isUnread(refusal: Refusal): refusal is Exclude<ReadOutcome, 'ready'> {
  return refusal === 'notLeader' || refusal === 'timeout' || refusal === 'overloaded';
}

function isRead({ op }: MemberRequest): boolean {
  if (op.case === 'cluster') return op.value.request.case === 'list';
  return op.case === 'range' || op.case === 'readTxn' || op.case === 'ping';
}

/** May be asked again where nobody knows what became of it. */
function isRepeatable(request: MemberRequest): boolean {
  const { op } = request;
  switch (op.case) {
    case 'leaseKeepAlive':
    case 'leaseTimeToLive':
    case 'leaseLeases':
    case 'authQuery':
    case 'authIssue':
    case 'authWhoIs':
      return true;
    case 'maintenance':
      return op.value.query.case !== 'moveLeader';
    default:
      return isRead(request);
  }
}

/** A physical compaction is answered when the rows are gone, as etcd does. */
function asksForPhysical(command: Uint8Array): boolean {
  const { op } = fromBinary(CommandSchema, command);
  return op.case === 'compact' && op.value.physical;
}
