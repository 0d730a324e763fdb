/**
 * What grpc_server_* tell: the RPCs of /v3 that this isolate has served, by tenant. Numbers alone, and
 * bounded: a few hundred for each tenant, and of tenants as many as were asked for last.
 */
import { GrpcCode, nameOfCode } from '../../api/errors.ts';
import { type Rpc, rpcs } from '../../api/rpcs.ts';
import { codeOf } from '../etcd/errors.ts';
import { endOf } from '../http/stream-ends.ts';

/** As gRPC's own library for Go has them; seconds. */
export const durationBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

const tenantsMax = 256;

export interface RpcCounts {
  readonly rpc: Rpc;
  started: number;
  /** By the name of gRPC's code. */
  readonly handled: Map<string, number>;
  /** Of unary calls, by how long they took: one more number than `durationBounds`. */
  readonly durations: number[];
  seconds: number;
}

interface TenantCounts {
  /** By path: aliases of one RPC are joined when they are told. */
  readonly rpcs: Map<string, RpcCounts>;
  readonly health: { success: number; failure: number };
}

const tenants = new Map<string, TenantCounts>();

/** Instead of an answer with status 200 that is part of another one. */
export const answered = Symbol('answered');

/** Of a call that begins; null: this is no RPC of etcd's. To be called with its answer. */
export function countRpc(
  tenant: string,
  path: string,
): ((answer: Response | typeof answered) => void) | null {
  const rpc = rpcs.get(path);
  if (rpc === undefined) return null;
  const { rpcs: counted } = countsFor(tenant);
  let counts = counted.get(path);
  if (counts === undefined) {
    const durations = new Array<number>(durationBounds.length + 1).fill(0);
    counts = { rpc, started: 0, handled: new Map(), durations, seconds: 0 };
    counted.set(path, counts);
  }
  const own = counts;
  own.started += 1;
  const startedAt = Date.now();
  return (response) => {
    if (response === answered) return handled(own, 'OK', Date.now() - startedAt);
    const end = endOf(response);
    if (end === undefined) handled(own, nameOf(response), Date.now() - startedAt);
    else void end.then((how) => handled(own, how === 'gone' ? 'Canceled' : 'OK', null));
  };
}

export function countHealth(tenant: string, isHealthy: boolean): void {
  countsFor(tenant).health[isHealthy ? 'success' : 'failure'] += 1;
}

export function countsOf(tenant: string): TenantCounts {
  return tenants.get(tenant) ?? newCounts();
}

function countsFor(tenant: string): TenantCounts {
  const known = tenants.get(tenant);
  if (known !== undefined) return known;
  const [oldest] = tenants.keys();
  if (tenants.size >= tenantsMax && oldest !== undefined) tenants.delete(oldest);
  const counts = newCounts();
  tenants.set(tenant, counts);
  return counts;
}

function newCounts(): TenantCounts {
  return { rpcs: new Map(), health: { success: 0, failure: 0 } };
}

function handled(counts: RpcCounts, code: string, tookMs: number | null): void {
  counts.handled.set(code, (counts.handled.get(code) ?? 0) + 1);
  if (tookMs === null || counts.rpc.type !== 'unary') return;
  const seconds = tookMs / 1_000;
  const at = durationBounds.findIndex((bound) => seconds <= bound);
  const place = at < 0 ? durationBounds.length : at;
  counts.durations[place] = (counts.durations[place] ?? 0) + 1;
  counts.seconds += seconds;
}

function nameOf(response: Response): string {
  if (response.status < 400) return 'OK';
  return nameOfCode(codeOf(response) ?? GrpcCode.Unknown);
}
