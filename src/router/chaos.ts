/**
 * POST /chaos/{abort|evict}?tenant=&place=: fault injection for tests of the deployed whole. Exists
 * only while the variable CHAOS is "true".
 */
import { defaultTenant, memberPaths, tenantPattern } from '../api/member.ts';
import type { RouterEnv } from './env.ts';
import { pageNotFound, plainText } from './etcd/headers.ts';
import { within } from './http/deadline.ts';
import { rawQuery } from './http/path.ts';
import { memberStub } from './members/call.ts';

const faults: ReadonlySet<string> = new Set(['abort', 'evict']);
const answerWithinMs = 500;

export async function serveChaos(
  request: Request,
  env: RouterEnv,
  fault: string,
): Promise<Response> {
  if (env.CHAOS !== 'true' || request.method !== 'POST' || !faults.has(fault))
    return pageNotFound();
  const query = new URLSearchParams(rawQuery(request.url));
  const tenant = query.get('tenant') ?? defaultTenant;
  const place = Number(query.get('place') ?? 'x');
  if (!tenantPattern.test(tenant) || !Number.isInteger(place) || place < 1 || place > 999) {
    return plainText('tenant or place is not well formed\n', 400);
  }
  const stub = memberStub(env, tenant, place);
  try {
    if (fault === 'evict') return await evict(stub);
    const reply = await within(answerWithinMs, () =>
      stub.fetch(`${memberPaths.chaos}?do=${fault}`, { method: 'POST' }),
    );
    return plainText(await reply.text(), reply.status);
  } catch (error) {
    // An aborted object breaks the very call that asked for it: that is success.
    return plainText(`${String(error)}\n`);
  }
}

/**
 * As the platform does with an idle object; workerd has it in a module behind a flag. It waits for
 * requests under way, so under load it may come to nothing within our time, or come later.
 */
async function evict(stub: DurableObjectStub): Promise<Response> {
  // Dynamic, since the module exists only with the compatibility flag `unsafe_module`; and by a
  // name that is no literal, since wrangler's bundler would look for it.
  const name: string = 'workerd:unsafe';
  const { default: unsafe } = await import(name as 'workerd:unsafe');
  const outcome = await within(answerWithinMs, () =>
    unsafe.evict(stub, { webSockets: 'hibernate' }),
  ).then(
    () => 'evicted',
    (error) => `not evicted: ${String(error)}`,
  );
  return plainText(`${outcome}\n`);
}
