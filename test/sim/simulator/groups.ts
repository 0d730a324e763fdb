/**
 * One oracle for each group of the tenant. A recovery begins another group out of one survivor, and
 * from then on the two have nothing to do with each other.
 *
 * What happens to a life is told to both, what a core does only to that of its own group.
 */
import type { GroupMember } from '../../../src/node-do/group-member.ts';
import type { RaftCore } from '../../../src/raft/core.ts';
import type { Effects, MemberId, Message } from '../../../src/raft/types.ts';
import { Oracle } from './oracle.ts';
import type { Life } from './place.ts';
import type { Watcher } from './probe.ts';

/** The group that is to be given up, and who is to go on from what it holds. */
interface GivenUp {
  readonly groupId: string;
  readonly survivor: MemberId;
}

/** The group that a recovery has begun. */
interface Successor {
  readonly oracle: Oracle;
  readonly groupId: string;
  /** In which it began; a crash before it is durable makes it never have been. */
  readonly life: Life;
}

export class Groups implements Watcher {
  readonly first: Oracle;
  private readonly currentLife: () => Life | null;
  private givenUp: GivenUp | null = null;
  private successor: Successor | null = null;
  private readonly oracleOf = new WeakMap<RaftCore, Oracle>();
  /** The new group is durable: the survivor is a member of the old one no more. */
  isRecovered = false;

  constructor(currentLife: () => Life | null) {
    this.currentLife = currentLife;
    this.first = new Oracle(currentLife);
  }

  /** Of the group that clients are to be served by. */
  get current(): Oracle {
    return (this.isRecovered ? this.successor?.oracle : null) ?? this.first;
  }

  get violation(): string | null {
    return this.first.violation ?? this.successor?.oracle.violation ?? null;
  }

  /** The id of the group that a recovery has begun. */
  get successorId(): string | null {
    return this.isRecovered ? (this.successor?.groupId ?? null) : null;
  }

  /** From now on a core of another group than this may come up. */
  giveUp(groupId: string, survivor: MemberId): void {
    this.givenUp = { groupId, survivor };
  }

  all(): Oracle[] {
    return this.successor ? [this.first, this.successor.oracle] : [this.first];
  }

  took(core: RaftCore, effects: Effects): void {
    this.of(core).took(core, effects);
  }

  steps(core: RaftCore, message: Message): void {
    this.of(core).steps(core, message);
  }

  readBegins(core: RaftCore, id: number): void {
    this.of(core).readBegins(core, id);
  }

  wrote(life: Life): void {
    this.first.wrote(life);
    this.successor?.oracle.wrote(life);
  }

  sends(life: Life): void {
    this.first.sends(life);
    this.successor?.oracle.sends(life);
  }

  loses(life: Life): void {
    this.first.loses(life);
    if (this.successor?.life === life && !this.isRecovered) this.successor = null;
    this.successor?.oracle.loses(life);
  }

  isDurable(life: Life): void {
    this.first.isDurable(life);
    if (!this.successor) return;
    if (this.successor.life === life && !this.isRecovered) this.settle(this.successor);
    this.successor.oracle.isDurable(life);
  }

  afterEvent(life: Life): void {
    const isUnsettled = this.successor !== null && !this.isRecovered;
    if (isUnsettled && !life.isGateClosed && !life.ended) this.isDurable(life);
    this.first.afterEvent(life);
    this.successor?.oracle.afterEvent(life);
  }

  answersBirth(life: Life): void {
    for (const oracle of this.all()) oracle.answersBirth(life);
  }

  wiped(place: number, incarnation: string | null): void {
    for (const oracle of this.all()) oracle.wiped(place, incarnation);
  }

  private of(core: RaftCore): Oracle {
    if (!this.givenUp) return this.first;
    const known = this.oracleOf.get(core);
    if (known) return known;
    const life = this.currentLife();
    const group = life && groupIdOf(life);
    const isFirst = !group || group === this.givenUp.groupId;
    const oracle = isFirst ? this.first : this.begun(life, group, core);
    this.oracleOf.set(core, oracle);
    return oracle;
  }

  private begun(life: Life, groupId: string, core: RaftCore): Oracle {
    const { givenUp } = this;
    if (this.successor?.groupId === groupId) return this.successor.oracle;
    if (!givenUp || this.isRecovered)
      this.first.fail(`${life.name} is a member of ${groupId}, which nobody has begun`);
    const oracle = this.first.successor(life, givenUp?.survivor as MemberId, core);
    this.successor = { oracle, groupId, life };
    return oracle;
  }

  private settle({ oracle }: Successor): void {
    this.isRecovered = true;
    this.first.recovered(this.givenUp?.survivor as MemberId);
    oracle.areProtocolsApart = this.first.areProtocolsApart;
  }
}

/** The group whose record is in this life's storage. */
export function groupIdOf({ member }: Life): string | null {
  const { identity } = member as unknown as {
    identity: { birth: GroupMember['birth'] | null } | null;
  };
  return identity?.birth?.groupId ?? null;
}
