/** Whose attempts at passwords count together. */
import type { RouterEnv } from '../env.ts';
import { isDeploymentSecret, shownSecret } from './gate.ts';

/** No address is longer. */
const lengthMax = 64;

/**
 * The address that connects, without a port; empty: nobody can tell. Plain workerd tells it; there anybody may send
 * the header that Cloudflare writes. A bridge that shows the deployment's secret is believed about its clients.
 */
export function clientAddressOf(request: Request, env: RouterEnv): string {
  const { cf, headers } = request;
  const said = headers.get('quorate-client-address') ?? '';
  const isSaid = said !== '' && said.length <= lengthMax;
  if (isSaid && isDeploymentSecret(shownSecret(request) ?? '', env)) return said;
  const { clientIp } = (cf ?? {}) as { clientIp?: unknown };
  if (typeof clientIp === 'string') return clientIp.replace(/:\d+$/, '');
  return headers.get('cf-connecting-ip') ?? '';
}
