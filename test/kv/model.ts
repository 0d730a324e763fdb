/**
 * The simplest state machine that answers like etcd: all versions of all keys in one array, every
 * question answered by walking all of it. The property test holds the real one against it.
 */
import { create } from '@bufbuild/protobuf';
import type { LeaseExpire } from '../../src/api/gen/command_pb.js';
import { type KeyValue, KeyValueSchema } from '../../src/api/gen/mvcc_pb.js';
import {
  type Compare,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  DeleteRangeResponseSchema,
  type LeaseGrantRequest,
  type LeaseGrantResponse,
  LeaseGrantResponseSchema,
  type LeaseRevokeRequest,
  type LeaseRevokeResponse,
  LeaseRevokeResponseSchema,
  type PutRequest,
  type PutResponse,
  PutResponseSchema,
  type RangeRequest,
  type RangeResponse,
  RangeResponseSchema,
  type RequestOp,
  ResponseOpSchema,
  type TxnRequest,
  type TxnResponse,
  TxnResponseSchema,
} from '../../src/api/gen/rpc_pb.js';

/** One write. Keys are hex text, whose order is that of the bytes. */
interface Write {
  readonly key: string;
  readonly rev: bigint;
  /** null: a delete. */
  readonly value: string | null;
  /** 0n: none. */
  readonly lease: bigint;
}

export interface ModelLease {
  readonly id: bigint;
  /** 0n: ending. */
  ttl: bigint;
  /** Log index. */
  readonly grant: bigint;
}

export class Refused extends Error {}

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const raw = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

function inside(key: string, start: Uint8Array, end: Uint8Array): boolean {
  const from = hex(start);
  if (end.length === 0) return key === from;
  if (end.length === 1 && end[0] === 0) return key >= from;
  return key >= from && key < hex(end);
}

export class Model {
  writes: Write[] = [];
  revision = 1n;
  compacted = -1n;
  leases: ModelLease[] = [];
  /** Of the log entry that is applied next. */
  index = 1n;
  /** Keys that a command may delete or put; asked of everything but transactions. */
  private readonly changesMax: number;

  constructor(changesMax = Number.POSITIVE_INFINITY) {
    this.changesMax = changesMax;
  }

  copy(): Model {
    const { revision, compacted, writes, leases } = this;
    const copied = { revision, compacted, writes: [...writes], leases: structuredClone(leases) };
    return Object.assign(new Model(this.changesMax), copied);
  }

  lease(id: bigint): ModelLease | undefined {
    return this.leases.find((lease) => lease.id === id);
  }

  /** Hex of its keys, in their order. */
  leaseKeys(id: bigint): string[] {
    const all = this.live(raw('00'), raw('00'), this.revision);
    return all.filter(({ lease }) => lease === id).map(({ key }) => hex(key));
  }

  leaseGrant({ ID, TTL }: LeaseGrantRequest): LeaseGrantResponse {
    if (TTL > 9_000_000_000n) throw new Refused('LeaseTTLTooLarge');
    if (this.lease(ID)) throw new Refused('LeaseExist');
    const ttl = TTL < 2n ? 2n : TTL;
    this.leases.push({ id: ID, ttl, grant: this.index });
    return create(LeaseGrantResponseSchema, { header: { revision: this.revision }, ID, TTL: ttl });
  }

  leaseRevoke({ ID }: LeaseRevokeRequest): LeaseRevokeResponse {
    const lease = this.lease(ID);
    if (!lease || lease.ttl === 0n) throw new Refused('LeaseNotFound');
    this.endLease(lease);
    return create(LeaseRevokeResponseSchema, { header: { revision: this.revision } });
  }

  /** True: keys of it are left. */
  leaseExpire({ id, grant }: LeaseExpire): boolean {
    const lease = this.lease(id);
    return lease?.grant === grant && this.endLease(lease);
  }

  private endLease(lease: ModelLease): boolean {
    const keys = this.leaseKeys(lease.id);
    const rev = this.revision + 1n;
    for (const key of keys.slice(0, this.changesMax))
      this.writes.push({ key, rev, value: null, lease: 0n });
    if (keys.length > 0) this.revision = rev;
    lease.ttl = 0n;
    const left = keys.length > this.changesMax;
    if (!left) this.leases = this.leases.filter((other) => other !== lease);
    return left;
  }

  put(request: PutRequest): PutResponse {
    if (request.key.length === 0) throw new Refused('EmptyKey');
    this.checkPut(request, true);
    const response = this.runPut(request, this.revision + 1n);
    this.revision += 1n;
    return response;
  }

  deleteRange(request: DeleteRangeRequest): DeleteRangeResponse {
    if (request.key.length === 0) throw new Refused('EmptyKey');
    const before = this.writes.length;
    if (this.live(request.key, request.rangeEnd, this.revision).length > this.changesMax)
      throw new Refused('TooManyChanges');
    const response = this.runDelete(request, this.revision, this.revision + 1n);
    if (this.writes.length > before) this.revision += 1n;
    return response;
  }

  compact(revision: bigint): void {
    if (revision <= this.compacted) throw new Refused('Compacted');
    if (revision > this.revision) throw new Refused('FutureRev');
    this.compacted = revision;
  }

  range(request: RangeRequest, current = this.revision): RangeResponse {
    if (request.revision > current) throw new Refused('FutureRev');
    const rev = request.revision <= 0n ? current : request.revision;
    if (rev < this.compacted) throw new Refused('Compacted');
    const all = this.live(request.key, request.rangeEnd, rev);
    const response = create(RangeResponseSchema, {
      header: { revision: current },
      count: BigInt(all.length),
    });
    if (request.countOnly) return response;
    const outside = (value: bigint, min: bigint, max: bigint): boolean =>
      (max !== 0n && value > max) || (min !== 0n && value < min);
    let kvs = all.filter(
      (kv) =>
        !outside(kv.modRevision, request.minModRevision, request.maxModRevision) &&
        !outside(kv.createRevision, request.minCreateRevision, request.maxCreateRevision),
    );
    const by = [
      (kv: KeyValue) => hex(kv.key),
      (kv: KeyValue) => kv.version,
      (kv: KeyValue) => kv.createRevision,
      (kv: KeyValue) => kv.modRevision,
      (kv: KeyValue) => hex(kv.value),
    ][request.sortTarget] as (kv: KeyValue) => string | bigint;
    const order = request.sortOrder || (request.sortTarget === 0 ? 0 : 1);
    const sign = order === 1 ? 1 : order === 2 ? -1 : 0;
    kvs = kvs.toSorted((a, b) => (by(a) < by(b) ? -sign : by(a) > by(b) ? sign : 0));
    if (request.limit > 0n && BigInt(kvs.length) > request.limit) {
      kvs = kvs.slice(0, Number(request.limit));
      response.more = true;
    }
    if (request.keysOnly) for (const kv of kvs) kv.value = new Uint8Array(0);
    response.kvs = kvs;
    return response;
  }

  txn(request: TxnRequest): TxnResponse {
    for (const branch of [request.success, request.failure]) this.checkDuplicates(branch);
    const saved = this.writes.slice();
    const path = this.path(request);
    this.checkPath(request, path.slice());
    try {
      const response = this.run(request, path, this.revision, this.revision + 1n);
      const changed = this.writes.length > saved.length;
      if (changed) this.revision += 1n;
      response.header = {
        $typeName: 'etcdserverpb.ResponseHeader',
        clusterId: 0n,
        memberId: 0n,
        raftTerm: 0n,
        revision: this.revision,
      };
      return response;
    } catch (error) {
      this.writes = saved;
      throw error;
    }
  }

  /** Keys that exist at `rev`, in order. */
  private live(start: Uint8Array, end: Uint8Array, rev: bigint): KeyValue[] {
    const keys = [...new Set(this.writes.map(({ key }) => key))].sort();
    return keys
      .filter((key) => inside(key, start, end))
      .map((key) => this.at(key, rev))
      .filter((kv) => kv !== null);
  }

  private at(key: string, rev: bigint): KeyValue | null {
    const seen = this.writes.filter((write) => write.key === key && write.rev <= rev);
    const life = seen.slice(seen.findLastIndex(({ value }) => value === null) + 1);
    const [first, last] = [life[0], life[life.length - 1]];
    if (!first || !last) return null;
    return create(KeyValueSchema, {
      key: raw(key),
      value: raw(last.value as string),
      modRevision: last.rev,
      createRevision: first.rev,
      version: BigInt(life.length),
      lease: last.lease,
    });
  }

  private checkPut(request: PutRequest, isAlone: boolean): void {
    const { key, value, ignoreValue, ignoreLease, lease } = request;
    if (ignoreValue && value.length > 0) throw new Refused('ValueProvided');
    if (ignoreLease && lease !== 0n) throw new Refused('LeaseProvided');
    const noLease = lease !== 0n && !this.lease(lease)?.ttl;
    if (isAlone && noLease) throw new Refused('LeaseNotFound');
    const missing = this.at(hex(key), this.revision) === null;
    if (missing && (ignoreValue || ignoreLease)) throw new Refused('KeyNotFound');
    if (noLease) throw new Refused('LeaseNotFound');
  }

  private runPut(request: PutRequest, next: bigint): PutResponse {
    const key = hex(request.key);
    const previous = this.at(key, next);
    if (!previous && (request.ignoreValue || request.ignoreLease)) throw new Refused('KeyNotFound');
    const value = request.ignoreValue && previous ? previous.value : request.value;
    const lease = request.ignoreLease && previous ? previous.lease : request.lease;
    this.writes.push({ key, rev: next, value: hex(value), lease });
    const response = create(PutResponseSchema, { header: { revision: next } });
    if (request.prevKv && previous) response.prevKv = previous;
    return response;
  }

  private runDelete(request: DeleteRangeRequest, now: bigint, next: bigint): DeleteRangeResponse {
    const gone = this.live(request.key, request.rangeEnd, next);
    for (const kv of gone)
      this.writes.push({ key: hex(kv.key), rev: next, value: null, lease: 0n });
    return create(DeleteRangeResponseSchema, {
      header: { revision: gone.length > 0 ? next : now },
      deleted: BigInt(gone.length),
      prevKvs: request.prevKv ? gone : [],
    });
  }

  /** Whether each transaction, in the order in which they are met, succeeds. */
  private path(request: TxnRequest): boolean[] {
    const succeeded = request.compare.every((compare) => this.holds(compare));
    const nested = (succeeded ? request.success : request.failure).flatMap(({ request: op }) =>
      op.case === 'requestTxn' ? this.path(op.value) : [],
    );
    return [succeeded, ...nested];
  }

  private holds(compare: Compare): boolean {
    const kvs = this.live(compare.key, compare.rangeEnd, this.revision);
    if (kvs.length === 0) {
      return compare.target !== 3 && this.matches(compare, create(KeyValueSchema));
    }
    return kvs.every((kv) => this.matches(compare, kv));
  }

  private matches({ target, result, targetUnion }: Compare, kv: KeyValue): boolean {
    const names = ['version', 'createRevision', 'modRevision', 'value', 'lease'] as const;
    const name = names[target] as (typeof names)[number];
    const given = targetUnion.case === name ? targetUnion.value : name === 'value' ? raw('') : 0n;
    const [a, b] = [kv[name], given].map((side) =>
      side instanceof Uint8Array ? hex(side) : (side ?? 0n),
    ) as [bigint, bigint];
    const relations = [a === b, a > b, a < b, a !== b];
    return relations[result] as boolean;
  }

  /** Every put of the path, then every range of it. */
  private checkPath(request: TxnRequest, path: boolean[]): void {
    this.checkOps(request, path.slice(), (op) => {
      if (op.case === 'requestPut') this.checkPut(op.value, false);
    });
    this.checkOps(request, path.slice(), (op) => {
      if (op.case !== 'requestRange' || op.value.revision === 0n) return;
      if (op.value.revision > this.revision) throw new Refused('FutureRev');
      if (op.value.revision < this.compacted) throw new Refused('Compacted');
    });
  }

  private checkOps(
    request: TxnRequest,
    path: boolean[],
    check: (op: RequestOp['request']) => void,
  ): void {
    for (const { request: op } of path.shift() ? request.success : request.failure) {
      if (op.case === 'requestTxn') this.checkOps(op.value, path, check);
      else check(op);
    }
  }

  private run(request: TxnRequest, path: boolean[], base: bigint, next: bigint): TxnResponse {
    const succeeded = path.shift() as boolean;
    const response = create(TxnResponseSchema, { header: {}, succeeded });
    for (const { request: op } of succeeded ? request.success : request.failure) {
      const now = this.writes.some(({ rev }) => rev === next) ? next : base;
      const reply = create(ResponseOpSchema);
      if (op.case === 'requestPut') {
        reply.response = { case: 'responsePut', value: this.runPut(op.value, next) };
      } else if (op.case === 'requestDeleteRange') {
        reply.response = {
          case: 'responseDeleteRange',
          value: this.runDelete(op.value, now, next),
        };
      } else if (op.case === 'requestRange') {
        reply.response = { case: 'responseRange', value: this.range(op.value, now) };
      } else if (op.case === 'requestTxn') {
        reply.response = { case: 'responseTxn', value: this.run(op.value, path, base, next) };
      }
      response.responses.push(reply);
    }
    return response;
  }

  /** Returns what the operations put and delete, or refuses. */
  private checkDuplicates(ops: readonly RequestOp[]): {
    puts: Set<string>;
    deletes: DeleteRangeRequest[];
  } {
    const puts = new Set<string>();
    const deletes = ops.flatMap(({ request: op }) =>
      op.case === 'requestDeleteRange' ? [op.value] : [],
    );
    const add = (key: string, allowed = new Set<string>()): void => {
      const deleted = deletes.some(
        ({ key: start, rangeEnd }) => hex(rangeEnd) !== '00' && inside(key, start, rangeEnd),
      );
      if (deleted || (puts.has(key) && !allowed.has(key))) throw new Refused('DuplicateKey');
      puts.add(key);
    };
    for (const { request: op } of ops) {
      if (op.case !== 'requestTxn') continue;
      const success = this.checkDuplicates(op.value.success);
      const failure = this.checkDuplicates(op.value.failure);
      for (const key of success.puts) add(key);
      for (const key of failure.puts) add(key, success.puts);
      deletes.push(...success.deletes, ...failure.deletes);
    }
    for (const { request: op } of ops) {
      if (op.case === 'requestPut') add(hex(op.value.key));
    }
    return { puts, deletes };
  }
}
