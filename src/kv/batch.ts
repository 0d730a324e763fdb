/**
 * The data of one log entry: rules version and commands (quorate.v1.EntryBatch). Encoded by hand,
 * since a leader does it for every write; the bytes are those that protobuf would make.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { EntryBatchSchema } from '../api/gen/command_pb.js';

/**
 * Version of everything that decides what an entry does to the state: semantics, limits, order.
 * Raise it when the same entry would have another effect or answer.
 */
export const currentRulesVersion = 4; // below 128: one byte of a batch

/** The first rules that know leases, and commands that take effect once. Before, both are unknown. */
export const leaseRulesVersion = 2;

/** The first rules that know users, and commands of users. */
export const authRulesVersion = 3;

/** The first rules that know alarms, and what members are called. */
export const clusterRulesVersion = 4;

const rulesVersionTag = 0x08;
const commandTag = 0x12;

/** Each command is an encoded quorate.v1.Command. */
export function encodeBatch(
  commands: readonly Uint8Array[],
  rulesVersion = currentRulesVersion,
): Uint8Array {
  let size = 2;
  for (const { length } of commands) size += 1 + varintSize(length) + length;
  const bytes = new Uint8Array(size);
  bytes[0] = rulesVersionTag;
  bytes[1] = rulesVersion;
  let at = 2;
  for (const command of commands) {
    bytes[at++] = commandTag;
    at = writeVarint(bytes, at, command.length);
    bytes.set(command, at);
    at += command.length;
  }
  return bytes;
}

/** Of an entry's data, without decoding the rest; 0: not made by `encodeBatch`. */
export function rulesVersionOf(data: Uint8Array): number {
  const version = data[1] ?? 0;
  return data[0] === rulesVersionTag && version < 0x80 ? version : 0;
}

export interface DecodedBatch {
  readonly rulesVersion: number;
  readonly commands: readonly Uint8Array[];
}

/** Bytes that are no batch at all are a batch of the unknown version 0. */
export function decodeBatch(data: Uint8Array): DecodedBatch {
  try {
    return fromBinary(EntryBatchSchema, data);
  } catch {
    return { rulesVersion: 0, commands: [] };
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) size += 1;
  return size;
}

function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let position = at;
  for (; rest >= 0x80; rest >>>= 7) bytes[position++] = (rest & 0x7f) | 0x80;
  bytes[position++] = rest;
  return position;
}
