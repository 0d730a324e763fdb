/** /v1/elections: a lock whose holder, the leader, says something, and which others observe. */
import * as v from 'valibot';
import { streamLines } from '../http/lines.ts';
import { utf8Text } from '../http/query.ts';
import { waiting } from '../locks/caller.ts';
import { prefixOf } from '../locks/keys.ts';
import { type Leadership, observe as leaderships } from '../locks/observe.ts';
import { replaceValue } from '../locks/queue.ts';
import { readJson } from './body.ts';
import { type Call, json, safeNumber } from './call.ts';
import { callerOf, heldBy, lostProblem, readHolder, refusal, valueField } from './locks.ts';

const proclamation = v.strictObject({ value: valueField });
const encoder = new TextEncoder();
/** Keeps proxies from closing what is idle, and finds out that a client has gone. */
const pingEveryMs = 15_000;

/** Another value of the leader's; 412 `lock-lost` if it leads no more. */
export async function proclaim(call: Call, name: Uint8Array): Promise<Response> {
  const { value } = await readJson(call, proclamation);
  const held = await heldBy(call, name);
  if (held instanceof Response) return held;
  const { kv, headers } = held;
  const header = await replaceValue(callerOf(call, 0), kv, encoder.encode(value)).catch(refusal);
  if (header instanceof Response) return header;
  if (header === null) return lostProblem('it has just ended', headers);
  const revision = safeNumber(header.revision);
  return json({ revision }, { ...headers, 'kv-revision': String(revision) });
}

/** Server-sent events: each leader and each value, the present one first. Silent while nobody leads. */
export async function observe(call: Call, name: Uint8Array): Promise<Response> {
  // Once the stream has begun nothing can be refused: an EventSource would come back for ever.
  const first = await readHolder(call, name);
  if (first instanceof Response) return first;
  const caller = callerOf(call, Number.POSITIVE_INFINITY);
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store, no-transform',
  };
  let close = () => {};
  const lines = streamLines(call.request, headers, () => close());
  const ping = setInterval(() => void lines.write(': ping\n\n'), pingEveryMs);
  const tell = waiting(caller, async (session) => {
    close = () => session.close();
    for await (const leadership of leaderships(caller, prefixOf(name), session))
      if (!(await lines.write(eventOf(leadership)))) return;
  });
  // What ends it is the end of the stream: an EventSource comes back by itself.
  void tell
    .catch(() => {})
    .finally(() => {
      clearInterval(ping);
      lines.close();
    });
  return lines.response;
}

function eventOf({ header, kv }: Leadership): string {
  const revision = safeNumber(header.revision);
  const leader = {
    token: safeNumber(kv.createRevision),
    value: utf8Text(kv.value),
    lease: kv.lease === 0n ? null : String(kv.lease),
  };
  return `id: ${revision}\nevent: leader\ndata: ${JSON.stringify({ revision, ...leader })}\n\n`;
}
