/**
 * Every RPC of etcd v3, and where the service offers it. The bridge knows no messages: they go through as
 * bytes (docs/decisions/bridge.md), but for those of keep-alives, of which several share a request.
 */
import { type Rpc as EtcdRpc, rpcs as etcdRpcs } from '../api/rpcs.ts';

/** How its messages travel. */
export type Shape = 'unary' | 'keepAlive' | 'watch' | 'serverStream';

export interface Rpc extends EtcdRpc {
  /** `/{package}.{service}/{method}`. */
  readonly name: string;
  /** Below /v3/. */
  readonly path: string;
  readonly shape: Shape;
}

const streams: Readonly<Record<string, Shape>> = {
  bidi_stream: 'keepAlive',
  server_stream: 'serverStream',
  unary: 'unary',
};

/** By name: of those that have two paths the first counts. */
const byName = new Map<string, Rpc>();
for (const [path, rpc] of etcdRpcs) {
  const name = `/${rpc.service}/${rpc.method}`;
  const shape = path === 'watch' ? 'watch' : streams[rpc.type];
  if (shape && !byName.has(name)) byName.set(name, { ...rpc, name, path, shape });
}

export const rpcs: readonly Rpc[] = [...byName.values()];
