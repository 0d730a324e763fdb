/** Which request below /v1/locks and /v1/elections is whose. */
import type { KeepGoing, RouterEnv } from '../env.ts';
import { type Call, startCall } from './call.ts';
import { observe, proclaim } from './elections.ts';
import { lockName, look, release, renew, take } from './locks.ts';
import { Params } from './params.ts';
import { methodNotAllowed, problem } from './problems.ts';

type Serve = (call: Call, name: Uint8Array) => Response | Promise<Response>;
type Methods = Readonly<Record<string, Serve>>;

/** By what follows the name in the path; '' is the lock itself. */
const locks: Readonly<Record<string, Methods>> = {
  '': {
    GET: (call, name) => look(call, name, 'owner'),
    POST: (call, name) => take(call, name, 'owner'),
    DELETE: release,
  },
  renew: { POST: renew },
};
const elections: Readonly<Record<string, Methods>> = {
  '': { GET: (call, name) => look(call, name, 'value'), PUT: proclaim, DELETE: release },
  campaign: { POST: (call, name) => take(call, name, 'value') },
  renew: { POST: renew },
  observe: { GET: observe },
};

/** null: `path` is elsewhere. A slash in a name that could be taken for an action is written %2F. */
export function serveLocks(
  request: Request,
  env: RouterEnv,
  tenant: string,
  path: string,
  keepGoing: KeepGoing,
): Promise<Response> | null {
  const [, collection, rest = ''] = /^\/v1\/(locks|elections)\/(.*)$/s.exec(path) ?? [];
  if (collection === undefined) return null;
  const actions = collection === 'locks' ? locks : elections;
  const [, before = '', last = ''] = /^(.*)\/([^/]*)$/s.exec(rest) ?? [];
  const isAction = last !== '' && Object.hasOwn(actions, last);
  const methods = actions[isAction ? last : ''] ?? {};
  const served = serve(request, env, tenant, methods, isAction ? before : rest);
  // A lease that nobody waits with any more has to end.
  keepGoing(served.catch(() => {}));
  return served;
}

async function serve(
  request: Request,
  env: RouterEnv,
  tenant: string,
  methods: Methods,
  name: string,
): Promise<Response> {
  const chosen = methods[request.method === 'HEAD' ? 'GET' : request.method];
  if (chosen === undefined)
    return methodNotAllowed(request, [...Object.keys(methods), 'OPTIONS'].join(', '));
  if (name === '') return problem('not-found', 'name a lock or an election');
  const params = new Params(request, ['timeout']);
  return chosen(startCall(request, env, tenant, params.timeoutMs()), lockName(name));
}
