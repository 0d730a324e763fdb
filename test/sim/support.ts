/** Requests and answers of simulated clients, in the words of the tests. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Command, CommandSchema } from '../../src/api/gen/command_pb.js';
import {
  LeaseKeepAliveRepliesSchema,
  LeaseKeepAliveSchema,
  type MemberReply,
  type MemberRequest,
} from '../../src/api/gen/member_pb.js';
import { BirthQuestionSchema } from '../../src/api/gen/peer_pb.js';
import {
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
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
  return commandOp({ case: 'put', value: put as never });
}

export function leasedPutOp(key: string, lease: bigint): MemberRequest['op'] {
  const put = { key: encoder.encode(key), value: encoder.encode('x'), lease };
  return commandOp({ case: 'put', value: put as never });
}

export function grantOp(id: bigint, ttl: number): MemberRequest['op'] {
  return commandOp({ case: 'leaseGrant', value: { ID: id, TTL: BigInt(ttl) } as never });
}

export function revokeOp(id: bigint): MemberRequest['op'] {
  return commandOp({ case: 'leaseRevoke', value: { ID: id } as never });
}

export function keepAliveOp(...ids: bigint[]): MemberRequest['op'] {
  return { case: 'leaseKeepAlive', value: create(LeaseKeepAliveSchema, { ids }) };
}

/** The TTLs in an answer to a keep-alive, in seconds. */
export function ttlsIn(reply: MemberReply): number[] {
  const { responses } = fromBinary(LeaseKeepAliveRepliesSchema, responseOf(reply));
  return responses.map(({ TTL }) => Number(TTL));
}

export function timeToLiveOp(id: bigint, keys = false): MemberRequest['op'] {
  return { case: 'leaseTimeToLive', value: create(LeaseTimeToLiveRequestSchema, { ID: id, keys }) };
}

export async function timeToLive(cluster: Cluster, place: number, id: bigint, keys = false) {
  const reply = await cluster.world.settle(cluster.ask(place, timeToLiveOp(id, keys)));
  return fromBinary(LeaseTimeToLiveResponseSchema, responseOf(reply));
}

/** Grants a lease through `place`, with a key of its name attached. */
export async function grant(cluster: Cluster, place: number, id: bigint, ttl: number) {
  responseOf(await cluster.world.settle(cluster.ask(place, grantOp(id, ttl))));
  responseOf(await cluster.world.settle(cluster.ask(place, leasedPutOp(`lease ${id}`, id))));
}

/** Whether the lease is there in the state of `place`, whoever leads. */
export function hasLease(cluster: Cluster, place: number, id: bigint): boolean {
  return StateMachine.open(cluster.sql(place)).lease(id) !== null;
}

/** How long from now the lease is in the state of `place`, which nobody asks. */
export async function endOf(cluster: Cluster, place: number, id: bigint, withinMs: number) {
  const from = cluster.world.now;
  while (hasLease(cluster, place, id)) {
    if (cluster.world.now - from > withinMs) return Number.POSITIVE_INFINITY;
    await cluster.world.pass(50);
  }
  return cluster.world.now - from;
}

/** Gives the TTLs that are answered, in seconds. */
export async function keepAlive(cluster: Cluster, place: number, ...ids: bigint[]) {
  return ttlsIn(await cluster.world.settle(cluster.ask(place, keepAliveOp(...ids))));
}

function commandOp(op: Command['op']): MemberRequest['op'] {
  return { case: 'command', value: toBinary(CommandSchema, create(CommandSchema, { op })) };
}

export function compactOp(revision: number, physical: boolean): MemberRequest['op'] {
  const compact = { revision: BigInt(revision), physical };
  return commandOp({ case: 'compact', value: compact as never });
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

export function responseOf({ outcome }: MemberReply): Uint8Array {
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

/** A call that appends, and so does not only confirm. */
export function carriesEntries({ envelope }: Traffic): boolean {
  return (envelope?.messages ?? []).some(
    ({ body }) => body.case === 'append' && body.value.entries.length > 0,
  );
}

/** The life at `place` ends at its n-th write from now on, before it. */
export function crashAtWrite(cluster: Cluster, place: number, n: number): void {
  const sql = cluster.sql(place);
  const { run } = sql;
  let left = n;
  sql.run = (query, ...bindings) => {
    left -= 1;
    if (left > 0) return run.call(sql, query, ...bindings);
    sql.run = run;
    throw new Error('crash');
  };
}

/** Lets the time pass until shortly before the deadline that `place` has written down. */
export async function untilDeadline(
  cluster: Cluster,
  place: number,
  beforeMs: number,
): Promise<void> {
  const row = cluster.sql(place).first('SELECT min(at) FROM lease_deadline');
  await cluster.world.pass(Number(row?.[0]) - beforeMs - cluster.now(place));
}
