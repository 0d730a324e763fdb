/** A command as its caller's: `As` around the bytes that the router made, which nobody decodes for it. */
import { create, toBinary } from '@bufbuild/protobuf';
import { AsSchema } from '../../api/gen/command_pb.js';
import type { Caller } from './permit.ts';

/** Fields of length-delimited type: As.command, Command.as. */
const commandTag = 0x1a;
const asTag = 0x52;

export function asCaller(
  caller: Exclude<Caller, { kind: 'user' }>,
  command: Uint8Array,
): Uint8Array {
  const by =
    caller.kind === 'operator'
      ? { operator: true, token: '' }
      : { operator: false, token: caller.token };
  const head = toBinary(AsSchema, create(AsSchema, by));
  const inner = concat(head, [commandTag, ...varint(command.length)], command);
  return concat([asTag, ...varint(inner.length)], inner);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
