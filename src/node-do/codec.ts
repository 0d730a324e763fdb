/**
 * Between the core's messages and the wire (peer.proto). Field for field; the core's branded ids
 * become (place, incarnation). A field's number is that of peer.proto.
 */
import type {
  Configuration as WireConfiguration,
  Member as WireMember,
} from '../api/gen/peer_pb.js';
import type { Configuration } from '../raft/configuration.ts';
import type {
  Append,
  AppendReply,
  Body,
  Entry,
  FromLeader,
  MemberId,
  Message,
  Payload,
  ReadReply,
  Snapshot,
  SnapshotReply,
  VoteReply,
} from '../raft/types.ts';
import { unreachable } from '../raft/types.ts';
import { incarnationOf, memberId, placeOf } from './identity.ts';
import { encodeWire, WireMessage, type WireWriter } from './wire.ts';

/** Fields of the oneof in Message. */
const bodies = {
  voteRequest: 2,
  voteReply: 3,
  append: 4,
  appendReply: 5,
  readRequest: 6,
  readReply: 7,
  snapshot: 8,
  snapshotReply: 9,
  timeoutNow: 10,
  suspicion: 11,
} as const;

/** Fields of the oneof in Entry. */
const payloads = { data: 2, configuration: 3, noop: 4 } as const;

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
  return encodeWire((writer) => writeConfiguration(writer, configuration));
}

export function decodeConfiguration(data: Uint8Array): Configuration {
  return readConfiguration(new WireMessage(data));
}

export function writeMember(writer: WireWriter, field: number, id: MemberId): void {
  writer.begin(field);
  writer.number(1, placeOf(id));
  writer.text(2, incarnationOf(id));
  writer.end();
}

/** null: it is not there. */
export function readMember(message: WireMessage, field: number): MemberId | null {
  const member = message.message(field);
  return member && memberOf(member);
}

function memberOf(member: WireMessage): MemberId {
  return memberId(member.number(1), member.text(2));
}

function writeConfiguration(writer: WireWriter, configuration: Configuration): void {
  for (const id of configuration.voters) writeMember(writer, 1, id);
  for (const id of configuration.outgoing) writeMember(writer, 2, id);
  for (const id of configuration.learners) writeMember(writer, 3, id);
}

function readConfiguration(message: WireMessage): Configuration {
  return {
    voters: message.messages(1).map(memberOf),
    outgoing: message.messages(2).map(memberOf),
    learners: message.messages(3).map(memberOf),
  };
}

export function writeMessage(writer: WireWriter, message: Message): void {
  writer.number(1, message.term);
  writer.begin(bodyFieldOf(message));
  writeBody(writer, message);
  writer.end();
}

function bodyFieldOf({ type }: Body): number {
  if (type === 'preVote' || type === 'vote') return bodies.voteRequest;
  return type === 'preVoteReply' ? bodies.voteReply : bodies[type];
}

function writeBody(writer: WireWriter, body: Body): void {
  switch (body.type) {
    case 'preVote':
    case 'vote':
      writer.flag(1, body.type === 'preVote');
      writer.number(2, body.lastIndex);
      writer.number(3, body.lastTerm);
      writer.flag(4, body.type === 'vote' && body.transfer);
      return;
    case 'preVoteReply':
    case 'voteReply':
      writeVoteReply(writer, body);
      return;
    case 'append':
      writer.number(1, body.prevIndex);
      writer.number(2, body.prevTerm);
      for (const entry of body.entries) writeEntry(writer, 3, entry);
      writer.number(4, body.commit);
      writeFromLeader(writer, 5, body);
      return;
    case 'appendReply':
      writeAppendReply(writer, body);
      return;
    case 'snapshot':
      writeSnapshot(writer, body);
      return;
    case 'snapshotReply':
      writer.text(1, body.id);
      writer.text(2, body.cursor);
      writer.number(3, body.toBoot);
      writer.number(4, body.readPosition);
      return;
    case 'readRequest':
      writer.number(1, body.id);
      writer.number(2, body.lastIndex);
      writer.number(3, body.lastTerm);
      return;
    case 'readReply':
      writeReadReply(writer, body);
      return;
    case 'timeoutNow':
    case 'suspicion':
      return;
    default:
      unreachable(body);
  }
}

function writeVoteReply(writer: WireWriter, reply: VoteReply): void {
  writer.flag(1, reply.type === 'preVoteReply');
  writer.flag(2, reply.granted);
  writer.number(3, reply.toBoot);
  writer.number(4, reply.requestTerm);
  if (reply.leader !== null) writeMember(writer, 5, reply.leader);
  writer.number(6, reply.lastIndex);
  writer.number(7, reply.lastTerm);
}

function writeAppendReply(writer: WireWriter, reply: AppendReply): void {
  writer.flag(1, reply.ok);
  writer.number(2, reply.index);
  writer.number(3, reply.hintIndex);
  writer.number(4, reply.hintTerm);
  writer.number(5, reply.commit);
  writer.number(6, reply.toBoot);
  writer.number(7, reply.readPosition);
  writer.number(8, reply.lastIndex);
  writer.number(9, reply.lastTerm);
  writer.flag(10, reply.leaderLostEntries);
  writer.flag(11, !reply.canApply);
}

function writeReadReply(writer: WireWriter, reply: ReadReply): void {
  writer.number(1, reply.id);
  writer.number(2, reply.toBoot);
  writer.number(3, reply.index);
  writer.number(4, reply.indexTerm);
  writer.flag(5, reply.refused);
  writer.flag(6, reply.removed);
  if (reply.leader !== null) writeMember(writer, 7, reply.leader);
}

/** A chunk that its sender's host has not filled does not travel. */
function writeSnapshot(writer: WireWriter, message: Snapshot): void {
  const { snapshot, cursor, chunk } = message;
  if (!chunk) throw new Error('a snapshot message is filled before it is sent');
  writer.text(1, snapshot.id);
  writer.number(2, snapshot.index);
  writer.number(3, snapshot.term);
  writer.begin(4);
  writeConfiguration(writer, snapshot.configuration);
  writer.end();
  writer.text(5, cursor);
  writer.bytes(6, chunk.data);
  if (chunk.next !== null) writer.presentText(7, chunk.next);
  writeFromLeader(writer, 8, message);
}

/** Four fields in a row, from `field` on. */
function writeFromLeader(writer: WireWriter, field: number, facts: FromLeader): void {
  writer.number(field, facts.readPosition);
  writer.number(field + 1, facts.barrier);
  writer.number(field + 2, facts.knownBoot);
  writer.number(field + 3, facts.knownMatch);
}

function writeEntry(writer: WireWriter, field: number, { term, payload }: Entry): void {
  writer.begin(field);
  writer.number(1, term);
  if (payload.type === 'data') writer.presentBytes(payloads.data, payload.data);
  else {
    writer.begin(payloads[payload.type]);
    if (payload.type === 'configuration') writeConfiguration(writer, payload.configuration);
    writer.end();
  }
  writer.end();
}

export interface Route {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly boot: number;
}

/** Null for a kind of message that this version does not know: newer code sent it. */
export function readMessage(message: WireMessage, route: Route): Message | null {
  const field = message.oneOf(bodies.voteRequest, bodies.suspicion);
  const body = message.message(field);
  const read = body && readBody(field, body);
  if (!read) return null;
  // Here as wherever messages are made: a spread that does not come first is many times slower in V8.
  return { ...read, from: route.from, to: route.to, boot: route.boot, term: message.number(1) };
}

function readBody(field: number, body: WireMessage): Body | null {
  switch (field) {
    case bodies.voteRequest: {
      const facts = { lastIndex: body.number(2), lastTerm: body.number(3) };
      if (body.flag(1)) return { type: 'preVote', ...facts };
      return { type: 'vote', ...facts, transfer: body.flag(4) };
    }
    case bodies.voteReply:
      return readVoteReply(body);
    case bodies.append:
      return readAppend(body);
    case bodies.appendReply:
      return readAppendReply(body);
    case bodies.readRequest:
      return {
        type: 'readRequest',
        id: body.number(1),
        lastIndex: body.number(2),
        lastTerm: body.number(3),
      };
    case bodies.readReply:
      return readReadReply(body);
    case bodies.snapshot:
      return readSnapshot(body);
    case bodies.snapshotReply:
      return readSnapshotReply(body);
    case bodies.timeoutNow:
      return { type: 'timeoutNow' };
    case bodies.suspicion:
      return { type: 'suspicion' };
    default:
      return null;
  }
}

function readVoteReply(reply: WireMessage): VoteReply {
  return {
    type: reply.flag(1) ? 'preVoteReply' : 'voteReply',
    granted: reply.flag(2),
    toBoot: reply.number(3),
    requestTerm: reply.number(4),
    leader: readMember(reply, 5),
    lastIndex: reply.number(6),
    lastTerm: reply.number(7),
  };
}

function readAppend(append: WireMessage): Append | null {
  const prevIndex = append.number(1);
  const entries: Entry[] = [];
  for (const wire of append.messages(3)) {
    const entry = readEntry(wire, prevIndex + 1 + entries.length);
    if (!entry) return null;
    entries.push(entry);
  }
  return {
    ...readFromLeader(append, 5),
    type: 'append',
    prevIndex,
    prevTerm: append.number(2),
    entries,
    commit: append.number(4),
  };
}

function readAppendReply(reply: WireMessage): AppendReply {
  return {
    type: 'appendReply',
    ok: reply.flag(1),
    index: reply.number(2),
    hintIndex: reply.number(3),
    hintTerm: reply.number(4),
    commit: reply.number(5),
    toBoot: reply.number(6),
    readPosition: reply.number(7),
    lastIndex: reply.number(8),
    lastTerm: reply.number(9),
    leaderLostEntries: reply.flag(10),
    canApply: !reply.flag(11),
  };
}

function readReadReply(reply: WireMessage): ReadReply {
  return {
    type: 'readReply',
    id: reply.number(1),
    toBoot: reply.number(2),
    index: reply.number(3),
    indexTerm: reply.number(4),
    refused: reply.flag(5),
    removed: reply.flag(6),
    leader: readMember(reply, 7),
  };
}

/** Null when it says no configuration: nothing that this version could install. */
function readSnapshot(message: WireMessage): Snapshot | null {
  const configuration = message.message(4);
  if (!configuration) return null;
  return {
    type: 'snapshot',
    snapshot: {
      id: message.text(1),
      index: message.number(2),
      term: message.number(3),
      configuration: readConfiguration(configuration),
    },
    cursor: message.text(5),
    chunk: { data: message.bytes(6), next: message.presentText(7) },
    ...readFromLeader(message, 8),
  };
}

function readSnapshotReply(reply: WireMessage): SnapshotReply {
  return {
    type: 'snapshotReply',
    id: reply.text(1),
    cursor: reply.text(2),
    toBoot: reply.number(3),
    readPosition: reply.number(4),
  };
}

function readFromLeader(message: WireMessage, field: number): FromLeader {
  return {
    readPosition: message.number(field),
    barrier: message.number(field + 1),
    knownBoot: message.number(field + 2),
    knownMatch: message.number(field + 3),
  };
}

/** Null for a payload that this version does not know: stored as something else it would diverge. */
function readEntry(entry: WireMessage, index: number): Entry | null {
  const payload = readPayload(entry);
  return payload && { index, term: entry.number(1), payload };
}

function readPayload(entry: WireMessage): Payload | null {
  switch (entry.oneOf(payloads.data, payloads.noop)) {
    case payloads.data:
      return { type: 'data', data: entry.bytes(payloads.data) };
    case payloads.configuration: {
      const configuration = entry.message(payloads.configuration);
      return (
        configuration && { type: 'configuration', configuration: readConfiguration(configuration) }
      );
    }
    case payloads.noop:
      return { type: 'noop' };
    default:
      return null;
  }
}
