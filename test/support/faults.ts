/** Members of a live server that end at random (src/router/chaos.ts). */
import type { Gateway } from './gateway.ts';
import type { Random } from './random.ts';

/** Aborts or evicts one of three members of the default tenant; one that is not there any more is nothing to end. */
export async function endOneLife(gateway: Gateway, random: Random): Promise<void> {
  const fault = random.pick(['abort', 'evict']);
  const place = random.integer(1, 3);
  await gateway.send('POST', `/chaos/${fault}?tenant=default&place=${place}`, '').catch(() => {});
}
