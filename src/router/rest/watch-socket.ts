/**
 * /v1/watch as a WebSocket, subprotocol kv.v1: many watches on one socket, JSON both ways.
 *
 * In: `{op:"watch", id, key | prefix | start, end, from, prev, only}`, `{op:"cancel", id}`, and `{op:"ack"}`, by
 * which a client that is sent much says that it reads. Out: `created`,
 * `change`, `canceled`, `compacted`, `too-large` with that id, `error` for what is not understood, and
 * `overflow` before a socket that is not read is closed.
 */
import * as v from 'valibot';
import { credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { decodeBase64 } from '../etcd/base64.ts';
import { BoundedSocket, upgraded } from '../http/web-socket.ts';
import type { WatchMessage } from '../watch/message.ts';
import { WatchSession } from '../watch/session.ts';
import { parseJson } from './body.ts';
import { safeNumber } from './call.ts';
import { between, type Interval, notEmpty, withPrefix } from './interval.ts';
import { Params } from './params.ts';
import { problemOf, Refusal } from './problems.ts';
import { changesOf, filtersOf } from './watch-events.ts';

const protocol = 'kv.v1';
const watchesMax = 10_000;
const messageCharsMax = 64 * 1024;
/** Who is not understood so often is not talking to us. */
const errorsMax = 32;
const unheardBytesMax = 16 * 1024 * 1024;
const closeCodes = { misunderstood: 1008, overflow: 1013 } as const;

const id = v.union([v.pipe(v.string(), v.maxLength(64)), v.pipe(v.number(), v.safeInteger())]);
const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const watchMessage = v.strictObject({
  op: v.literal('watch'),
  id,
  key: v.optional(v.string()),
  prefix: v.optional(v.string()),
  start: v.optional(v.string()),
  end: v.optional(v.string()),
  encoding: v.optional(v.picklist(['utf8', 'base64'])),
  from: v.optional(revision),
  prev: v.optional(v.boolean()),
  only: v.optional(v.picklist(['put', 'delete'])),
});
const clientMessage = v.variant('op', [
  watchMessage,
  v.strictObject({ op: v.literal('cancel'), id }),
  v.strictObject({ op: v.literal('ack') }),
]);

type Id = string | number;

export function serveWatchSocket(request: Request, env: RouterEnv, tenant: string): Response {
  new Params(request, ['ticket']);
  const offered = request.headers.get('sec-websocket-protocol');
  const isOurs = offered?.split(',').some((one) => one.trim() === protocol) ?? true;
  if (!isOurs) throw new Refusal('bad-request', `the subprotocol here is ${protocol}`);
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  const credentials = credentialsOf(request, env);
  const session = new WatchSession({ env, tenant, credentials, endOnOverflow: true });
  new SocketWatches(server, session).run();
  return upgraded(client, offered === null ? undefined : protocol);
}

class SocketWatches {
  private readonly bounded: BoundedSocket;
  private readonly session: WatchSession;
  private readonly slots = new Map<Id, number>();
  private readonly ids = new Map<number, Id>();
  private nextSlot = 0;
  private errors = 0;

  constructor(socket: WebSocket, session: WatchSession) {
    this.bounded = new BoundedSocket(socket, unheardBytesMax);
    this.session = session;
  }

  run(): void {
    const { session } = this;
    const { socket } = this.bounded;
    socket.accept();
    socket.addEventListener('message', ({ data }) => this.hear(data));
    socket.addEventListener('close', () => session.close());
    socket.addEventListener('error', () => session.close());
    void this.tellAll().finally(() => session.close());
  }

  private async tellAll(): Promise<void> {
    for await (const message of this.session)
      for (const out of this.messages(message)) {
        if (message.type !== 'overflow' && this.bounded.send(JSON.stringify(out))) continue;
        this.overflow();
        return;
      }
  }

  /** The client does not read, or does not say so. */
  private overflow(): void {
    this.bounded.sendAnyway(JSON.stringify({ op: 'overflow' }));
    this.bounded.socket.close(closeCodes.overflow, 'read faster, or say that you read');
  }

  private hear(data: unknown): void {
    this.bounded.heard();
    try {
      if (typeof data !== 'string' || data.length > messageCharsMax)
        throw new Refusal('bad-request', `a message is text of at most ${messageCharsMax}`);
      const asked = parseJson(data, clientMessage);
      if (asked.op === 'watch') this.watch(asked);
      else if (asked.op === 'cancel') this.cancel(asked.id);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.complain(error);
    }
  }

  private complain({ code, message }: Refusal): void {
    this.errors += 1;
    this.bounded.sendAnyway(JSON.stringify({ op: 'error', code, detail: message }));
    if (this.errors < errorsMax) return;
    this.session.close();
    this.bounded.socket.close(closeCodes.misunderstood, 'not understood');
  }

  private watch(asked: v.InferOutput<typeof watchMessage>): void {
    if (this.slots.has(asked.id))
      throw new Refusal('bad-request', `id ${JSON.stringify(asked.id)} is taken`);
    if (this.slots.size >= watchesMax)
      throw new Refusal('bad-request', `at most ${watchesMax} watches on one socket`);
    const interval = keysOf(asked);
    const slot = this.nextSlot++;
    this.slots.set(asked.id, slot);
    this.ids.set(slot, asked.id);
    this.session.watch(slot, {
      ...interval,
      from: BigInt(asked.from ?? 0),
      prevKv: asked.prev ?? false,
      ...filtersOf(asked.only ?? null),
    });
  }

  private cancel(id: Id): void {
    const slot = this.slots.get(id);
    if (slot === undefined) throw new Refusal('bad-request', 'there is no such watch');
    this.slots.delete(id);
    this.session.cancel(slot);
  }

  private messages(message: WatchMessage): object[] {
    if (message.type === 'overflow') return [message];
    if (!('slot' in message)) return [];
    const id = this.ids.get(message.slot);
    switch (message.type) {
      case 'created':
        return [{ op: 'created', id, revision: safeNumber(message.header.revision) }];
      case 'events':
        return changesOf(message).map((change) => ({ op: 'change', id, ...change }));
      case 'canceled':
        this.forget(message.slot);
        return [{ op: 'canceled', id }];
      case 'compacted':
        this.forget(message.slot);
        return [{ op: 'compacted', id, compact_revision: safeNumber(message.compactRevision) }];
      case 'denied':
        this.forget(message.slot);
        return [{ op: 'denied', id, code: problemOf(message.error) }];
      case 'tooLarge':
        this.forget(message.slot);
        return [{ op: 'too-large', id }];
      default:
        return message satisfies never;
    }
  }

  private forget(slot: number): void {
    const id = this.ids.get(slot);
    this.ids.delete(slot);
    if (id !== undefined && this.slots.get(id) === slot) this.slots.delete(id);
  }
}

function keysOf(asked: v.InferOutput<typeof watchMessage>): Interval {
  const { key, prefix, start, end } = asked;
  const read = (text: string) => {
    const bytes = asked.encoding === 'base64' ? decodeBase64(text) : new TextEncoder().encode(text);
    if (bytes === null) throw new Refusal('bad-key-encoding', 'not base64');
    return bytes;
  };
  const isRange = start !== undefined || end !== undefined;
  if (Number(key !== undefined) + Number(prefix !== undefined) + Number(isRange) !== 1)
    throw new Refusal('range-required', 'give key, or prefix, or start and end: one of them');
  if (key === '') throw new Refusal('bad-request', 'a key has at least one byte');
  if (key !== undefined) return { key: read(key), rangeEnd: new Uint8Array() };
  if (prefix !== undefined) return withPrefix(read(prefix));
  const [from, to] = [start, end].map((text) => (text === undefined ? null : read(text)));
  return notEmpty(between(from ?? null, to ?? null));
}
