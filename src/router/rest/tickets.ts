/**
 * Tickets: what a browser's EventSource or WebSocket shows instead of the Authorization header that it cannot
 * send. `{expiry}.{nonce}.{MAC}`, MACed with the deployment's token over tenant and scope too, so that one is
 * good for nothing else. Whether it was used the state machine decides, as for any command that takes
 * effect once: a second use is another request with the same key.
 */
import { create } from '@bufbuild/protobuf';
import { base64Encode } from '@bufbuild/protobuf/wire';
import * as v from 'valibot';
import { TxnRequestSchema } from '../../api/gen/rpc_pb.js';
import { operator } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { decodeBase64 } from '../etcd/base64.ts';
import { planWrite } from '../etcd/methods.ts';
import { startDeadline } from '../http/deadline.ts';
import { rawQuery } from '../http/path.ts';
import { askGroup } from '../members/ask.ts';
import { readJson } from './body.ts';
import { type Call, json } from './call.ts';
import { hashOf } from './idempotency.ts';
import { problem, storeProblem } from './problems.ts';

/** Less than src/kv/once.ts remembers whatever comes (90 s). */
const ttlMaxSeconds = 60;
const form = /^(\d{1,12})\.([\w-]{22})\.([\w-]{43})$/;
const encoder = new TextEncoder();

const ticketBody = v.strictObject({
  scope: v.picklist(['watch']),
  ttl: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(ttlMaxSeconds)),
    ttlMaxSeconds,
  ),
});

/** Whoever shows a ticket is let in as with the secret itself, so no user's name may stand on the request for it. */
export async function issueTicket(call: Call): Promise<Response> {
  const { token, user } = call.credentials;
  if (token !== '' || user !== '')
    return problem('permission-denied', 'a ticket stands for API_TOKEN, not for a user');
  const { scope, ttl } = await readJson(call, ticketBody);
  const expiry = String(Math.floor(Date.now() / 1_000) + ttl);
  const nonce = base64Encode(crypto.getRandomValues(new Uint8Array(16)), 'url');
  const signed = encoder.encode(`${call.tenant}\n${scope}\n${expiry}\n${nonce}`);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', await keyOf(call.env), signed));
  const ticket = `${expiry}.${nonce}.${base64Encode(mac, 'url')}`;
  return json({ ticket, scope, expires_in: ttl }, { 'cache-control': 'no-store' }, 201);
}

/** The ticket in the query of a request that tickets are good for; null: it shows none. */
export function ticketOf({ method, url }: Request, path: string): string | null {
  if (method !== 'GET' || path !== '/v1/watch') return null;
  return /(?:^|&)ticket=([^&]*)/.exec(rawQuery(url))?.[1] ?? null;
}

/** Uses it up. Null: the request is let in; else why it is not. */
export async function useTicket(
  env: RouterEnv,
  tenant: string,
  ticket: string,
): Promise<Response | null> {
  const refused = (why: string) => problem('unauthenticated', `the ticket ${why}`);
  const [, expiry, nonce, mac] = form.exec(ticket) ?? [];
  const given = mac === undefined ? null : decodeBase64(mac);
  if (given === null) return refused('is none');
  const signed = encoder.encode(`${tenant}\nwatch\n${expiry}\n${nonce}`);
  const isOurs = await crypto.subtle.verify(
    'HMAC',
    await keyOf(env),
    given as Uint8Array<ArrayBuffer>,
    signed,
  );
  if (!isOurs) return refused('is not good for this');
  const nowMs = Date.now();
  if (nowMs >= Number(expiry) * 1_000) return refused('has expired');
  const once = {
    keyHash: await hashOf(encoder.encode(`ticket ${nonce}`)),
    requestHash: crypto.getRandomValues(new Uint8Array(16)),
    timeMs: nowMs,
  };
  const plan = planWrite({ case: 'txn', value: create(TxnRequestSchema) }, () => null, once);
  if (!('op' in plan)) throw new Error('a transaction without operations is well formed');
  const answer = await askGroup({
    ...{ env, tenant, kind: plan.kind, op: plan.op, credentials: operator, repeatable: true },
    deadline: startDeadline(null, nowMs),
  });
  if (answer.ok) return null;
  if (answer.error === 'IdempotencyMismatch') return refused('has been used');
  return storeProblem(answer.error, answer.outcomeUnknown, answer.detail);
}

/** Without a token there is nothing that a ticket could stand for: nobody is let in by one. */
function keyOf({ API_TOKEN }: RouterEnv): Promise<CryptoKey> {
  const secret = API_TOKEN || crypto.randomUUID();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = encoder.encode(`quorate ticket ${secret}`);
  return crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign', 'verify']);
}
