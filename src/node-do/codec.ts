/**
 * Between the core's messages and the wire (peer.proto). Field for field; the core's branded ids
 * become (place, incarnation), 64-bit wire numbers become JS numbers (indexes stay below 2^53).
 *
 * Messages are written as whole literals: create() would walk the fields of each a second time.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  ConfigurationSchema,
  type Configuration as WireConfiguration,
  type Entry as WireEntry,
  type Member as WireMember,
  type Message as WireMessage,
} from '../api/gen/peer_pb.js';
import type { Configuration } from '../raft/configuration.ts';
import type {
  Append,
  Body,
  Entry,
  FromLeader,
  MemberId,
  Message,
  Payload,
  Snapshot,
} from '../raft/types.ts';
import { unreachable } from '../raft/types.ts';
import { incarnationOf, memberId, placeOf } from './identity.ts';

export function toWireMember(id: MemberId): WireMember {
  return {
    $typeName: 'quorate.v1.Member',
    place: placeOf(id),
    incarnation: incarnationOf(id),
  };
}

export function fromWireMember(member: WireMember): MemberId {
  return memberId(member.place, member.incarnation);
}

export function toWireConfiguration(configuration: Configuration): WireConfiguration {
  return {
    $typeName: 'quorate.v1.Configuration',
    voters: configuration.voters.map(toWireMember),
    outgoing: configuration.outgoing.map(toWireMember),
    learners: configuration.learners.map(toWireMember),
  };
}

export function fromWireConfiguration(configuration: WireConfiguration): Configuration {
  return {
    voters: configuration.voters.map(fromWireMember),
    outgoing: configuration.outgoing.map(fromWireMember),
    learners: configuration.learners.map(fromWireMember),
  };
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  return toBinary(ConfigurationSchema, toWireConfiguration(configuration));
}

export function decodeConfiguration(data: Uint8Array): Configuration {
  return fromWireConfiguration(fromBinary(ConfigurationSchema, data));
}

export function toWire(message: Message): WireMessage {
  return {
    $typeName: 'quorate.v1.Message',
    term: BigInt(message.term),
    body: toWireBody(message),
  };
}

function toWireBody(message: Body): WireMessage['body'] {
  switch (message.type) {
    case 'preVote':
    case 'vote':
      return {
        case: 'voteRequest',
        value: {
          $typeName: 'quorate.v1.VoteRequest',
          pre: message.type === 'preVote',
          lastIndex: BigInt(message.lastIndex),
          lastTerm: BigInt(message.lastTerm),
          transfer: message.type === 'vote' && message.transfer,
        },
      };
    case 'preVoteReply':
    case 'voteReply':
      return {
        case: 'voteReply',
        value: {
          $typeName: 'quorate.v1.VoteReply',
          pre: message.type === 'preVoteReply',
          granted: message.granted,
          toBoot: BigInt(message.toBoot),
          requestTerm: BigInt(message.requestTerm),
          lastIndex: BigInt(message.lastIndex),
          lastTerm: BigInt(message.lastTerm),
          leader: message.leader === null ? undefined : toWireMember(message.leader),
        },
      };
    case 'append':
      return {
        case: 'append',
        value: {
          $typeName: 'quorate.v1.Append',
          prevIndex: BigInt(message.prevIndex),
          prevTerm: BigInt(message.prevTerm),
          entries: message.entries.map(toWireEntry),
          commit: BigInt(message.commit),
          ...toWireFromLeader(message),
        },
      };
    case 'snapshot':
      return { case: 'snapshot', value: toWireSnapshot(message) };
    case 'snapshotReply':
      return {
        case: 'snapshotReply',
        value: {
          $typeName: 'quorate.v1.SnapshotReply',
          id: message.id,
          cursor: message.cursor,
          toBoot: BigInt(message.toBoot),
          readPosition: BigInt(message.readPosition),
        },
      };
    case 'timeoutNow':
      return { case: 'timeoutNow', value: { $typeName: 'quorate.v1.TimeoutNow' } };
    case 'suspicion':
      return { case: 'suspicion', value: { $typeName: 'quorate.v1.Suspicion' } };
    case 'appendReply':
      return {
        case: 'appendReply',
        value: {
          $typeName: 'quorate.v1.AppendReply',
          success: message.ok,
          index: BigInt(message.index),
          hintIndex: BigInt(message.hintIndex),
          hintTerm: BigInt(message.hintTerm),
          commit: BigInt(message.commit),
          toBoot: BigInt(message.toBoot),
          readPosition: BigInt(message.readPosition),
          lastIndex: BigInt(message.lastIndex),
          lastTerm: BigInt(message.lastTerm),
          leaderLostEntries: message.leaderLostEntries,
          cannotApply: !message.canApply,
        },
      };
    case 'readRequest':
      return {
        case: 'readRequest',
        value: {
          $typeName: 'quorate.v1.ReadRequest',
          id: BigInt(message.id),
          lastIndex: BigInt(message.lastIndex),
          lastTerm: BigInt(message.lastTerm),
        },
      };
    case 'readReply':
      return {
        case: 'readReply',
        value: {
          $typeName: 'quorate.v1.ReadReply',
          id: BigInt(message.id),
          toBoot: BigInt(message.toBoot),
          index: BigInt(message.index),
          indexTerm: BigInt(message.indexTerm),
          refused: message.refused,
          removed: message.removed,
          leader: message.leader === null ? undefined : toWireMember(message.leader),
        },
      };
    default:
      return unreachable(message);
  }
}

function toWireEntry({ term, payload }: Entry): WireEntry {
  return {
    $typeName: 'quorate.v1.Entry',
    term: BigInt(term),
    payload: toWirePayload(payload),
  };
}

function toWirePayload(payload: Payload): WireEntry['payload'] {
  switch (payload.type) {
    case 'noop':
      return { case: 'noop', value: { $typeName: 'quorate.v1.Noop' } };
    case 'data':
      return { case: 'data', value: payload.data };
    case 'configuration':
      return { case: 'configuration', value: toWireConfiguration(payload.configuration) };
    default:
      return unreachable(payload);
  }
}

export interface Route {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly boot: number;
}

/** Null for a kind of message that this version does not know: newer code sent it. */
export function fromWire(message: WireMessage, route: Route): Message | null {
  const body = fromWireBody(message.body);
  return body && { ...route, term: Number(message.term), ...body };
}

function fromWireBody(body: WireMessage['body']): Body | null {
  switch (body.case) {
    case 'voteRequest': {
      const { pre, transfer } = body.value;
      const lastIndex = Number(body.value.lastIndex);
      const lastTerm = Number(body.value.lastTerm);
      if (pre) return { type: 'preVote', lastIndex, lastTerm };
      return { type: 'vote', lastIndex, lastTerm, transfer };
    }
    case 'voteReply': {
      const { pre, granted, toBoot, requestTerm, leader, lastIndex, lastTerm } = body.value;
      return {
        type: pre ? 'preVoteReply' : 'voteReply',
        granted,
        toBoot: Number(toBoot),
        requestTerm: Number(requestTerm),
        leader: leader ? fromWireMember(leader) : null,
        lastIndex: Number(lastIndex),
        lastTerm: Number(lastTerm),
      };
    }
    case 'append':
      return fromWireAppend(body.value);
    case 'appendReply': {
      const reply = body.value;
      return {
        type: 'appendReply',
        ok: reply.success,
        index: Number(reply.index),
        hintIndex: Number(reply.hintIndex),
        hintTerm: Number(reply.hintTerm),
        commit: Number(reply.commit),
        toBoot: Number(reply.toBoot),
        readPosition: Number(reply.readPosition),
        lastIndex: Number(reply.lastIndex),
        lastTerm: Number(reply.lastTerm),
        leaderLostEntries: reply.leaderLostEntries,
        canApply: !reply.cannotApply,
      };
    }
    case 'readRequest': {
      const { id, lastIndex, lastTerm } = body.value;
      return {
        type: 'readRequest',
        id: Number(id),
        lastIndex: Number(lastIndex),
        lastTerm: Number(lastTerm),
      };
    }
    case 'readReply': {
      const { id, toBoot, index, indexTerm, refused, removed, leader } = body.value;
      return {
        type: 'readReply',
        id: Number(id),
        toBoot: Number(toBoot),
        index: Number(index),
        indexTerm: Number(indexTerm),
        refused,
        removed,
        leader: leader ? fromWireMember(leader) : null,
      };
    }
    case 'snapshot':
      return fromWireSnapshot(body.value);
    case 'snapshotReply': {
      const { id, cursor, toBoot, readPosition } = body.value;
      const type = 'snapshotReply';
      return { type, id, cursor, toBoot: Number(toBoot), readPosition: Number(readPosition) };
    }
    case 'timeoutNow':
      return { type: 'timeoutNow' };
    case 'suspicion':
      return { type: 'suspicion' };
    default:
      return null;
  }
}

function fromWireAppend(
  append: Extract<WireMessage['body'], { case: 'append' }>['value'],
): Append | null {
  const prevIndex = Number(append.prevIndex);
  const entries: Entry[] = [];
  for (const [at, wire] of append.entries.entries()) {
    const entry = fromWireEntry(wire, prevIndex + 1 + at);
    if (!entry) return null;
    entries.push(entry);
  }
  return {
    type: 'append',
    prevIndex,
    prevTerm: Number(append.prevTerm),
    entries,
    commit: Number(append.commit),
    ...fromWireFromLeader(append),
  };
}

interface WireFromLeader {
  readonly readPosition: bigint;
  readonly barrier: bigint;
  readonly knownBoot: bigint;
  readonly knownMatch: bigint;
}

function toWireFromLeader(facts: FromLeader): WireFromLeader {
  return {
    readPosition: BigInt(facts.readPosition),
    barrier: BigInt(facts.barrier),
    knownBoot: BigInt(facts.knownBoot),
    knownMatch: BigInt(facts.knownMatch),
  };
}

function fromWireFromLeader(facts: WireFromLeader): FromLeader {
  return {
    readPosition: Number(facts.readPosition),
    barrier: Number(facts.barrier),
    knownBoot: Number(facts.knownBoot),
    knownMatch: Number(facts.knownMatch),
  };
}

type WireSnapshot = Extract<WireMessage['body'], { case: 'snapshot' }>['value'];

/** A chunk that its sender's host has not filled does not travel. */
function toWireSnapshot(message: Snapshot): WireSnapshot {
  const { snapshot, cursor, chunk } = message;
  if (!chunk) throw new Error('a snapshot message is filled before it is sent');
  return {
    $typeName: 'quorate.v1.Snapshot',
    id: snapshot.id,
    index: BigInt(snapshot.index),
    term: BigInt(snapshot.term),
    configuration: toWireConfiguration(snapshot.configuration),
    cursor,
    data: chunk.data,
    ...(chunk.next === null ? {} : { next: chunk.next }),
    ...toWireFromLeader(message),
  };
}

/** Null when it says no configuration: nothing that this version could install. */
function fromWireSnapshot(wire: WireSnapshot): Snapshot | null {
  if (!wire.configuration) return null;
  return {
    type: 'snapshot',
    snapshot: {
      id: wire.id,
      index: Number(wire.index),
      term: Number(wire.term),
      configuration: fromWireConfiguration(wire.configuration),
    },
    cursor: wire.cursor,
    chunk: { data: wire.data, next: wire.next ?? null },
    ...fromWireFromLeader(wire),
  };
}

/** Null for a payload that this version does not know: stored as something else it would diverge. */
function fromWireEntry(entry: WireEntry, index: number): Entry | null {
  const term = Number(entry.term);
  const { payload } = entry;
  switch (payload.case) {
    case 'data':
      return { index, term, payload: { type: 'data', data: payload.value } };
    case 'configuration': {
      const configuration = fromWireConfiguration(payload.value);
      return { index, term, payload: { type: 'configuration', configuration } };
    }
    case 'noop':
      return { index, term, payload: { type: 'noop' } };
    default:
      return null;
  }
}
