/** `npm run bridge`, `quorate-grpc`: see options.ts. Ends on SIGTERM and SIGINT when calls under way have ended. */
import type { AddressInfo } from 'node:net';
import { Metrics, serveMetrics } from './metrics.ts';
import { BadOptions, type Options, readOptions, usage } from './options.ts';
import { createServer, credentialsOf, listen } from './server.ts';
import { Streams } from './streams.ts';
import { Upstream } from './upstream.ts';

/** Calls that take longer are cut off. */
const graceMs = 5_000;

async function run(options: Options): Promise<void> {
  const upstream = new Upstream(options.target);
  const streams = new Streams();
  const metrics = new Metrics();
  const server = createServer(upstream, streams, metrics);
  const credentials = credentialsOf(options.tls);
  const scheme = options.tls === null ? 'http' : 'https';
  for (const address of options.listen) {
    const port = await listen(server, address, credentials);
    const host = address.slice(0, address.lastIndexOf(':'));
    console.log(`quorate-grpc is listening on ${scheme}://${host}:${port}`);
  }
  if (options.metrics !== null) {
    const pages = await serveMetrics(options.metrics, metrics, upstream);
    pages.unref();
    const { port } = pages.address() as AddressInfo;
    console.log(`quorate-grpc serves /metrics and /health on port ${port}`);
  }
  const stop = () => {
    streams.stop();
    const force = setTimeout(() => server.forceShutdown(), graceMs);
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
  console.error(error instanceof BadOptions ? `${error.message}\n\n${usage}` : error);
  process.exit(1);
}
