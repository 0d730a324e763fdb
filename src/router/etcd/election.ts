/** /v3/election: etcd's Election service. What blocks waits in the Worker, on a watch. */
import type { EtcdErrorName } from '../../api/errors.ts';
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import {
  CampaignRequestSchema,
  CampaignResponseSchema,
  type LeaderKey,
  LeaderRequestSchema,
  LeaderResponseSchema,
  ProclaimRequestSchema,
  ProclaimResponseSchema,
  ResignRequestSchema,
  ResignResponseSchema,
} from '../../api/gen/v3election_pb.js';
import { streamLines } from '../http/lines.ts';
import { type Caller, Unanswered, WaitOver, waiting } from '../locks/caller.ts';
import { type Prefix, prefixOf } from '../locks/keys.ts';
import { observe as leaderships } from '../locks/observe.ts';
import { acquire, holderOf, leave, type Place, replaceValue } from '../locks/queue.ts';
import { withSession } from '../locks/session.ts';
import { ServiceError, service } from './lock-service.ts';
import { answer, type GatewayCall } from './request.ts';

const notLeader = 'election: not leader';

export const campaign = service(
  CampaignRequestSchema,
  async (caller, { name, lease: brought, value }, call) => {
    const { key, createRevision, lease, entered } = await withSession(caller, brought, (own) =>
      acquire(caller, { prefix: prefixOf(name), lease: own, value }, (place, kv) =>
        putRight(caller, place, kv, value),
      ),
    );
    const leader = { name, key, rev: createRevision, lease };
    // Of when it came to the election, however long it waited, as etcd has it.
    return answer(call, CampaignResponseSchema, { header: entered, leader });
  },
);

/** Who campaigns again with its lease may do so with another value. */
async function putRight(
  caller: Caller,
  place: Place,
  kv: KeyValue,
  value: Uint8Array,
): Promise<void> {
  if (equal(kv.value, value)) return;
  if ((await replaceValue(caller, place, value)) === null) throw new ServiceError(notLeader);
}

export const proclaim = service(ProclaimRequestSchema, async (caller, { leader, value }, call) => {
  const { key, rev, lease: brought } = given(leader);
  const header = await withSession(caller, brought, async (lease) => {
    const done = await replaceValue(caller, { key, createRevision: rev, lease }, value);
    if (done === null) throw new ServiceError(notLeader);
    return done;
  });
  return answer(call, ProclaimResponseSchema, { header });
});

export const resign = service(ResignRequestSchema, async (caller, { leader }, call) => {
  const { key, rev } = given(leader);
  const { header } = await leave(caller, { key, createRevision: rev });
  return answer(call, ResignResponseSchema, { header });
});

function given(leader: LeaderKey | undefined): LeaderKey {
  if (leader === undefined) throw new ServiceError('"leader" field must be provided');
  return leader;
}

export const leader = service(LeaderRequestSchema, async (caller, { name }, call) => {
  const { kv, header } = await holderOf(caller, prefixOf(name));
  if (kv === null) throw new ServiceError('election: no leader');
  return answer(call, LeaderResponseSchema, { header, kv });
});

/** Begins with the first leader, as a stream of etcd's gateway does with its first message. */
export const observe = service(
  LeaderRequestSchema,
  (caller, { name }, call) =>
    new Promise((begin, refuse) => {
      tell(caller, prefixOf(name), call, begin).catch(refuse);
    }),
);

/** A client that has gone is noticed only when something is told it, so it may have to ask again. */
const nothingToldMs = 600_000;

function tell(
  caller: Caller,
  prefix: Prefix,
  { request, sent: { form } }: GatewayCall,
  begin: (response: Response) => void,
): Promise<void> {
  return waiting(caller, async (session, over) => {
    const lines = streamLines(request, form.headers, () => session.close());
    let hasBegun = false;
    let isQuiet = false;
    const startQuiet = () =>
      setTimeout(() => {
        isQuiet = true;
        session.close();
      }, nothingToldMs);
    let quiet = startQuiet();
    try {
      for await (const told of leaderships(caller, prefix, session)) {
        if (!hasBegun) begin(lines.response);
        hasBegun = true;
        if (!(await lines.write(form.part(LeaderResponseSchema, told)))) return;
        clearTimeout(quiet);
        quiet = startQuiet();
      }
      throw isQuiet ? new Unanswered('Timeout', false, '') : over();
    } catch (error) {
      if (!hasBegun) throw error;
      await lines.write(form.lastPart(nameOf(error)));
    } finally {
      clearTimeout(quiet);
      lines.close();
    }
  });
}

function nameOf(error: unknown): EtcdErrorName {
  if (error instanceof Unanswered) return error.error;
  if (error instanceof WaitOver) return 'DeadlineExceeded';
  throw error;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
