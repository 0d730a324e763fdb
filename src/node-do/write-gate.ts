/**
 * Writes that alarms, or the quota, stand against are refused before they are proposed, so that clients which go
 * on trying do not fill the log. The state machine decides the same where a write is applied; here it
 * is only told sooner.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { type Command, CommandSchema } from '../api/gen/command_pb.js';
import {
  AlarmRequest_AlarmAction,
  AlarmRequestSchema,
  AlarmType,
} from '../api/gen/maintenance_pb.js';
import { bytesAdded, refusedByAlarm } from '../kv/alarms.ts';
import { asCaller } from '../kv/auth/as.ts';
import { needsOfCommand } from '../kv/auth/needs.ts';
import { clusterRulesVersion } from '../kv/batch.ts';
import type { Shown } from './auth/callers.ts';
import type { GroupMember } from './group-member.ts';
import type { Platform } from './platform.ts';
import type { ReadOutcome } from './reads.ts';

/** Of the least room that is left after a command: rows of the log and of both tables, and their pages. */
const bytesPerByte = 4;
const bytesPerCommand = 1_024;
/** So it is measured anew now and then, since not all that takes room is asked for here: a delete leaves tombstones. */
const roomBytesMax = 64 * 1024 * 1024;

/** 'notLeader', or why no quorum confirms the refusal. */
export type Refusal = EtcdErrorName | Exclude<ReadOutcome, 'ready'>;

/** Raises the alarm for a member whose space is used up, or whose data are wrong; in nobody's name. */
export function alarmCommand(alarm: AlarmType, memberID: bigint): Uint8Array {
  const value = create(AlarmRequestSchema, {
    action: AlarmRequest_AlarmAction.ACTIVATE,
    memberID,
    alarm,
  });
  const command = create(CommandSchema, { op: { case: 'alarm', value } });
  return asCaller({ kind: 'operator' }, toBinary(CommandSchema, command));
}

export class WriteGate {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  /** So many bytes fit, whatever commands they come with; counted down, and measured anew below 0. */
  private roomBytes = 0;
  private raising: Promise<Refusal | null> | null = null;

  constructor(platform: Platform, group: GroupMember) {
    this.platform = platform;
    this.group = group;
  }

  /** False, nearly always, and without looking into the command or at the database. */
  mayRefuse(command: Uint8Array): boolean {
    if (this.group.machine.alarms.raised.length > 0) return true;
    return !this.hasRoomFor(bytesPerByte * command.length + bytesPerCommand);
  }

  /** Null: it is to be proposed. Nothing of it has been, otherwise. */
  async refusal(data: Uint8Array, shown: Shown | null, deadline: number): Promise<Refusal | null> {
    const { machine } = this.group;
    const command = decode(data);
    // Whoever may not write at all is told so where it is applied, and raises no alarm.
    if (!command || machine.permit(shown, needsOfCommand(command))) return null;
    const added = bytesAdded(command);
    if (added > 0 && !machine.alarms.isRaised(AlarmType.NOSPACE) && !this.hasRoomFor(added)) {
      const refused = await this.raise(deadline);
      if (refused) return refused;
    }
    if (!refusedByAlarm(machine, command)) return null;
    // Another leader may have cleared it: nobody is refused for an alarm that was over before he asked.
    const point = await this.group.readPoint(deadline);
    return point === 'ready' ? refusedByAlarm(machine, command) : point;
  }

  private hasRoomFor(bytes: number): boolean {
    this.roomBytes -= bytes;
    if (this.roomBytes >= 0) return true;
    const roomBytes = this.platform.settings.quotaBytes - this.group.stateBytes - bytes;
    this.roomBytes = Math.min(roomBytes, roomBytesMax);
    return roomBytes >= 0;
  }

  /** One proposal for all that wait. Null: the alarm is raised. */
  private raise(deadline: number): Promise<Refusal | null> {
    this.raising ??= this.proposeAlarm(deadline).finally(() => {
      this.raising = null;
    });
    return this.raising;
  }

  private async proposeAlarm(deadline: number): Promise<Refusal | null> {
    const { group } = this;
    // Members of older code know no alarms.
    if (group.rules < clusterRulesVersion) return 'NoSpace';
    const self = group.roster.idOf(group.self);
    const outcome = await group.propose(alarmCommand(AlarmType.NOSPACE, self), deadline);
    switch (outcome.type) {
      case 'applied':
        return outcome.result.ok ? null : 'NoSpace';
      case 'notProposed':
        return 'notLeader';
      case 'refused':
        return outcome.error;
      case 'unknown':
        // What the client wants has not been proposed.
        return 'Timeout';
    }
  }
}

function decode(data: Uint8Array): Command | null {
  try {
    return fromBinary(CommandSchema, data);
  } catch {
    return null;
  }
}
