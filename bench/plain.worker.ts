/**
 * The contender "plain": what one would write without Raft. A Hono router that speaks the same JSON
 * as etcd's gateway, and one Durable Object with one SQLite upsert or select per request.
 *
 * It is meant to be good at that: bodies are parsed once, native base64, a binary frame between
 * router and object (as Quorate has one), one row and one commit per put, no index but the key.
 */
import { DurableObject } from 'cloudflare:workers';
import { Hono } from 'hono';

interface Env {
  readonly PLAIN: DurableObjectNamespace<PlainStore>;
}

/** Native in workerd, but not yet in the configured TypeScript lib. */
const base64 = {
  decode: (text: string) =>
    (Uint8Array as unknown as { fromBase64(text: string): Uint8Array }).fromBase64(text),
  encode: (bytes: Uint8Array) => (bytes as unknown as { toBase64(): string }).toBase64(),
};

const keyBytesMax = 1024;
const requestBytesMax = 1.5 * 1024 * 1024;

const app = new Hono<{ Bindings: Env }>();

app.get('/health', (c) => c.json({ health: 'true' }));

app.post('/v3/kv/put', async (c) => {
  const body = await c.req.json<{ key?: unknown; value?: unknown }>();
  if (typeof body.key !== 'string' || body.key === '') return c.json({ code: 3 }, 400);
  const value = typeof body.value === 'string' ? base64.decode(body.value) : new Uint8Array();
  const frame = encodeFrame(base64.decode(body.key), value);
  if (frame === null) return c.json({ code: 3 }, 400);
  const reply = await store(c.env).fetch('http://store/put', { method: 'POST', body: frame });
  const { revision } = await reply.json<{ revision: number }>();
  return c.json({ header: header(revision) });
});

app.post('/v3/kv/range', async (c) => {
  const body = await c.req.json<{ key?: unknown }>();
  if (typeof body.key !== 'string' || body.key === '') return c.json({ code: 3 }, 400);
  const frame = encodeFrame(base64.decode(body.key), new Uint8Array());
  if (frame === null) return c.json({ code: 3 }, 400);
  const reply = await store(c.env).fetch('http://store/get', { method: 'POST', body: frame });
  const revision = Number(reply.headers.get('revision'));
  if (reply.status === 204) return c.json({ header: header(revision) });
  const value = base64.encode(new Uint8Array(await reply.arrayBuffer()));
  const modRevision = reply.headers.get('mod-revision') ?? '0';
  const kv = { key: body.key, mod_revision: modRevision, value };
  return c.json({ header: header(revision), kvs: [kv], count: '1' });
});

export default app;

function store(env: Env): DurableObjectStub<PlainStore> {
  return env.PLAIN.get(env.PLAIN.idFromName('default'));
}

function header(revision: number) {
  return { cluster_id: '1', member_id: '1', revision: String(revision), raft_term: '1' };
}

/** Length of the key in two bytes, key, value; null when it is too large. */
function encodeFrame(key: Uint8Array, value: Uint8Array): Uint8Array | null {
  if (key.length > keyBytesMax || key.length + value.length > requestBytesMax) return null;
  const frame = new Uint8Array(2 + key.length + value.length);
  frame[0] = key.length >> 8;
  frame[1] = key.length & 0xff;
  frame.set(key, 2);
  frame.set(value, 2 + key.length);
  return frame;
}

export class PlainStore extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  #revision: number;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(
      'CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB, revision INTEGER) WITHOUT ROWID',
    );
    const row = this.#sql
      .exec<{ last: number | null }>('SELECT max(revision) AS last FROM kv')
      .one();
    this.#revision = row.last ?? 1;
  }

  override async fetch(request: Request): Promise<Response> {
    const frame = new Uint8Array(await request.arrayBuffer());
    const keyEnd = 2 + (((frame[0] ?? 0) << 8) | (frame[1] ?? 0));
    const key = frame.subarray(2, keyEnd);
    return request.url.endsWith('/put') ? this.#put(key, frame.subarray(keyEnd)) : this.#get(key);
  }

  #put(key: Uint8Array, value: Uint8Array): Response {
    this.#revision += 1;
    this.#sql.exec(
      `INSERT INTO kv (key, value, revision) VALUES (?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision`,
      key,
      value,
      this.#revision,
    );
    return Response.json({ revision: this.#revision });
  }

  #get(key: Uint8Array): Response {
    const [row] = this.#sql
      .exec<{ value: ArrayBuffer; revision: number }>(
        'SELECT value, revision FROM kv WHERE key = ?',
        key,
      )
      .toArray();
    const headers = { revision: String(this.#revision) };
    if (row === undefined) return new Response(null, { status: 204, headers });
    return new Response(row.value, {
      headers: { ...headers, 'mod-revision': String(row.revision) },
    });
  }
}
