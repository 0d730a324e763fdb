/**
 * POST /v1/txn as Hono handlers: the body is read within its bounds, then validated, then run.
 */
import { sValidator } from '@hono/standard-validator';
import type { Context, Hono, Next } from 'hono';
import { maxMessageBytes } from '../../api/limits.ts';
import type { RouterEnv } from '../env.ts';
import { BadJson, decodeText } from '../etcd/json-text.ts';
import { readBody } from '../http/body.ts';
import { type Call, startCall } from './call.ts';
import { Params } from './params.ts';
import { problem, Refusal } from './problems.ts';
import { refusable } from './routes.ts';
import { runTxn, txnParams } from './txn.ts';
import { txnSchema } from './txn-schema.ts';

/** Base64 in JSON makes a third more of the largest message. */
const bodyBytesMax = 2 * maxMessageBytes;

interface Env {
  Bindings: RouterEnv;
  Variables: { call: Call };
}

/** `admit` answers for those who may not come in; else it says the tenant. */
export function addTxnRoute(
  app: Hono<{ Bindings: RouterEnv }>,
  path: string,
  admit: (c: Context<Env>) => Response | { tenant: string },
): void {
  const prepare = async (c: Context<Env>, next: Next) => {
    const admitted = admit(c);
    if (admitted instanceof Response) return admitted;
    let ready = false;
    const refused = await refusable(async () => {
      const params = new Params(c.req.raw, txnParams);
      c.set('call', startCall(c.req.raw, c.env, admitted.tenant, params.timeoutMs()));
      // Hono's validator reads what is cached here instead of an unbounded body. (Hono caches
      // promises; its type says the value.)
      const text = await readText(c.get('call'));
      c.req.bodyCache.text = Promise.resolve(text) as unknown as string;
      ready = true;
      return new Response(null);
    });
    if (!ready) return refused;
    return next();
  };
  const validate = sValidator('json', txnSchema, (result) => {
    if (result.success) return;
    const [issue] = result.error;
    const at = issue?.path?.map((part) => (typeof part === 'object' ? part.key : part)).join('.');
    return problem('bad-request', `${at === undefined ? '' : `${at}: `}${issue?.message ?? ''}`);
  });
  (app as unknown as Hono<Env>).post(path, prepare, validate, (c) =>
    refusable(() => runTxn(c.get('call'), c.req.valid('json'))),
  );
}

async function readText(call: Call): Promise<string> {
  // Without this, the validator would take a body of another type for an empty transaction.
  const type = call.request.headers.get('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new Refusal('bad-request', 'the body must be sent as Content-Type: application/json');
  }
  const body = await readBody(call.request, bodyBytesMax, call.deadline);
  switch (body.kind) {
    case 'tooLarge':
      throw new Refusal('txn-too-large', `${body.size} bytes of JSON`);
    case 'late':
      throw new Refusal('request-timeout', 'the body did not come before the deadline');
    case 'broken':
      throw new Refusal('bad-request', 'the body ended too early');
    case 'bytes':
      try {
        return decodeText(body.bytes);
      } catch (error) {
        if (!(error instanceof BadJson)) throw error;
        throw new Refusal('bad-request', 'the body is not UTF-8');
      }
    default:
      return body satisfies never;
  }
}
