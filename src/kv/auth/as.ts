/** A command as its caller's: `As` around the bytes that the router made, which nobody decodes for it. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AsSchema, CommandSchema } from '../../api/gen/command_pb.js';
import type { Caller } from './permit.ts';

const { operator, token, user, command: within } = AsSchema.field;
const { as } = CommandSchema.field;

export function asCaller(
  caller: Exclude<Caller, { kind: 'user' }>,
  command: Uint8Array,
): Uint8Array {
  const writer = new BinaryWriter();
  if (caller.kind === 'operator') writer.tag(operator.number, WireType.Varint).bool(true);
  else if (caller.kind === 'named')
    writer.tag(user.number, WireType.LengthDelimited).string(caller.name);
  else writer.tag(token.number, WireType.LengthDelimited).string(caller.token);
  const inner = writer.tag(within.number, WireType.LengthDelimited).bytes(command).finish();
  return new BinaryWriter().tag(as.number, WireType.LengthDelimited).bytes(inner).finish();
}
