/**
 * A client of the service for black-box tests: etcd's JSON gateway over kept-alive connections, and
 * the status page. It retries nothing: what became of a request is what the tests are about.
 */
import { Agent, request } from 'node:http';
import type { MemberStatus } from '../../src/api/member.ts';
import { answerOf, type HttpAnswer } from './answer.ts';

export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly modRevision: number;
}

/** A write: acknowledged with its revision, or it failed and nobody knows whether it happened. */
export type WriteOutcome =
  | { readonly acknowledged: true; readonly revision: number }
  | { readonly acknowledged: false; readonly reason: string };

export interface RangeQuery {
  readonly key: Bytes;
  /** Exclusive. Absent: that one key. */
  readonly end?: Bytes;
  readonly revision?: number;
  readonly limit?: number;
  readonly countOnly?: boolean;
}

export interface RangeAnswer {
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
  readonly count: number;
  readonly more: boolean;
}

export interface GroupStatus {
  readonly tenant: string;
  readonly leader: number | null;
  readonly members: readonly MemberStatus[];
}

type Bytes = string | Buffer;

const requestTimeoutMs = 30_000;
/**
 * A connection that has been idle this long is not used again. workerd closes one after 15 s without a request
 * (the header timeout of its HTTP server), and a request that meets the closing ends with "socket hang up".
 */
const idleConnectionMs = 5_000;

export class Gateway {
  private readonly agent = new Agent({ keepAlive: true, timeout: idleConnectionMs });
  readonly url: string;
  private readonly base: URL;
  private readonly tenantPath: string;

  constructor(url: string, tenant?: string) {
    this.url = url;
    this.base = new URL(url);
    this.tenantPath = tenant === undefined ? '' : `/t/${tenant}`;
  }

  close(): void {
    this.agent.destroy();
  }

  /** Rejects when the connection breaks. */
  send(
    method: string,
    path: string,
    body: Bytes | null = null,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpAnswer> {
    const outgoing = request({
      host: this.base.hostname,
      port: this.base.port,
      method,
      path: this.tenantPath + path,
      agent: this.agent,
      headers: {
        ...headers,
        ...(body === null ? {} : { 'Content-Length': Buffer.byteLength(body) }),
      },
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    outgoing.end(body ?? undefined);
    return answerOf(outgoing);
  }

  async put(key: Bytes, value: Bytes): Promise<WriteOutcome> {
    return this.write('/v3/kv/put', { key: base64(key), value: base64(value) });
  }

  /** All in one transaction: one revision. */
  async putAll(pairs: readonly (readonly [Bytes, Bytes])[]): Promise<WriteOutcome> {
    const success = pairs.map(([key, value]) => ({
      requestPut: { key: base64(key), value: base64(value) },
    }));
    return this.write('/v3/kv/txn', { success });
  }

  async delete(key: Bytes): Promise<WriteOutcome> {
    return this.write('/v3/kv/deleterange', { key: base64(key) });
  }

  /** Throws unless it is answered. */
  async range(query: RangeQuery): Promise<RangeAnswer> {
    const body = JSON.stringify(rangeRequest(query));
    const reply = await this.send('POST', '/v3/kv/range', body);
    return rangeAnswer(parsed(reply));
  }

  /** Several ranges at one moment; throws unless they are answered. */
  async ranges(queries: readonly RangeQuery[]): Promise<RangeAnswer[]> {
    const success = queries.map((query) => ({ requestRange: rangeRequest(query) }));
    const reply = await this.send('POST', '/v3/kv/txn', JSON.stringify({ success }));
    const { header, responses } = parsed(reply) as {
      header: object;
      responses: { response_range: object }[];
    };
    return responses.map(({ response_range }) => rangeAnswer({ header, ...response_range }));
  }

  /** Every key that starts with `prefix`, read in pages at one revision. */
  async all(prefix: Bytes, pageSize = 1_000, revision = 0): Promise<KeyValue[]> {
    const found: KeyValue[] = [];
    const end = prefixEnd(prefix);
    let at = revision;
    for (let key = Buffer.from(prefix); ; key = after(found)) {
      const page = await this.range({ key, end, revision: at, limit: pageSize });
      if (at === 0) at = page.revision;
      found.push(...page.kvs);
      if (!page.more) return found;
    }
  }

  /** A group that nobody leads is told of with 503. */
  async status(): Promise<GroupStatus> {
    const reply = await this.send('GET', '/v1/status');
    return parsed(reply.status === 503 ? { ...reply, status: 200 } : reply) as GroupStatus;
  }

  private async write(path: string, body: object): Promise<WriteOutcome> {
    try {
      const reply = await this.send('POST', path, JSON.stringify(body));
      if (reply.status !== 200) {
        return { acknowledged: false, reason: `${reply.status} ${reply.text.trim()}` };
      }
      const { header } = JSON.parse(reply.text) as { header: { revision: string } };
      return { acknowledged: true, revision: Number(header.revision) };
    } catch (error) {
      return { acknowledged: false, reason: String(error) };
    }
  }
}

/** The smallest key that is larger than every key with that prefix (none may be all 0xff). */
export function prefixEnd(prefix: Bytes): Buffer {
  const end = Buffer.from(prefix);
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return end;
}

function after(found: readonly KeyValue[]): Buffer {
  const last = found.at(-1);
  if (last === undefined) throw new Error('an empty page says that there is more');
  return Buffer.concat([last.key, Buffer.of(0)]);
}

function rangeRequest(query: RangeQuery): object {
  return {
    key: base64(query.key),
    ...(query.end === undefined ? {} : { rangeEnd: base64(query.end) }),
    ...(query.revision === undefined ? {} : { revision: String(query.revision) }),
    ...(query.limit === undefined ? {} : { limit: String(query.limit) }),
    ...(query.countOnly === undefined ? {} : { countOnly: query.countOnly }),
  };
}

function rangeAnswer(body: unknown): RangeAnswer {
  const answer = body as {
    header: { revision: string };
    kvs?: { key: string; value?: string; mod_revision: string }[];
    count?: string;
    more?: boolean;
  };
  return {
    revision: Number(answer.header.revision),
    count: Number(answer.count ?? 0),
    more: answer.more ?? false,
    kvs: (answer.kvs ?? []).map(({ key, value, mod_revision }) => ({
      key: Buffer.from(key, 'base64'),
      value: Buffer.from(value ?? '', 'base64'),
      modRevision: Number(mod_revision),
    })),
  };
}

function parsed(reply: HttpAnswer): unknown {
  if (reply.status !== 200) throw new Error(`answered ${reply.status}: ${reply.text}`);
  return JSON.parse(reply.text);
}

function base64(bytes: Bytes): string {
  return Buffer.from(bytes).toString('base64');
}
