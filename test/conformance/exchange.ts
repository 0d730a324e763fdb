/**
 * The recorded conversation with a real etcd 3.5.30 (exchanges.jsonl), one exchange a line.
 *
 * Each exchange builds on the ones before it, so all are always sent, in order, to a fresh server.
 * `response` is the recorded answer; where `withheld` is set it is kept elsewhere, and where
 * `nondeterministic` is set real servers answer in more than one way: both are sent, not compared.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Answer {
  readonly status: number | null;
  readonly response: Json;
}

export interface Exchange extends Partial<Answer> {
  readonly name: string;
  /** Default: one request, one answer. The others are streams and waits. */
  readonly op?: 'req' | 'open' | 'wait' | 'close' | 'ws' | 'sleep';
  readonly method: string;
  /** Sent as it stands, dots and percent signs included. */
  readonly path: string;
  readonly body: Json;
  /** Text that is sent instead of `body`; the same in base64. */
  readonly raw_body?: string;
  readonly body_b64?: string;
  /** Field `field` of the body is base64 of `n` times `byte`. */
  readonly body_gen?: { readonly field: string; readonly byte: string; readonly n: number };
  readonly headers?: Readonly<Record<string, string>>;
  /** Variables to take from the answer, by dotted path. */
  readonly capture?: Readonly<Record<string, string>>;
  /** Of a stream: its name, what is sent on it, how many messages are to come, seconds to listen on. */
  readonly id?: string;
  readonly send?: string;
  readonly count?: number;
  readonly quiet?: number;
  /** Seconds. */
  readonly timeout?: number;
  /** A large answer, of which only the shape was recorded. */
  readonly no_body_len?: boolean;
  /** Keys of this answer that differ from run to run. */
  readonly volatile?: readonly string[];
  /** Other right answers: what another version of etcd said. */
  readonly alternatives?: readonly Answer[];
  readonly nondeterministic?: boolean;
  readonly withheld?: boolean;
}

/** All exchanges from the one named `from` on and before the one named `until`; null: all. */
export function loadExchanges(until: string | null, from: string | null = null): Exchange[] {
  const file = join(import.meta.dirname, 'exchanges.jsonl');
  const exchanges = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Exchange);
  const placeOf = (name: string) => {
    const place = exchanges.findIndex((exchange) => exchange.name === name);
    if (place < 0) throw new Error(`no exchange is named ${name}`);
    return place;
  };
  return exchanges.slice(
    from === null ? 0 : placeOf(from),
    until === null ? exchanges.length : placeOf(until),
  );
}

/** The revision that the recorded server had when it answered; 1: it says none, as of members. */
export function revisionOf({ response }: Exchange): number {
  const { header } = (response ?? {}) as { header?: { revision?: string } };
  return Number(header?.revision ?? 1);
}

/** `txn-nested-put` belongs to `txn`. */
export function groupOf(exchange: Exchange): string {
  return exchange.name.split('-', 1)[0] ?? exchange.name;
}
