/** Requests and answers of simulated clients, in the words of the tests. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import type { MemberReply, MemberRequest } from '../../src/api/gen/member_pb.js';
import { BirthQuestionSchema } from '../../src/api/gen/peer_pb.js';
import {
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import { drain } from '../../src/kv/range.ts';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { Cluster, type ClusterOptions, type Traffic } from './cluster.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function putOp(key: string, value: string): MemberRequest['op'] {
  const put = { key: encoder.encode(key), value: encoder.encode(value) };
  const command = create(CommandSchema, { op: { case: 'put', value: put as never } });
  return { case: 'command', value: toBinary(CommandSchema, command) };
}

export function compactOp(revision: number, physical: boolean): MemberRequest['op'] {
  const compact = { revision: BigInt(revision), physical };
  const command = create(CommandSchema, { op: { case: 'compact', value: compact as never } });
  return { case: 'command', value: toBinary(CommandSchema, command) };
}

export function getOp(key: string): MemberRequest['op'] {
  return { case: 'range', value: create(RangeRequestSchema, { key: encoder.encode(key) }) };
}

/** Puts through `place` and gives the revision; throws on anything but success. */
export async function put(cluster: Cluster, place: number, key: string, value: string) {
  const reply = await cluster.world.settle(cluster.ask(place, putOp(key, value)));
  return Number(fromBinary(PutResponseSchema, responseOf(reply)).header?.revision);
}

export async function get(
  cluster: Cluster,
  place: number,
  key: string,
  options: Partial<MemberRequest> = {},
): Promise<string | null> {
  return valueIn(await cluster.world.settle(cluster.ask(place, getOp(key), options)));
}

export function valueIn(reply: MemberReply): string | null {
  const { kvs } = fromBinary(RangeResponseSchema, responseOf(reply));
  return kvs[0] ? decoder.decode(kvs[0].value) : null;
}

/** Asks one member after another with a suspicion, as the router does, until one serves. */
export async function persist(
  cluster: Cluster,
  op: MemberRequest['op'],
  places: readonly number[] = [1, 2, 3],
): Promise<MemberReply> {
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const place = places[attempt % places.length] ?? 1;
    const asked = cluster.ask(place, op, { suspectTerm: 0n, timeoutMs: 3_000 });
    const reply = await cluster.world.settle(asked).catch(() => null);
    if (reply?.outcome.case === 'response') return reply;
    await cluster.world.pass(100);
  }
  throw new Error('no member served the request');
}

function responseOf({ outcome }: MemberReply): Uint8Array {
  if (outcome.case === 'response') return outcome.value;
  const text = JSON.stringify(outcome, (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  throw new Error(`expected a response, got ${text}`);
}

/** Kinds of the Raft messages in calls between members, e.g. "1>2 append". */
export function messageKinds(traffic: readonly Traffic[]): string[] {
  return traffic.flatMap(({ from, to, envelope }) =>
    (envelope?.messages ?? []).map(({ body }) => `${from}>${to} ${body.case}`),
  );
}

/** A group at rest, with a = 1 written and no traffic on record. */
export async function born(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options);
  await put(cluster, 1, 'a', '1');
  await cluster.world.pass(1_000);
  cluster.traffic.length = 0;
  cluster.responses.length = 0;
  return cluster;
}

/** Asked by a place that is about to found a group. */
export const birthQuestion = toBinary(BirthQuestionSchema, create(BirthQuestionSchema));

/** Of the logical state on the disk of `place`. */
export function hashAt(cluster: Cluster, place: number): string {
  return drain(StateMachine.open(cluster.sql(place)).logicalHash());
}
