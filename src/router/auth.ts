/**
 * Who may use this deployment. Closed by default: only the secret API_TOKEN or OPEN_DEFAULT="true"
 * opens it, and both cover every tenant alike (OPEN_TENANTS only says which names exist).
 */
import type { RouterEnv } from './env.ts';

export function isAuthorized(request: Request, env: RouterEnv): boolean {
  if (env.OPEN_DEFAULT === 'true') return true;
  const expected = env.API_TOKEN;
  if (expected === undefined || expected === '') return false;
  const header = request.headers.get('authorization') ?? socketToken(request);
  if (header === null) return false;
  // etcd's own clients send the bare token; etcd accepts both forms since 3.5.32.
  const given = /^bearer /i.test(header) ? header.slice(7) : header;
  return equalInConstantTime(given, expected);
}

/** A browser's WebSocket can send no other header: `Bearer, {token}` among the protocols, as with etcd. */
function socketToken(request: Request): string | null {
  const offered = request.headers.get('sec-websocket-protocol')?.split(',') ?? [];
  const at = offered.findIndex((one) => one.trim() === 'Bearer');
  return at < 0 ? null : (offered[at + 1]?.trim() ?? null);
}

/**
 * Takes as long for any guess of one length, however much of it is right, so that a token cannot be
 * found byte by byte from the time of the answer.
 */
export function equalInConstantTime(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let i = 0; i < given.length; i++) {
    difference |= given.charCodeAt(i) ^ expected.charCodeAt(i % expected.length);
  }
  return difference === 0;
}
