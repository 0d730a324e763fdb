/**
 * Who may use this deployment. Closed by default: only the secret API_TOKEN or OPEN_DEFAULT="true"
 * opens it, and both cover every tenant alike (OPEN_TENANTS only says which names exist). Whom a
 * tenant's own users and roles let in is decided by its members (docs/decisions/auth.md).
 */
import { equalBytes } from '../../api/constant-time.ts';
import type { RouterEnv } from '../env.ts';
import { offeredProtocols } from '../http/web-socket.ts';

const encoder = new TextEncoder();

export function isAuthorized(request: Request, env: RouterEnv): boolean {
  if (env.OPEN_DEFAULT === 'true') return true;
  const shown = shownSecret(request);
  return shown !== null && isDeploymentSecret(shown, env);
}

/** etcd's own clients send the bare token; etcd accepts both forms since 3.5.32. Null: nothing is shown. */
export function shownSecret(request: Request): string | null {
  const header =
    request.headers.get('authorization') ??
    request.headers.get('grpc-metadata-authorization') ??
    socketToken(request);
  return header !== null && /^bearer /i.test(header) ? header.slice(7) : header;
}

export function isDeploymentSecret(shown: string, { API_TOKEN }: RouterEnv): boolean {
  if (API_TOKEN === undefined || API_TOKEN === '') return false;
  return equalBytes(encoder.encode(shown), encoder.encode(API_TOKEN));
}

/** A browser's WebSocket can send no other header: `Bearer, {token}` among the protocols, as with etcd. */
function socketToken(request: Request): string | null {
  const offered = offeredProtocols(request);
  const at = offered.indexOf('Bearer');
  return at < 0 ? null : (offered[at + 1] ?? null);
}
