/**
 * /metrics and /health over HTTP/1.1: at an address of their own, and as with etcd at those of gRPC, where whoever
 * asks for anything else is told that this is not the service.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CannotListen, splitAddress } from './address.ts';
import type { Metrics } from './metrics.ts';
import type { Upstream } from './upstream.ts';

const notHere =
  'quorate-grpc: this port speaks gRPC, over HTTP/2. The service itself answers HTTP/1.1, at its own address.\n';

/** Resolves to the server when it listens. Throws CannotListen. */
export function servePages(address: string, metrics: Metrics, upstream: Upstream): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request.url ?? '', response, metrics, upstream, [404, '404 page not found\n']);
  });
  return new Promise((resolve, reject) => {
    server.once('error', ({ message }) => reject(new CannotListen(address, message)));
    server.listen(splitAddress(address), () => resolve(server));
  });
}

/** For connections that others have accepted: one request each. */
export function pagesOnGrpc(metrics: Metrics, upstream: Upstream): (socket: Socket) => void {
  const server = createServer((request, response) => {
    response.setHeader('connection', 'close');
    void answer(request.url ?? '', response, metrics, upstream, [505, notHere]);
  });
  return (socket) => server.emit('connection', socket);
}

async function answer(
  url: string,
  response: ServerResponse,
  { registry }: Metrics,
  upstream: Upstream,
  [otherStatus, otherwise]: readonly [number, string],
): Promise<void> {
  const send = (status: number, type: string, body: string) =>
    response.writeHead(status, { 'content-type': type }).end(body);
  switch (url.split('?', 1)[0]) {
    case '/metrics':
      send(200, registry.contentType, await registry.metrics());
      return;
    case '/health': {
      const isThere = await upstream.isThere();
      const reason = isThere ? '' : 'the target does not answer as a Quorate service';
      const body = JSON.stringify({ health: String(isThere), reason });
      send(isThere ? 200 : 503, 'application/json', body);
      return;
    }
    default:
      send(otherStatus, 'text/plain; charset=utf-8', otherwise);
  }
}
