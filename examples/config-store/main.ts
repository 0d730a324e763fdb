/**
 * `npm run example:config`: serves the page, and starts the service if none runs.
 *
 *   PAGE_PORT  8080    where the page is
 *   KV_URL, API_TOKEN, DATA_DIR: see ../service.ts
 *
 * The page is files, and could lie on any web server: it speaks to the service directly, which lets it in
 * because CORS_ORIGINS names it.
 */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { stopRequest } from '../../scripts/serving/stop-request.ts';
import { exampleService, pagePortUnlessSaid } from '../service.ts';

const directory = join(import.meta.dirname, 'page');
const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
};

/** What the page may do, whatever was stored: load what is ours, and speak to the service. */
function policyFor(serviceUrl: string): string {
  const parts = ["default-src 'none'", "script-src 'self'", "style-src 'self'", 'img-src data:'];
  const rest = [`connect-src ${serviceUrl}`, "base-uri 'none'", "frame-ancestors 'none'"];
  return [...parts, ...rest].join('; ');
}

/** Answers with the files of the page, each read once: nothing else can be asked for. */
function servePage(server: Server, serviceUrl: string): void {
  const names = readdirSync(directory).filter((name) => extname(name) in contentTypes);
  const files = new Map(names.map((name) => [`/${name}`, readFileSync(join(directory, name))]));
  files.set(
    '/settings.js',
    Buffer.from(`export const serviceUrl = ${JSON.stringify(serviceUrl)};\n`),
  );
  server.on('request', (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    const path = pathname === '/' ? '/index.html' : pathname;
    const file = files.get(path);
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      'content-type': contentTypes[extname(path)],
      'cache-control': 'no-cache',
      'content-security-policy': policyFor(serviceUrl),
      'referrer-policy': 'no-referrer',
    });
    response.end(file);
  });
}

/** A service that ran before may let no page in, or only those of others. */
async function letsIn(serviceUrl: string, origin: string): Promise<boolean> {
  const response = await fetch(`${serviceUrl}/v1/watch`, {
    method: 'OPTIONS',
    headers: { origin },
  });
  return response.headers.get('access-control-allow-origin') !== null;
}

async function main(): Promise<void> {
  const stopRequested = stopRequest('example:config');
  const server = createServer();
  server.listen(Number(process.env.PAGE_PORT || pagePortUnlessSaid), '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const service = await exampleService(port);
  try {
    if (!(await letsIn(service.url, origin))) {
      const command = `CORS_ORIGINS=${origin} npm run serve`;
      throw new Error(`${service.url} lets no page of ${origin} in. Start it so: ${command}`);
    }
    servePage(server, service.url);
    console.log(`Open ${origin}/`);
    await stopRequested;
  } finally {
    server.close();
    server.closeAllConnections();
    await service.stop();
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
