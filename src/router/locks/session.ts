/**
 * A lease for who brings none: etcd's server makes a session of 60 s then. It is kept alive while the call
 * waits, so that a long wait does not end it, and from the answer on the client has its whole time.
 */
import { create } from '@bufbuild/protobuf';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { timerMaxMs } from '../../api/limits.ts';
import { randomLeaseId } from '../etcd/lease-id.ts';
import { planGrant, planWrite } from '../etcd/methods.ts';
import { ask, type Caller } from './caller.ts';
import { ignoreUnanswered, keepAlive } from './queue.ts';

const sessionSeconds = 60;

/** What `use` gives with the lease, or with a new one if that is 0; what fails leaves none behind. */
export async function withSession<T>(
  caller: Caller,
  lease: bigint,
  use: (lease: bigint) => Promise<T>,
): Promise<T> {
  return lease === 0n ? withOwnLease(caller, sessionSeconds, use) : use(lease);
}

export async function withOwnLease<T>(
  caller: Caller,
  seconds: number,
  use: (lease: bigint, ttl: number) => Promise<T>,
): Promise<T> {
  const ID = randomLeaseId();
  const grant = planGrant(create(LeaseGrantRequestSchema, { ID, TTL: BigInt(seconds) }));
  const { TTL } = await ask(caller, grant, LeaseGrantResponseSchema);
  const beat = () => void keepAlive(caller, ID).catch(() => {});
  const timer = setInterval(beat, Math.min((Number(TTL) * 1_000) / 3, timerMaxMs));
  try {
    return await use(ID, Number(TTL));
  } catch (error) {
    // It may hold a key that nobody knows of.
    const revoke = {
      case: 'leaseRevoke',
      value: create(LeaseRevokeRequestSchema, { ID }),
    } as const;
    const plan = planWrite(revoke, () => null);
    await ask(caller, plan, LeaseRevokeResponseSchema).catch(ignoreUnanswered);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
