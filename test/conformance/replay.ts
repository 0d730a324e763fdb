/** Sends exchanges in order to a fresh server and judges every answer that may be judged. */
import type { IncomingHttpHeaders } from 'node:http';
import { compare, isCompared, type Verdict } from './compare.ts';
import { type Answer, type Exchange, groupOf } from './exchange.ts';
import { send } from './send.ts';
import { Streams } from './streams.ts';
import { dig, mapStrings, putBack, type Variables } from './variables.ts';

export interface Difference extends Verdict {
  readonly exchange: Exchange;
}

export interface Tally {
  matched: number;
  total: number;
}

export interface Outcome {
  readonly all: Tally;
  readonly byGroup: ReadonlyMap<string, Tally>;
  readonly differences: readonly Difference[];
  /** Every answer, in the form of the recording: for the comparison with other tools. */
  readonly recording: readonly (Exchange & Answer)[];
  readonly notCompared: number;
}

export interface Way {
  /** Judge the exchanges whose name it matches; all are sent all the same. */
  readonly only?: RegExp | null;
  /** Awaited before each exchange. */
  readonly before?: () => Promise<void>;
  /** Headers in addition to its own, for an exchange that is no stream. */
  readonly headers?: (exchange: Exchange) => Readonly<Record<string, string>>;
  /** Told of the headers of each answer to such an exchange. */
  readonly heard?: (exchange: Exchange, headers: IncomingHttpHeaders) => void;
}

export async function replay(
  exchanges: readonly Exchange[],
  baseUrl: string,
  way: Way = {},
): Promise<Outcome> {
  const { only = null } = way;
  const variables: Variables = new Map();
  const streams = new Streams(baseUrl);
  const all: Tally = { matched: 0, total: 0 };
  const byGroup = new Map<string, Tally>();
  const differences: Difference[] = [];
  const recording: (Exchange & Answer)[] = [];
  let notCompared = 0;
  for (const exchange of exchanges) {
    await way.before?.();
    const answer = await perform(baseUrl, streams, exchange, variables, way);
    recording.push({ ...exchange, ...answer });
    if (only !== null && !only.test(exchange.name)) continue;
    if (!isCompared(exchange)) {
      notCompared += 1;
      continue;
    }
    const verdict = compare(exchange, answer);
    for (const tally of [all, groupTally(byGroup, exchange)]) {
      tally.total += 1;
      if (verdict.matches) tally.matched += 1;
    }
    if (!verdict.matches) differences.push({ exchange, ...verdict });
  }
  streams.closeAll();
  return { all, byGroup, differences, recording, notCompared };
}

async function perform(
  baseUrl: string,
  streams: Streams,
  exchange: Exchange,
  variables: Variables,
  way: Way,
): Promise<Answer> {
  const isStream = (exchange.op ?? 'req') !== 'req';
  const answer = isStream
    ? await streams.perform(exchange, variables)
    : await sendOrExplain(baseUrl, exchange, variables, way);
  for (const [name, path] of Object.entries(exchange.capture ?? {})) {
    const value = dig(answer.response, path);
    if (value !== undefined && value !== null) variables.set(name, value);
  }
  const response = mapStrings(answer.response, (text) => putBack(text, variables));
  return { ...answer, response };
}

/** A connection that breaks is an answer too (a wrong one); a server that is gone ends the run. */
async function sendOrExplain(
  baseUrl: string,
  exchange: Exchange,
  variables: Variables,
  { headers, heard }: Way,
): Promise<Answer> {
  try {
    const asked = { ...exchange, headers: { ...headers?.(exchange), ...exchange.headers } };
    const { answer, headers: answered } = await send(baseUrl, asked, variables);
    heard?.(exchange, answered);
    return answer;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') {
      throw new Error(`the server is gone before ${exchange.name}`, { cause: error });
    }
    return { status: null, response: String(error) };
  }
}

function groupTally(byGroup: Map<string, Tally>, exchange: Exchange): Tally {
  const group = groupOf(exchange);
  const tally = byGroup.get(group) ?? { matched: 0, total: 0 };
  byGroup.set(group, tally);
  return tally;
}
