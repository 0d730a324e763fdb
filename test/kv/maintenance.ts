/** Short ways to write commands of etcd's maintenance service. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import {
  AlarmRequest_AlarmAction as Action,
  AlarmRequestSchema,
  AlarmType,
  DowngradeRequestSchema,
} from '../../src/api/gen/maintenance_pb.js';
import type { Machine } from './support.ts';

export const { NOSPACE, CORRUPT, NONE } = AlarmType;

export function alarm(init: MessageInitShape<typeof AlarmRequestSchema>): Uint8Array {
  const value = create(AlarmRequestSchema, init);
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'alarm', value } }));
}

export const raise = (type: AlarmType, memberID = 1n): Uint8Array =>
  alarm({ action: Action.ACTIVATE, memberID, alarm: type });
export const clear = (type: AlarmType, memberID = 1n): Uint8Array =>
  alarm({ action: Action.DEACTIVATE, memberID, alarm: type });

export function downgrade(init: MessageInitShape<typeof DowngradeRequestSchema>): Uint8Array {
  const value = create(DowngradeRequestSchema, init);
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'downgrade', value } }));
}

/** `NOSPACE 1`, as they are listed. */
export function alarmsOf({ machine }: Machine): string[] {
  return machine.alarms.list(NONE).map((one) => `${AlarmType[one.alarm]} ${one.memberID}`);
}
