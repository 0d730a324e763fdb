/** Snapshots for clients, and tenants out of them, step by step as the router takes them. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  BackupCloseSchema,
  BackupOpenedSchema,
  BackupOpenSchema,
  type BackupPart,
  BackupPartSchema,
  BackupReadSchema,
  RestoreReply_Outcome as Outcome,
  type RestoreReply,
  RestoreReplySchema,
  type RestoreRequest,
  RestoreRequestSchema,
} from '../../src/api/gen/backup_pb.js';
import type { MemberReply, MemberRequest } from '../../src/api/gen/member_pb.js';
import type { Cluster } from './cluster.ts';
import { responseOf } from './support.ts';

export const openOp: MemberRequest['op'] = { case: 'backupOpen', value: create(BackupOpenSchema) };

export function idIn(reply: MemberReply): string {
  return fromBinary(BackupOpenedSchema, responseOf(reply)).id;
}

export async function open(cluster: Cluster, place = 1): Promise<string> {
  return idIn(await cluster.world.settle(cluster.ask(place, openOp)));
}

export async function readPart(
  cluster: Cluster,
  id: string,
  cursor = '',
  place = 1,
): Promise<BackupPart> {
  const op = { case: 'backupRead', value: create(BackupReadSchema, { id, cursor }) } as const;
  const reply = await cluster.world.settle(cluster.ask(place, op));
  return fromBinary(BackupPartSchema, responseOf(reply));
}

export async function close(cluster: Cluster, id: string): Promise<void> {
  const op = { case: 'backupClose', value: create(BackupCloseSchema, { id }) } as const;
  responseOf(await cluster.world.settle(cluster.ask(1, op)));
}

/** All chunks; `between` runs before each but the first. */
export async function readAll(
  cluster: Cluster,
  id: string,
  between: () => Promise<void> = async () => {},
): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined; ) {
    if (cursor !== '') await between();
    const part = await readPart(cluster, id, cursor);
    if (!part.open) throw new Error('it is not open any more');
    chunks.push(part.chunk);
    cursor = part.next;
  }
  return chunks;
}

/** One step of the attempt `id` at place 1. */
export async function step(
  cluster: Cluster,
  id: string,
  one: RestoreRequest['step'],
): Promise<RestoreReply> {
  const body = toBinary(RestoreRequestSchema, create(RestoreRequestSchema, { id, step: one }));
  const answer = await cluster.world.settle(cluster.life(1).member.onRestore(body));
  return fromBinary(RestoreReplySchema, answer);
}

export const begin: RestoreRequest['step'] = { case: 'begin', value: true };
export const abandon: RestoreRequest['step'] = { case: 'abandon', value: true };

export function chunk(number: number, data: Uint8Array): RestoreRequest['step'] {
  return { case: 'chunk', value: { $typeName: 'quorate.v1.RestoreChunk', number, data } };
}

export function commit(chunks: number, bump = 0): RestoreRequest['step'] {
  const value = { $typeName: 'quorate.v1.RestoreCommit' as const, chunks };
  return { case: 'commit', value: { ...value, bumpRevision: BigInt(bump) } };
}

/** All steps but the last. `between` runs after each. */
export async function send(
  cluster: Cluster,
  id: string,
  chunks: readonly Uint8Array[],
  between: () => Promise<void> | void = () => {},
): Promise<void> {
  for (const one of [begin, ...chunks.map((data, number) => chunk(number, data))]) {
    const { outcome, detail } = await step(cluster, id, one);
    if (outcome !== Outcome.DONE) throw new Error(`${one.case}: ${Outcome[outcome]} ${detail}`);
    await between();
  }
}
