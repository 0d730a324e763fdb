/**
 * /v1: which request is whose, and how a fault in a request becomes a problem document.
 */

import type { KeepGoing, RouterEnv } from '../env.ts';
import { parseJson, readText } from './body.ts';
import { type Call, startCall } from './call.ts';
import { compact } from './compact.ts';
import { deleteRange, deleteRangeParams } from './delete-range.ts';
import { onceMark } from './idempotency.ts';
import { keyFromPath, keyFromQuery } from './key.ts';
import { createLease, keepLease, leaseRoute, readLease, revokeLease } from './leases.ts';
import { list, listParams } from './list.ts';
import { serveLocks } from './lock-routes.ts';
import { memberParams, memberTimeoutMs, moveLeader, putMembers, recoverGroup } from './members.ts';
import { Params } from './params.ts';
import { methodNotAllowed, problem, Refusal } from './problems.ts';
import { readKey, readKeyParams } from './read-key.ts';
import { members, status, usage } from './report.ts';
import { restoreParams, restoreTenant, takeSnapshot } from './snapshot.ts';
import { issueTicket } from './tickets.ts';
import { runTxn, txnParams } from './txn.ts';
import { txnSchema } from './txn-schema.ts';
import { serveWatch } from './watch.ts';
import { deleteKey, putKey, writeParamsOf } from './write-key.ts';

const keyMethods = 'GET, HEAD, PUT, DELETE, OPTIONS';

/** `path` is the raw path from /v1 on. */
export async function serveRest(
  request: Request,
  env: RouterEnv,
  tenant: string,
  path: string,
  keepGoing: KeepGoing,
): Promise<Response> {
  return refusable(() => {
    const locks = serveLocks(request, env, tenant, path, keepGoing);
    if (locks !== null) return locks;
    if (path.startsWith('/v1/kv/')) return serveKey(request, env, tenant, path);
    if (path.startsWith('/v1/leases/')) return serveLease(request, env, tenant, path);
    switch (path) {
      case '/v1/kv':
        return serveKey(request, env, tenant, null);
      case '/v1/status':
        return serveReport(request, env, tenant, status);
      case '/v1/usage':
        return serveReport(request, env, tenant, usage);
      case '/v1/members':
        return request.method === 'PUT'
          ? serveAdmin(request, env, tenant, 'PUT', putMembers)
          : serveReport(request, env, tenant, members, 'GET, HEAD, PUT, OPTIONS');
      case '/v1/compact':
        return servePost(request, env, tenant, compact);
      case '/v1/leases':
        return servePost(request, env, tenant, createLease, ['idempotency-key']);
      case '/v1/tickets':
        return servePost(request, env, tenant, issueTicket);
      case '/v1/leader':
        return serveAdmin(request, env, tenant, 'POST', moveLeader);
      case '/v1/recover':
        return serveAdmin(request, env, tenant, 'POST', recoverGroup);
      case '/v1/snapshot':
        return serveSnapshot(request, env, tenant, keepGoing);
      case '/v1/restore':
        return serveRestore(request, env, tenant, keepGoing);
      case '/v1/watch':
        if (request.method !== 'GET') return methodNotAllowed(request, 'GET, OPTIONS');
        return serveWatch(request, env, tenant);
      case '/v1/txn':
        return serveTxn(request, env, tenant);
      default:
        return problem('not-found', `nothing is at ${path.slice(0, 200)}`);
    }
  });
}

/** Runs `serve`; what it refuses becomes the answer. */
async function refusable(serve: () => Response | Promise<Response>): Promise<Response> {
  try {
    return await serve();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return problem(error.code, error.message, { extras: error.extras });
  }
}

/** One key, named by the path or by `key64`; or, with neither, the collection. */
function serveKey(
  request: Request,
  env: RouterEnv,
  tenant: string,
  path: string | null,
): Response | Promise<Response> {
  const write = request.method === 'PUT' || request.method === 'DELETE';
  if (!write && request.method !== 'GET' && request.method !== 'HEAD') {
    return methodNotAllowed(request, keyMethods);
  }
  // `key64` names a key on the collection only, where a list would be read otherwise.
  const known: readonly string[] = write ? writeParamsOf(request) : readKeyParams;
  const collection = path === null && request.method !== 'PUT' && !namesKey(request);
  const ofMany = write ? deleteRangeParams : listParams;
  const ofWrites = ['idempotency-key', 'kv-fence'] as const;
  const headers = write ? ofWrites : (['kv-min-revision'] as const);
  const params = new Params(request, collection ? ofMany : known, headers);
  const call = startCall(request, env, tenant, params.timeoutMs());
  if (collection) return write ? deleteRange(call, params) : list(call, params);
  if (path !== null && params.has('key64')) {
    throw new Refusal('bad-request', 'the key is named twice: in the path and by key64');
  }
  const key = path === null ? keyFromQuery(params) : keyFromPath(path);
  if (key === null) {
    throw new Refusal('range-required', 'name one key: in the path, or by key64=');
  }
  switch (request.method) {
    case 'PUT':
      return putKey(call, key, params);
    case 'DELETE':
      return deleteKey(call, key, params);
    default:
      return readKey(call, key, params);
  }
}

async function serveLease(
  request: Request,
  env: RouterEnv,
  tenant: string,
  path: string,
): Promise<Response> {
  const route = leaseRoute(path);
  if (route === null) return problem('not-found', `nothing is at ${path.slice(0, 200)}`);
  const { id, rest } = route;
  if (rest !== '') return servePost(request, env, tenant, (call) => keepLease(call, id));
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (!isRead && request.method !== 'DELETE')
    return methodNotAllowed(request, 'GET, HEAD, DELETE, OPTIONS');
  const params = new Params(request, isRead ? ['keys', 'timeout'] : ['timeout']);
  const call = startCall(request, env, tenant, params.timeoutMs());
  return isRead ? readLease(call, id, params.flag('keys')) : revokeLease(call, id);
}

async function serveTxn(request: Request, env: RouterEnv, tenant: string): Promise<Response> {
  if (request.method !== 'POST') return methodNotAllowed(request, 'POST, OPTIONS');
  const params = new Params(request, txnParams, ['idempotency-key', 'kv-fence']);
  const call = startCall(request, env, tenant, params.timeoutMs());
  const text = await readText(call);
  return runTxn(call, parseJson(text, txnSchema), await onceMark(call, text));
}

async function servePost(
  request: Request,
  env: RouterEnv,
  tenant: string,
  serve: (call: Call) => Promise<Response>,
  headers: readonly 'idempotency-key'[] = [],
): Promise<Response> {
  if (request.method !== 'POST') return methodNotAllowed(request, 'POST, OPTIONS');
  const params = new Params(request, ['timeout'], headers);
  return serve(startCall(request, env, tenant, params.timeoutMs()));
}

function serveAdmin(
  request: Request,
  env: RouterEnv,
  tenant: string,
  method: 'PUT' | 'POST',
  serve: (call: Call) => Promise<Response>,
): Response | Promise<Response> {
  if (request.method !== method) return methodNotAllowed(request, `${method}, OPTIONS`);
  const params = new Params(request, memberParams);
  return serve(startCall(request, env, tenant, params.timeoutMs() ?? memberTimeoutMs));
}

function serveSnapshot(
  request: Request,
  env: RouterEnv,
  tenant: string,
  keepGoing: KeepGoing,
): Response | Promise<Response> {
  if (request.method !== 'GET') return methodNotAllowed(request, 'GET, OPTIONS');
  const params = new Params(request, ['timeout']);
  return takeSnapshot(startCall(request, env, tenant, params.timeoutMs()), keepGoing);
}

function serveRestore(
  request: Request,
  env: RouterEnv,
  tenant: string,
  keepGoing: KeepGoing,
): Response | Promise<Response> {
  if (request.method !== 'POST') return methodNotAllowed(request, 'POST, OPTIONS');
  const params = new Params(request, restoreParams);
  return restoreTenant(startCall(request, env, tenant, null), params, keepGoing);
}

function namesKey(request: Request): boolean {
  return /[?&]key64=/.test(request.url);
}

async function serveReport(
  request: Request,
  env: RouterEnv,
  tenant: string,
  serve: (call: Call) => Promise<Response>,
  allow = 'GET, HEAD, OPTIONS',
): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return methodNotAllowed(request, allow);
  }
  new Params(request, []);
  return serve(startCall(request, env, tenant, null));
}
