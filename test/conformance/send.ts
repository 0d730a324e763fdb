/**
 * Sends one exchange and reads its answer. Uses node:http, not fetch: the path must arrive byte for
 * byte, and so must a body that no JSON library would write.
 */
import { type IncomingHttpHeaders, request } from 'node:http';
import { answerOf, type HttpAnswer } from '../support/answer.ts';
import type { Answer, Exchange, Json, JsonObject } from './exchange.ts';
import { mapStrings, substitute, type Variables } from './variables.ts';

const defaultTimeoutSeconds = 20;

export async function send(
  baseUrl: string,
  exchange: Exchange,
  variables: Variables,
): Promise<{ readonly answer: Answer; readonly headers: IncomingHttpHeaders }> {
  const { status, headers, text } = await exchangeBytes(
    new URL(baseUrl),
    exchange.method,
    substitute(exchange.path, variables),
    headersOf(exchange, variables),
    bodyOf(exchange, variables),
    (exchange.timeout ?? defaultTimeoutSeconds) * 1000,
  );
  const response = parseAnswer(text);
  const judged = exchange.no_body_len === true ? outline(response) : response;
  return { answer: { status, response: judged }, headers };
}

export function headersOf(exchange: Exchange, variables: Variables): Record<string, string> {
  const headers: Record<string, string> = {};
  if (!['GET', 'HEAD', 'OPTIONS'].includes(exchange.method)) {
    headers['Content-Type'] = 'application/json';
  }
  for (const [name, value] of Object.entries(exchange.headers ?? {})) {
    headers[name] = substitute(value, variables);
  }
  return headers;
}

export function bodyOf(exchange: Exchange, variables: Variables): Buffer | null {
  const replace = (text: string) => substitute(text, variables);
  if (exchange.body_gen !== undefined) {
    const { field, byte, n } = exchange.body_gen;
    const body = mapStrings(exchange.body ?? {}, replace) as JsonObject;
    return Buffer.from(JSON.stringify({ ...body, [field]: btoa(byte.repeat(n)) }));
  }
  if (exchange.body_b64 !== undefined) return Buffer.from(exchange.body_b64, 'base64');
  if (exchange.raw_body !== undefined) return Buffer.from(replace(exchange.raw_body));
  if (exchange.body === null) return null;
  return Buffer.from(JSON.stringify(mapStrings(exchange.body, replace)));
}

function exchangeBytes(
  base: URL,
  method: string,
  path: string,
  headers: Record<string, string>,
  body: Buffer | null,
  timeoutMs: number,
): Promise<HttpAnswer> {
  const outgoing = request({
    host: base.hostname,
    port: base.port,
    method,
    path: base.pathname.replace(/\/$/, '') + path,
    headers: body === null ? headers : { ...headers, 'Content-Length': body.length },
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  });
  outgoing.end(body ?? undefined);
  return answerOf(outgoing);
}

/** JSON, a list of JSON messages when the answer is a stream that has ended, else the text. */
function parseAnswer(text: string): Json {
  const whole = parseJson(text);
  if (typeof whole === 'string' && text.trim().includes('\n')) {
    const messages = text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(parseJson);
    if (messages.every(isObject)) return messages;
  }
  return text.endsWith('\n') && isObject(whole) && 'result' in whole ? [whole] : whole;
}

export function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function isObject(value: Json): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** A large answer reduced to its shape, as the recording holds it. */
export function outline(value: Json): Json {
  if (typeof value !== 'string') return shape(value);
  return { text_len_gt_0: value.length > 0, sample: value.split('\n').slice(0, 3) };
}

const longestText = 200;
const longestList = 20;

function shape(value: Json): Json {
  if (typeof value === 'string') {
    return value.length > longestText ? `<str ${value.length}>` : value;
  }
  if (Array.isArray(value)) {
    if (value.length <= longestList) return value.map(shape);
    return [{ list_len: value.length }, shape(value[0] ?? null)];
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shape(item)]));
}
