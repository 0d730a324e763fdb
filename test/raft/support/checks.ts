/**
 * The invariants of Raft, checked after every turn of every life, over all history.
 *
 * An oracle: it sees all members at once, and nothing of the core depends on it. A violation
 * throws, with what was seen.
 */
import type { Configuration } from '../../../src/raft/configuration.ts';
import { allMembers } from '../../../src/raft/configuration.ts';
import type { RaftCore } from '../../../src/raft/core.ts';
import type { State } from '../../../src/raft/state.ts';
import type {
  Effects,
  Entry,
  LogIndex,
  MemberId,
  Message,
  Payload,
  Term,
} from '../../../src/raft/types.ts';
import type { Life } from './group.ts';
import type { Storage } from './storage.ts';

interface Before {
  readonly role: string;
  readonly term: Term;
  readonly commit: LogIndex;
  readonly lastIndex: LogIndex;
}

/** The core's own state: tests of what no public method shows (progress, checks under way). */
export function stateOf(core: RaftCore): State {
  return (core as unknown as { state: State }).state;
}

export class Checks {
  private readonly leaders = new Map<Term, MemberId>();
  /** By index/term: the term before it and its content. Equal for all logs = Log Matching. */
  private readonly entries = new Map<string, { prevTerm: Term; content: string }>();
  /** What some member knows to be committed, and the lowest term in which one knew it. */
  private readonly committed: { term: Term; knownInTerm: Term }[] = [];
  private readonly votes = new Map<string, MemberId>();
  private readonly readFloors = new Map<string, LogIndex>();
  /** The newest configuration that some member knows to be committed. */
  private newestCommitted: { index: LogIndex; configuration: Configuration };

  constructor(founding: Configuration) {
    this.newestCommitted = { index: 0, configuration: founding };
  }

  /** The highest index that some member knows to be committed. */
  get committedIndex(): LogIndex {
    return this.committed.length;
  }

  isCommitted(index: LogIndex, term: Term): boolean {
    return this.committed[index - 1]?.term === term;
  }

  before({ core }: Life): Before {
    return {
      role: core.role,
      term: core.term,
      commit: core.commitIndex,
      lastIndex: core.lastIndex,
    };
  }

  /** Only storage that went back, or a life that is not the newest, may be taken for lost. */
  loses({ id, superseded }: Life, storage: Storage): void {
    assert(superseded || storage.wentBack, `${id} takes itself for lost`);
  }

  leaves({ id }: Life, storage: Storage): void {
    const { index, configuration } = this.newestCommitted;
    // Named again meanwhile, but it does not know that yet: it has to be added anew.
    const knows = storage.lastIndex >= index;
    const isNamed = allMembers(configuration).includes(id);
    assert(!isNamed || !knows, `${id} takes itself for removed`);
  }

  readBegins(key: string): void {
    this.readFloors.set(key, this.committedIndex);
  }

  /** Sent again, it still stands for what began before it was first sent. */
  private checkBegins(key: string): void {
    if (!this.readFloors.has(key)) this.readBegins(key);
  }

  readGranted(key: string, index: LogIndex): void {
    const floor = this.readFloors.get(key);
    assert(floor !== undefined, `read ${key} was granted, but never began or twice`);
    this.readFloors.delete(key);
    assert(index >= floor, `read ${key} granted at ${index}, but ${floor} was committed before it`);
  }

  /** A follower that takes a leader as confirmed may rely on the index that comes with it. */
  readReplyArrives({ core, id, boot }: Life, message: Message): void {
    if (message.type !== 'readReply' || message.refused || message.toBoot !== boot) return;
    const check = stateOf(core).suspicion?.check;
    if (message.term < core.term || check?.id !== message.id || check.leader !== message.from)
      return;
    const floor = this.readFloors.get(`${id}/${boot}/check ${message.id}`) ?? 0;
    assert(message.index >= floor, `${id} was told index ${message.index}, below ${floor}`);
  }

  persists(id: MemberId, storage: Storage, effects: Effects): void {
    const { hardState, truncateFrom, append } = effects;
    const old = storage.hardState;
    if (hardState) {
      assert(hardState.term >= old.term, `${id}: the durable term fell`);
      if (hardState.term === old.term && old.vote !== null)
        assert(hardState.vote === old.vote, `${id}: the vote changed within term ${old.term}`);
    }
    const installed = effects.chunks.findLast(({ install }) => install)?.install;
    const end = installed?.index ?? storage.lastIndex;
    let last = truncateFrom === null ? end : truncateFrom - 1;
    let prevTerm = installed?.index === last ? installed.term : (storage.term(last) ?? -1);
    for (const entry of append) {
      assert(entry.index === last + 1, `${id}: entry ${entry.index} persisted after ${last}`);
      this.sameEverywhere(id, entry, prevTerm);
      last = entry.index;
      prevTerm = entry.term;
    }
  }

  private sameEverywhere(id: MemberId, { index, term, payload }: Entry, prevTerm: Term): void {
    const key = `${index}/${term}`;
    const content = describe(payload);
    const known = this.entries.get(key);
    if (!known) this.entries.set(key, { prevTerm, content });
    else
      assert(
        known.content === content && known.prevTerm === prevTerm,
        `${id}: log matching broken at index ${index} term ${term}`,
      );
  }

  after(life: Life, storage: Storage, effects: Effects, before: Before): void {
    const { core, id } = life;
    assert(core.term >= before.term, `${id}: the term fell`);
    assert(core.commitIndex >= before.commit, `${id}: the commit index fell`);
    assert(core.commitIndex <= core.lastIndex, `${id}: commit beyond the log`);
    assert(core.appliedIndex <= core.commitIndex, `${id}: applied beyond commit`);
    if (!life.superseded)
      assert(core.lastIndex === storage.lastIndex, `${id}: core and storage differ`);
    this.checkCommitted(life, storage, before);
    assert(
      !life.stoodDown || core.role === 'follower',
      `${id}: campaigns or leads, and cannot apply`,
    );
    if (core.role === 'leader') {
      this.checkLeader(life, storage, effects, before);
      if (!life.superseded) this.checkRest(life);
    }
    for (const message of effects.messages) this.checkMessage(life, storage, message);
  }

  private checkCommitted({ core, id }: Life, storage: Storage, before: Before): void {
    for (let index = before.commit + 1; index <= core.commitIndex; index += 1) {
      const known = this.committed[index - 1];
      // What came with a snapshot is not in the log; its end is.
      if (index < storage.start.index && known) continue;
      const term = storage.term(index) ?? -1;
      this.noteConfiguration(storage, index);
      if (known) {
        assert(known.term === term, `${id}: another entry was committed at ${index}`);
        known.knownInTerm = Math.min(known.knownInTerm, core.term);
      } else this.committed.push({ term, knownInTerm: core.term });
    }
  }

  private noteConfiguration(storage: Storage, index: LogIndex): void {
    const payload = storage.entry(index)?.payload;
    if (payload?.type !== 'configuration' || index <= this.newestCommitted.index) return;
    this.newestCommitted = { index, configuration: payload.configuration };
  }

  /** A leader at rest owes nobody anything who answers (design.md section 6). */
  private checkRest({ core, id }: Life): void {
    const state = stateOf(core);
    if (state.role.type !== 'leader' || !state.role.awake || core.nextDeadline() !== null) return;
    assert(core.configuration.outgoing.length === 0, `${id} rests in a joint configuration`);
    assert(core.commitIndex === core.lastIndex, `${id} rests with an uncommitted entry`);
    for (const [peer, { match, ackedCommit, onRepairList }] of state.role.progress)
      assert(
        onRepairList || (match === core.lastIndex && ackedCommit === core.commitIndex),
        `${id} rests while ${peer} lacks something`,
      );
  }

  private checkLeader(life: Life, storage: Storage, effects: Effects, before: Before): void {
    const { core, id } = life;
    const known = this.leaders.get(core.term);
    assert(known === undefined || known === id, `two leaders in term ${core.term}`);
    this.leaders.set(core.term, id);
    if (before.role === 'leader' && before.term === core.term) {
      assert(effects.truncateFrom === null, `${id}: a leader overwrote its log`);
      assert(core.lastIndex >= before.lastIndex, `${id}: a leader's log became shorter`);
    }
    if (core.commitIndex > before.commit && before.role === 'leader')
      assert(
        storage.term(core.commitIndex) === core.term,
        `${id}: a leader committed an entry of an older term by counting`,
      );
    for (const [at, { term, knownInTerm }] of this.committed.entries())
      assert(
        knownInTerm >= core.term || at + 1 < storage.start.index || storage.term(at + 1) === term,
        `${id}: the leader of term ${core.term} lacks committed entry ${at + 1}`,
      );
  }

  /** What the leader believes of a follower is what that follower's storage holds. */
  checkProgress(leader: Life, storageOf: (id: MemberId) => Storage): void {
    const { role, log } = stateOf(leader.core);
    if (role.type !== 'leader') return;
    for (const [peer, { match, next }] of role.progress) {
      assert(match < next, `${leader.id}: match < next for ${peer}`);
      assert(match <= log.lastIndex, `${leader.id}: match of ${peer} is beyond the log`);
      const theirs = storageOf(peer);
      const ours = storageOf(leader.id);
      if (theirs.fate !== null || theirs.hardState.term > leader.core.term) continue;
      const isCompacted = match < theirs.start.index || match < ours.start.index;
      assert(
        isCompacted || theirs.term(match) === ours.term(match),
        `${leader.id}: ${peer} does not hold ${match}`,
      );
    }
  }

  private checkMessage(life: Life, storage: Storage, message: Message): void {
    const { id, boot } = life;
    switch (message.type) {
      case 'voteReply': {
        if (!message.granted) return;
        const key = `${id}/${message.requestTerm}`;
        const earlier = this.votes.get(key) ?? message.to;
        assert(earlier === message.to, `${id} voted twice in term ${message.requestTerm}`);
        this.votes.set(key, message.to);
        const { term, vote } = storage.hardState;
        if (term === message.requestTerm)
          assert(vote === message.to, `${id}: a vote left before it was durable`);
        return;
      }
      case 'appendReply':
        // In a turn that went on to a newer term, the end of the log may be gone again.
        if (message.ok && message.term === storage.hardState.term)
          assert(message.index <= storage.lastIndex, `${id} acknowledged what it does not hold`);
        return;
      case 'readRequest':
        // No read of a client stands behind what a superseded life asks: none began on it.
        if (!life.superseded) this.checkBegins(`${id}/${boot}/check ${message.id}`);
        return;
      case 'append':
      case 'preVote':
      case 'vote':
      case 'preVoteReply':
      case 'readReply':
      case 'snapshot':
      case 'snapshotReply':
      case 'timeoutNow':
      case 'suspicion':
        return;
    }
  }
}

export function describe(payload: Payload): string {
  if (payload.type === 'data') return Buffer.from(payload.data).toString();
  return payload.type === 'noop' ? '' : JSON.stringify(payload.configuration);
}

function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`);
}
