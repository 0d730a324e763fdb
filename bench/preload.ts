/** Puts every key once before gets are measured, and checks that the contender tells the truth. */
import { ask } from './asking.ts';
import type { Contender, Service } from './contender.ts';
import { callJson, inParallel } from './http.ts';
import { keyCount, keyOf, operationPath, randomValue, valueBytes } from './workload.ts';

const concurrency = 32;
const keysChecked = 20;

export async function preload({ url, preloadBatch }: Service): Promise<void> {
  await inParallel(Math.ceil(keyCount / preloadBatch), concurrency, (batch) => {
    const first = batch * preloadBatch;
    const last = Math.min(first + preloadBatch, keyCount);
    const puts = [];
    for (let n = first; n < last; n++) puts.push({ key: keyOf(n), value: randomValue() });
    if (preloadBatch === 1) return callJson(`${url}${operationPath.put}`, JSON.stringify(puts[0]));
    const success = puts.map((put) => ({ request_put: put }));
    return callJson(`${url}/v3/kv/txn`, JSON.stringify({ success }));
  });
}

/** A put must raise the revision, and what was put must be what is read. */
export async function checkContender(contender: Contender): Promise<void> {
  const { name } = contender;
  let lastRevision = 0;
  for (let n = 0; n < keysChecked; n++) {
    const key = keyOf(Math.floor((n * keyCount) / keysChecked));
    const before = await ask(contender, 'get', JSON.stringify({ key }));
    const length = Buffer.from(before.kvs?.[0]?.value ?? '', 'base64').length;
    if (length !== valueBytes) throw new Error(`${name}: value of ${length} bytes at ${key}`);
    const value = randomValue();
    const put = JSON.stringify({ key, value });
    const reply = await ask(contender, 'put', put);
    const revision = Number(reply.header?.revision);
    if (!(revision > lastRevision)) throw new Error(`${name}: revision ${revision} after a put`);
    lastRevision = revision;
    const after = await ask(contender, 'get', JSON.stringify({ key }));
    if (after.kvs?.[0]?.value !== value) throw new Error(`${name}: a put was not read back`);
  }
}
