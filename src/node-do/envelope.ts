/**
 * What one call between members of a group carries, in both directions: Envelope of peer.proto.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type BirthRecord, BirthRecordSchema } from '../api/gen/peer_pb.js';
import type { MemberId, Message } from '../raft/types.ts';
import { type Route, readMember, readMessage, writeMember, writeMessage } from './codec.ts';
import type { CodeVersion } from './platform.ts';
import { encodeWire, WireMessage } from './wire.ts';

const fields = {
  protocol: 1,
  groupId: 2,
  from: 3,
  to: 4,
  boot: 5,
  birth: 6,
  messages: 7,
  rulesVersion: 8,
  minProtocol: 9,
} as const;

/** `birth` goes along until the target has answered in this life. */
export interface Sender {
  readonly code: CodeVersion;
  readonly groupId: string;
  readonly birth: BirthRecord | null;
}

export function encodeEnvelope(
  { code, groupId, birth }: Sender,
  { from, to, boot }: Route,
  messages: readonly Message[],
): Uint8Array {
  return encodeWire((writer) => {
    writer.number(fields.protocol, code.protocol);
    writer.text(fields.groupId, groupId);
    writeMember(writer, fields.from, from);
    writeMember(writer, fields.to, to);
    writer.number(fields.boot, boot);
    if (birth) writer.presentBytes(fields.birth, toBinary(BirthRecordSchema, birth));
    for (const message of messages) {
      writer.begin(fields.messages);
      writeMessage(writer, message);
      writer.end();
    }
    writer.number(fields.rulesVersion, code.rules);
    writer.number(fields.minProtocol, code.minProtocol);
  });
}

/** The answer to an envelope that is not meant for whoever lives at its target. */
export function emptyEnvelope(): Uint8Array {
  return new Uint8Array();
}

export interface Envelope {
  readonly groupId: string;
  /** null: nobody lives there whom the question was meant for. */
  readonly from: MemberId | null;
  readonly to: MemberId | null;
  /** null: its sender was answered from here before. */
  readonly birth: BirthRecord | null;
  readonly rulesVersion: number;
  readonly minProtocol: number;
  /** Those of a kind that this code knows. */
  readonly messages: readonly Message[];
}

/** Throws when these bytes are none. */
export function decodeEnvelope(body: Uint8Array): Envelope {
  const wire = new WireMessage(body);
  const from = readMember(wire, fields.from);
  const to = readMember(wire, fields.to);
  const birth = wire.bytes(fields.birth);
  return {
    groupId: wire.text(fields.groupId),
    from,
    to,
    birth: birth.length > 0 ? fromBinary(BirthRecordSchema, birth) : null,
    rulesVersion: wire.number(fields.rulesVersion),
    minProtocol: wire.number(fields.minProtocol),
    messages: from && to ? messagesIn(wire, { from, to, boot: wire.number(fields.boot) }) : [],
  };
}

function messagesIn(wire: WireMessage, route: Route): Message[] {
  const messages: Message[] = [];
  for (const one of wire.messages(fields.messages)) {
    const message = readMessage(one, route);
    if (message) messages.push(message);
  }
  return messages;
}
