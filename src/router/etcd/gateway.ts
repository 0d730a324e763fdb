/**
 * /v3: etcd's gRPC gateway. JSON in (or protobuf, form.ts), protobuf to the group, JSON out; bodies, codes, texts and
 * headers as recorded from etcd 3.5.30.
 */
import { GrpcCode } from '../../api/errors.ts';
import { maxMessageBytes } from '../../api/limits.ts';
import { credentialsOf } from '../auth/credentials.ts';
import type { KeepGoing, RouterEnv } from '../env.ts';
import { type Deadline, isOver, startDeadline } from '../http/deadline.ts';
import type { Served } from '../members/answer.ts';
import { askGroup } from '../members/ask.ts';
import { type MemberOp, nameOf } from '../members/call.ts';
import { hasLeader } from '../members/leader.ts';
import { type Via, vias } from '../members/nearest.ts';
import { answered, countRpc } from '../metrics/rpc-counts.ts';
import { authMethods } from './auth-methods.ts';
import { addUser, authenticate, changePassword } from './auth-service.ts';
import { BadMessage } from './bad-message.ts';
import { batchPath, serveBatch } from './batch.ts';
import { serveCallSocket } from './call-socket.ts';
import { clusterServices } from './cluster.ts';
import { campaign, leader, observe, proclaim, resign } from './election.ts';
import { gatewayError, messageTooLarge, namedError, namedErrorOfAuth } from './errors.ts';
import type { Sent } from './form.ts';
import { keepAlive } from './lease-keep-alive.ts';
import { lock, unlock } from './lock.ts';
import { maintenanceMethods } from './maintenance-methods.ts';
import { type Method, methods, type Plan } from './methods.ts';
import { deadlineOf, type GatewayCall, passOn, readSent, requiresLeader } from './request.ts';
import { snapshot } from './snapshot.ts';
import { serveWatch } from './watch.ts';

/** Calls that are more than one question to the group. */
const services: ReadonlyMap<string, (call: GatewayCall) => Promise<Response>> = new Map([
  ['auth/authenticate', authenticate],
  ['auth/user/add', addUser],
  ['auth/user/changepw', changePassword],
  ...clusterServices,
  ['lease/keepalive', keepAlive],
  ['maintenance/snapshot', snapshot],
  ['lock/lock', lock],
  ['lock/unlock', unlock],
  ['election/campaign', campaign],
  ['election/proclaim', proclaim],
  ['election/resign', resign],
  ['election/leader', leader],
  ['election/observe', observe],
]);

const ofOneQuestion: ReadonlyMap<string, Method> = new Map([
  ...methods,
  ...authMethods,
  ...maintenanceMethods,
]);

/** `rpc` is the path after /v3/. */
export async function serveGateway(
  request: Request,
  env: RouterEnv,
  tenant: string,
  rpc: string,
  keepGoing: KeepGoing,
): Promise<Response> {
  if (!isOffered(rpc)) return gatewayError(GrpcCode.NotFound, 'Not Found');
  const isSocket = request.headers.get('upgrade')?.toLowerCase() === 'websocket';
  if (request.method !== 'POST' && !isSocket)
    return gatewayError(GrpcCode.Unimplemented, 'Method Not Allowed');
  const counted = async (serve: () => Promise<Response>) => {
    const end = countRpc(tenant, rpc);
    const response = await serve();
    end?.(response);
    return response;
  };
  if (rpc === batchPath) return serveMany(request, { env, tenant, keepGoing });
  if (rpc === 'watch') return counted(() => serveWatch(request, env, tenant));
  const from = { env, tenant, keepGoing };
  if (!isSocket) return counted(() => serveBody(rpc, request, from));
  return serveCallSocket(request, rpc === 'lease/keepalive', (sent, asking) =>
    counted(async () => serveSent(rpc, asking, sent, from)),
  );
}

/** The paths after /v3/ that are served. */
export const gatewayPaths: readonly string[] = [
  'watch',
  ...ofOneQuestion.keys(),
  ...services.keys(),
];

/** Whether there is such a path after /v3/. */
export function isOffered(rpc: string): boolean {
  return rpc === batchPath || rpc === 'watch' || ofOneQuestion.has(rpc) || services.has(rpc);
}

type From = Pick<GatewayCall, 'env' | 'tenant' | 'keepGoing'>;

async function serveBody(rpc: string, request: Request, from: From): Promise<Response> {
  const deadline = deadlineOf(request, ofOneQuestion.get(rpc)?.isLong);
  if (deadline instanceof Response) return deadline;
  const sent = await readSent(request, deadline);
  return sent instanceof Response ? sent : dispatch(rpc, request, sent, deadline, from);
}

async function serveSent(rpc: string, request: Request, sent: Sent, from: From): Promise<Response> {
  const deadline = deadlineOf(request, ofOneQuestion.get(rpc)?.isLong);
  return deadline instanceof Response ? deadline : dispatch(rpc, request, sent, deadline, from);
}

async function serveMany(request: Request, from: From): Promise<Response> {
  const deadline = startDeadline(null, Date.now());
  const sent = await readSent(request, deadline);
  if (sent instanceof Response) return sent;
  const credentials = credentialsOf(request, from.env);
  return serveBatch({ ...from, request, credentials, sent, deadline }, serveOfMany);
}

async function serveOfMany(rpc: string, call: GatewayCall): Promise<Uint8Array | Response> {
  const method = ofOneQuestion.get(rpc);
  if (method === undefined || method.isLong)
    return gatewayError(GrpcCode.Unimplemented, `quorate: ${rpc} is no call for a batch`);
  const end = countRpc(call.tenant, rpc);
  const answer = await ask(method, call, null);
  end?.(answer instanceof Response ? answer : answered);
  return answer instanceof Response ? answer : answer.response;
}

function dispatch(
  rpc: string,
  request: Request,
  sent: Sent,
  deadline: Deadline,
  { env, tenant, keepGoing }: From,
): Promise<Response> {
  const credentials = credentialsOf(request, env);
  const asked = { request, env, tenant, credentials, sent, deadline, keepGoing };
  const service = services.get(rpc);
  return service === undefined ? call(ofOneQuestion.get(rpc) as Method, asked) : service(asked);
}

async function call(method: Method, asking: GatewayCall): Promise<Response> {
  const via = viaOf(asking.request);
  if (via instanceof Response) return via;
  const answer = await ask(method, asking, via);
  if (answer instanceof Response) return answer;
  const response = passOn(asking, method.response, answer.response);
  if (via !== null && answer.servedBy)
    response.headers.set('kv-served-by', nameOf(answer.servedBy));
  return response;
}

/** Below the time that clients give a status: etcdctl 5 s. */
const lookForLeaderMs = 1_000;

/** A Response is the refusal. */
async function ask(
  method: Method,
  asking: GatewayCall,
  via: Via | number | null,
): Promise<Served | Response> {
  const { request, env, tenant, credentials, sent, deadline, courier } = asking;
  let plan: Plan;
  try {
    plan = method.plan(sent);
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error;
    return gatewayError(GrpcCode.InvalidArgument, error.message);
  }
  if (isOver(deadline)) return namedError('DeadlineExceeded');
  if (plan.kind === 'oversized') return messageTooLarge(plan.size, maxMessageBytes);
  if (plan.kind === 'refused') return namedError(plan.error);
  const { kind, op } = plan;
  // What asks the leader finds out by itself.
  const mayMissIt = kind === 'serializable' && requiresLeader(request);
  if (mayMissIt && !(await hasLeader(env, tenant))) return namedError('NoLeader');
  const asked = { env, tenant, credentials, kind, op, deadline, ...(courier && { courier }) };
  const mayFollow = via !== null && isOfOneMember(plan);
  let answer = await askGroup(mayFollow ? { ...asked, via } : asked);
  // Leadership has moved since anybody here heard of it, which a client takes for a group without a leader: it asks each
  // address that it has for its status, and may have one. Without a quorum the member's own answer has to do.
  const isOther = method.isForLeader && answer.ok && answer.servedBy?.role !== 'leader';
  if (isOther && via === null && (await hasLeader(env, tenant, lookForLeaderMs)))
    answer = await askGroup(asked);
  if (!answer.ok) return (method.wordsOfAuth ? namedErrorOfAuth : namedError)(answer.error);
  return answer;
}

/** A read of keys; or what a member tells of itself. */
function isOfOneMember({ kind, op }: Pick<Plan & { op: MemberOp }, 'kind' | 'op'>): boolean {
  if (op.case === 'maintenance') return kind === 'serializable';
  return op.case === 'range' || op.case === 'readTxn';
}

/**
 * `KV-Via`, which is not etcd's: there a client chooses the member that it connects to. Null: not given,
 * and then the answer has no header that etcd's has not.
 */
function viaOf(request: Request): Via | number | null | Response {
  const text = request.headers.get('kv-via');
  if (text === null) return null;
  const [, place] = /^place=([1-9]\d{0,2})$/.exec(text) ?? [];
  if (place !== undefined) return Number(place);
  const refusal = `KV-Via must be one of ${vias.join(', ')}, or place=1 and so on`;
  return vias.find((one) => one === text) ?? gatewayError(GrpcCode.InvalidArgument, refusal);
}
