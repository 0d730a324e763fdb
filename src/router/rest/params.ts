/**
 * The query of a /v1 request. What a route does not know is refused: an option that was ignored in
 * silence (`lease=`, `max_staleness=`) would give weaker promises than the client relies on.
 */
import { maxRequestTimeoutMs } from '../../api/limits.ts';
import { decodeBase64 } from '../etcd/base64.ts';
import { parseDuration } from '../http/deadline.ts';
import { rawQuery } from '../http/path.ts';
import { percentDecode, utf8Text } from '../http/query.ts';
import { Refusal } from './problems.ts';

/** Of rest-api.md, but not offered yet. */
const comingLater = new Set(['wait']);

/** They change what the client may conclude, so who does not take them refuses them. */
const meaningfulHeaders = ['kv-fence', 'kv-min-revision', 'idempotency-key'] as const;

export class Params {
  readonly #values: ReadonlyMap<string, Uint8Array>;

  /**
   * Throws Refusal for a parameter that is not in `known`, or comes twice, and for a header that
   * means something elsewhere and is not in `headers`.
   */
  constructor(
    request: Request,
    known: readonly string[],
    headers: readonly (typeof meaningfulHeaders)[number][] = [],
  ) {
    for (const name of meaningfulHeaders) {
      if (request.headers.has(name) && !headers.includes(name)) {
        throw new Refusal('bad-request', `the header ${name} is not taken here`);
      }
    }
    this.#values = parse(rawQuery(request.url), known);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  bytes(name: string): Uint8Array | null {
    return this.#values.get(name) ?? null;
  }

  text(name: string): string | null {
    const bytes = this.bytes(name);
    if (bytes === null) return null;
    const text = utf8Text(bytes);
    if (text === null) throw new Refusal('bad-request', `${name} is not UTF-8`);
    return text;
  }

  /** `x`, `x=1` and `x=true` say yes. */
  flag(name: string): boolean {
    const text = this.text(name);
    switch (text) {
      case null:
      case '0':
      case 'false':
        return false;
      case '':
      case '1':
      case 'true':
        return true;
      default:
        throw new Refusal('bad-request', `${name} must be 1, true, 0 or false`);
    }
  }

  /** A whole number from `min` to `max`. */
  integer(name: string, min: number, max: number): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new Refusal('bad-request', `${name} must be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  choice<T extends string>(name: string, allowed: readonly T[]): T | null {
    const text = this.text(name);
    if (text === null) return null;
    const found = allowed.find((one) => one === text);
    if (found === undefined) {
      throw new Refusal('bad-request', `${name} must be one of ${allowed.join(', ')}`);
    }
    return found;
  }

  /** Milliseconds; null when the client names no deadline. */
  timeoutMs(): number | null {
    const text = this.text('timeout');
    if (text === null) return null;
    const ms = parseDuration(text);
    if (!(ms >= 1 && ms <= maxRequestTimeoutMs)) {
      const most = maxRequestTimeoutMs / 1_000;
      throw new Refusal('bad-request', `timeout must be like 5s or 500ms, at most ${most}s`);
    }
    return ms;
  }

  /** base64url, as `key64=` and cursors have it. */
  base64(name: string): Uint8Array | null {
    const text = this.text(name);
    if (text === null) return null;
    const bytes = decodeBase64(text);
    if (bytes === null) throw new Refusal('bad-key-encoding', `${name} is not base64url`);
    return bytes;
  }
}

function parse(query: string, known: readonly string[]): ReadonlyMap<string, Uint8Array> {
  const values = new Map<string, Uint8Array>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!known.includes(name)) {
      const why = comingLater.has(name) ? 'is not supported yet' : 'is not a parameter of this';
      throw new Refusal('bad-request', `${JSON.stringify(name.slice(0, 64))} ${why}`);
    }
    if (values.has(name)) throw new Refusal('bad-request', `${name} is given twice`);
    // In a query a plus is a space (as every form and most clients encode it); in a path it is not.
    const value = percentDecode(equals < 0 ? '' : pair.slice(equals + 1), true);
    if (value === null) throw new Refusal('bad-key-encoding', `${name} has a stray %`);
    values.set(name, value);
  }
  return values;
}
