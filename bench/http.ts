/** The bench's own HTTP calls (preload, checks, ledger); the load generators make theirs. */

const timeoutMs = 15_000;

/** POSTs a JSON body, or GETs without one. Throws on everything but an answer in JSON with 2xx. */
export async function callJson<T>(url: string, body?: string): Promise<T> {
  const reply = await fetch(url, {
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined
      ? {}
      : { method: 'POST', body, headers: { 'content-type': 'application/json' } }),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${text.slice(0, 500)}`);
  return JSON.parse(text) as T;
}

/**
 * Runs up to `count` calls, `concurrency` at a time, each as soon as one before it has ended, and
 * begins none after `timeLimitMs`. Returns how many it made.
 */
export async function inParallel(
  count: number,
  concurrency: number,
  call: (n: number) => Promise<unknown>,
  timeLimitMs = Number.POSITIVE_INFINITY,
): Promise<number> {
  const begin = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < count && performance.now() - begin < timeLimitMs) await call(next++);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  return next;
}
