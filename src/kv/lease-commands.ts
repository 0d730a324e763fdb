/**
 * The commands of leases, as etcd's lessor has them. Ending a lease deletes its keys in one revision, in
 * the order of their bytes. One with more keys than its entry may still change ends in steps: from
 * the first one on it exists for nobody, and its expiry is to be proposed until no key is left.
 */
import { create } from '@bufbuild/protobuf';
import type { LeaseExpire } from '../api/gen/command_pb.js';
import {
  type LeaseGrantRequest,
  type LeaseGrantResponse,
  LeaseGrantResponseSchema,
  type LeaseRevokeRequest,
  type LeaseRevokeResponse,
  LeaseRevokeResponseSchema,
} from '../api/gen/rpc_pb.js';
import { attachedKeys, forgetKeys } from './attachments.ts';
import type { Lease } from './leases.ts';
import { header, ReplyBudget } from './reply.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { Change, type EntryBudget } from './write.ts';

/** Seconds; etcd's, which is one and a half election timeouts at its defaults. */
const minTtl = 2n;
const maxTtl = 9_000_000_000n;

/** `left`: the lease has begun to end, and keys of it are left for the next such entry. */
export interface LeaseExpired {
  readonly left: boolean;
}

/** `index`: of the log entry, here and below. */
export function grantLease(
  store: Store,
  request: LeaseGrantRequest,
  index: number,
): Outcome<LeaseGrantResponse> {
  const { ID: id, TTL: asked } = request;
  if (id === 0n) return failure('LeaseNotFound');
  if (asked > maxTtl) return failure('LeaseTTLTooLarge');
  // One that is ending still has its id: nobody could tell its keys from those of another.
  if (store.leases.find(id)) return failure('LeaseExist');
  const ttl = asked < minTtl ? minTtl : asked;
  store.leases.grant({ id, ttl: Number(ttl), grant: index });
  const response = create(LeaseGrantResponseSchema, {
    header: header(store.progress.revision),
    ID: id,
    TTL: ttl,
  });
  return { ok: true, response };
}

export function revokeLease(
  store: Store,
  { ID: id }: LeaseRevokeRequest,
  entry: EntryBudget,
  index: number,
): Outcome<LeaseRevokeResponse> {
  const lease = store.leases.find(id);
  if (!lease || lease.ttl === 0) return failure('LeaseNotFound');
  endLease(store, lease, entry, index);
  const response = create(LeaseRevokeResponseSchema, { header: header(store.progress.revision) });
  return { ok: true, response };
}

/** Does nothing to another grant of that id (consensus-rules.md 6). */
export function expireLease(
  store: Store,
  { id, grant }: LeaseExpire,
  entry: EntryBudget,
  index: number,
): Outcome<LeaseExpired> {
  const lease = store.leases.find(id);
  if (!lease || BigInt(lease.grant) !== grant) return { ok: true, response: { left: false } };
  return { ok: true, response: { left: endLease(store, lease, entry, index) } };
}

/** Deletes as many of its keys as the entry still may; true: some are left. */
function endLease(store: Store, lease: Lease, entry: EntryBudget, index: number): boolean {
  const { sql, leases, progress } = store;
  const id = lease.id.toString();
  const change = new Change(store, entry, new ReplyBudget(0), false);
  let last: Uint8Array | null = null;
  let left = false;
  for (const page of attachedKeys(sql, id)) {
    const keys = page.slice(0, entry.changesLeft);
    left = keys.length < page.length;
    change.deleteKeys(keys);
    last = keys[keys.length - 1] ?? last;
    if (left) break;
  }
  progress.revision = change.revision;
  if (!left) {
    forgetKeys(sql, id, null);
    leases.end(lease, index);
  } else {
    if (last) forgetKeys(sql, id, last);
    leases.beginEnd(lease, index);
  }
  return left;
}
