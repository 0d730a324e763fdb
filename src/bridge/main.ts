/** `npm run bridge`, `quorate-grpc`: see options.ts. Ends on SIGTERM and SIGINT when calls under way have ended. */
import type { AddressInfo } from 'node:net';
import { ServerCredentials } from '@grpc/grpc-js';
import { CannotListen } from './address.ts';
import { Connections } from './connections.ts';
import { Intake, intakeLimits } from './intake.ts';
import { Metrics } from './metrics.ts';
import { BadOptions, type Options, readOptions, usage } from './options.ts';
import { pagesOnGrpc, servePages } from './pages.ts';
import { createServer } from './server.ts';
import { watchSessions } from './sessions.ts';
import { Streams } from './streams.ts';
import { Upstream } from './upstream.ts';

/** Calls that take longer are cut off. */
const graceMs = 5_000;

async function run(options: Options): Promise<void> {
  const upstream = new Upstream(options.target);
  const streams = new Streams();
  const metrics = new Metrics(() => connections.count);
  const server = createServer(upstream, streams, metrics, options.keepAlive);
  // Whatever is injected has been through TLS.
  const { injectConnection } = server.createConnectionInjector(ServerCredentials.createInsecure());
  watchSessions(server, new Intake(intakeLimits), options.keepAlive.minTimeMs, metrics.refused);
  const http1 = pagesOnGrpc(metrics, upstream);
  const handlers = { http2: injectConnection, http1, refused: metrics.refused };
  const connections = new Connections(handlers, options.tls, options.maxConnections);
  const scheme = options.tls === null ? 'http' : 'https';
  for (const address of options.listen) {
    const port = await connections.listen(address);
    const host = address.slice(0, address.lastIndexOf(':'));
    console.log(`quorate-grpc is listening on ${scheme}://${host}:${port}`);
  }
  if (options.metrics !== null) {
    const pages = await servePages(options.metrics, metrics, upstream);
    pages.unref();
    const { port } = pages.address() as AddressInfo;
    console.log(`quorate-grpc serves /metrics and /health on port ${port}`);
  }
  const stop = () => {
    connections.close();
    streams.stop();
    const force = setTimeout(() => connections.destroy(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      void upstream.close().then(() => process.exit(0));
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') console.log(usage);
  else await run(options);
} catch (error) {
  console.error(wordsOf(error));
  process.exit(1);
}

function wordsOf(error: unknown): unknown {
  if (error instanceof BadOptions) return `${error.message}\n\n${usage}`;
  return error instanceof CannotListen ? `quorate-grpc: ${error.message}` : error;
}
