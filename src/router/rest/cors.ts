/**
 * CORS of /v1: off unless CORS_ORIGINS names the origins whose pages may ask, since such a page may
 * write too. Who asks is known by its token alone; cookies have no part in it.
 */
import type { RouterEnv } from '../env.ts';

const methods = 'GET, HEAD, PUT, POST, DELETE, OPTIONS';
const requestHeaders = [
  ...['accept', 'authorization', 'content-type', 'idempotency-key', 'if-match', 'if-none-match'],
  ...['kv-consistency', 'kv-fence', 'kv-min-revision', 'last-event-id', 'prefer', 'traceparent'],
].join(', ');
const exposedHeaders = [
  ...['etag', 'kv-consistency', 'kv-revision', 'kv-served-by', 'kv-staleness-ms', 'link'],
  ...['location', 'retry-after', 'server-timing', 'traceparent'],
].join(', ');
/** Seconds for which a browser may keep the answer to a preflight. */
const preflightSeconds = '600';

export function restPreflight(request: Request, env: RouterEnv): Response {
  const headers: Record<string, string> = { allow: methods };
  if (allowedOrigin(request, env) !== null) {
    headers['access-control-allow-methods'] = methods;
    headers['access-control-allow-headers'] = requestHeaders;
    headers['access-control-max-age'] = preflightSeconds;
  }
  return new Response(null, { status: 204, headers });
}

/** The answer as the page that asked may read it. */
export function withCors(response: Response, request: Request, env: RouterEnv): Response {
  // A WebSocket's handshake is not for CORS; and its Response cannot be made again.
  if (!env.CORS_ORIGINS || response.status === 101) return response;
  const shared = new Response(response.body, response);
  // The answer to one origin is not that to another.
  shared.headers.append('vary', 'origin');
  const origin = allowedOrigin(request, env);
  if (origin === null) return shared;
  shared.headers.set('access-control-allow-origin', origin);
  shared.headers.set('access-control-expose-headers', exposedHeaders);
  return shared;
}

/** null: the page may not read the answer, or it is no page of another origin that asks. */
function allowedOrigin(request: Request, env: RouterEnv): string | null {
  const origin = request.headers.get('origin');
  if (origin === null || !env.CORS_ORIGINS) return null;
  const allowed = env.CORS_ORIGINS.split(',').map((one) => one.trim());
  return allowed.includes('*') || allowed.includes(origin) ? origin : null;
}
