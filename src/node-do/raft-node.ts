/**
 * The Durable Object of one member: gives Member its storage, clock, timer and network, and turns
 * requests into its calls. Nothing of consensus is decided here.
 */
import { DurableObject } from 'cloudflare:workers';
import { hintOf, locatedAt } from '../api/location-hints.ts';
import {
  memberName,
  memberPaths,
  parseMemberName,
  type RecoverRequest,
  watchPing,
  watchPong,
  withMetrics,
} from '../api/member.ts';
import { type Counters, newCounters } from './counters.ts';
import { DurableObjectSql } from './do-sql.ts';
import { Member } from './member.ts';
import type { MemberPath, Platform } from './platform.ts';
import { type SettingsEnv, settingsOf } from './settings.ts';
import { SteadyClock } from './steady-clock.ts';
import { closeCode, type WatchSocket } from './watch-hub.ts';

export interface RaftNodeEnv extends SettingsEnv {
  readonly RAFT_NODE: DurableObjectNamespace;
  readonly CHAOS?: string;
  /** Places that should lead, best first: "2,1,3". */
  readonly PREFERRED_LEADERS?: string;
  /** Where the objects of places are created: "1=weur,2=enam". */
  readonly LOCATION_HINTS?: string;
}

/** After an alarm that could not be handled. */
const alarmRetryMs = 60_000;

/** A failed call is Raft's to repeat; the platform's own retries would only hide it. */
const noRetries: DurableObjectNamespaceGetDurableObjectOptions = { retry: { maxRetries: 0 } };

export class RaftNode extends DurableObject<RaftNodeEnv> {
  private readonly member: Member;
  private readonly counters = newCounters();
  private timer: ReturnType<typeof setTimeout> | null = null;
  private timerAt = 0;
  private readonly clock = new SteadyClock(() => Date.now());
  private readonly sockets = new Map<WebSocket, WatchSocket>();

  constructor(ctx: DurableObjectState, env: RaftNodeEnv) {
    super(ctx, env);
    const name = parseMemberName(ctx.id.name ?? '');
    if (!name)
      throw new Error(`an object of this class is named {tenant}/{place}, not ${ctx.id.name}`);
    const { counters } = this;
    this.member = new Member(
      this.platform(name, new DurableObjectSql(ctx.storage.sql, counters)),
      counters,
    );
  }

  override async fetch(request: Request): Promise<Response> {
    switch (request.url) {
      case memberPaths.client:
        return bytes(await this.member.onClient(await bodyOf(request)));
      case memberPaths.clients:
        return bytes(await this.member.onClients(await bodyOf(request)));
      case memberPaths.peer:
        return bytes(this.member.onPeer(await bodyOf(request)));
      case memberPaths.birth:
        return bytes(this.member.onBirth(await bodyOf(request)));
      case memberPaths.recover: {
        // Of a router that does not know of `user` yet.
        const said = (await request.json()) as Partial<RecoverRequest>;
        const asked = { group: '', token: '', operator: false, user: '', ...said };
        const refused = this.member.refusesRecovery(asked);
        if (refused) return new Response(refused, { status: 403 });
        const groupId = await this.member.recover(asked.group);
        return groupId === null ? new Response(null, { status: 412 }) : new Response(groupId);
      }
      case memberPaths.restore:
        return bytes(await this.member.onRestore(await bodyOf(request)));
      case memberPaths.watch:
        return this.watch(request);
      case memberPaths.status:
        return Response.json(this.member.status(request.headers.has(withMetrics)));
    }
    if (this.env.CHAOS === 'true' && request.url === `${memberPaths.chaos}?do=abort`)
      this.ctx.abort('aborted by request');
    return new Response('no such path\n', { status: 404 });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const data = typeof message === 'string' ? null : new Uint8Array(message);
    this.member.onWatchMessage(this.socketOf(socket), data);
  }

  override webSocketClose(socket: WebSocket): void {
    this.member.onWatchClosed(this.socketOf(socket));
    this.sockets.delete(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket);
  }

  /** Hibernatable: with nothing to tell, the object sleeps and its sockets stay open. */
  private watch(request: Request): Response {
    if (request.headers.get('upgrade') !== 'websocket') return new Response(null, { status: 426 });
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.ctx.acceptWebSocket(server);
    // The router's way to notice that a socket is dead; it wakes nobody.
    this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(watchPing, watchPong));
    if (this.member.onWatch(this.socketOf(server)))
      return new Response(null, { status: 101, webSocket: client });
    server.close(closeCode.again, 'no member of a group');
    return new Response(null, { status: 503 });
  }

  private socketOf(socket: WebSocket): WatchSocket {
    let known = this.sockets.get(socket);
    if (!known) {
      known = watchSocket(socket, this.counters);
      this.sockets.set(socket, known);
    }
    return known;
  }

  override alarm(): void {
    try {
      this.member.onAlarm();
    } catch (error) {
      // A throw here would be retried a few times, then the alarm would be dropped for good.
      console.error('alarm:', error);
      this.setAlarm(Date.now() + alarmRetryMs);
    }
  }

  private platform(name: { tenant: string; place: number }, sql: DurableObjectSql): Platform {
    const { storage } = this.ctx;
    return {
      ...name,
      sql,
      transaction: (work) => storage.transactionSync(work),
      databaseBytes: () => storage.sql.databaseSize,
      wallTime: () => Date.now(),
      now: () => this.clock.now(),
      random: () => Math.random(),
      randomId: () => crypto.randomUUID().replaceAll('-', '').slice(0, 16),
      preferredPlaces: preferredPlaces(this.env.PREFERRED_LEADERS),
      settings: settingsOf(this.env),
      setAlarm: (at) => this.setAlarm(at),
      setTimer: (at) => this.setTimer(at),
      yieldTurn: () => new Promise((resolve) => setTimeout(resolve, 0)),
      call: (place, path, body, timeoutMs, hint) =>
        this.call(memberName(name.tenant, place), path, body, timeoutMs, {
          ...noRetries,
          ...locatedAt(hint ?? hintOf(this.env.LOCATION_HINTS, place)),
        }),
      sockets: () => this.ctx.getWebSockets().map((socket) => this.socketOf(socket)),
      abort: (reason) => this.ctx.abort(reason),
    };
  }

  /** One timer; an earlier one that is already set serves too, since it asks again when it fires. */
  private setTimer(at: number | null): void {
    if (at === null) {
      // A pending timer would keep the object awake and billed.
      if (this.timer !== null) clearTimeout(this.timer);
      this.timer = null;
      return;
    }
    if (this.timer !== null) {
      if (this.timerAt <= at) return;
      clearTimeout(this.timer);
    }
    this.timerAt = at;
    this.timer = setTimeout(
      () => {
        this.timer = null;
        this.member.onTimer();
      },
      Math.max(0, at - this.clock.now()),
    );
  }

  /** Not waited for: an alarm that is lost with this life is set again by the next one. */
  private setAlarm(at: number | null): void {
    const { storage } = this.ctx;
    const done =
      at === null
        ? storage.deleteAlarm({ allowUnconfirmed: true })
        : storage.setAlarm(at, { allowUnconfirmed: true });
    done.catch(() => {});
  }

  private async call(
    name: string,
    path: MemberPath,
    body: Uint8Array,
    timeoutMs: number,
    options: DurableObjectNamespaceGetDurableObjectOptions,
  ): Promise<Uint8Array> {
    const namespace = this.env.RAFT_NODE;
    // A fresh stub for each call: one that has failed stays broken.
    const stub = namespace.get(namespace.idFromName(name), options);
    // AbortSignal.timeout cannot be taken back when the answer is there. The runtime rings one timer at a time,
    // so those of a busy leader's calls, a second each, would hold up all of its others for seconds.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error('no answer in time')), timeoutMs);
    try {
      const init = { method: 'POST', body, signal: late.signal };
      const response = await stub.fetch(memberPaths[path], init);
      if (!response.ok) throw new Error(`member ${name} answered ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    } finally {
      clearTimeout(timer);
    }
  }
}

function watchSocket(socket: WebSocket, { totals }: Counters): WatchSocket {
  return {
    get attachment() {
      return (socket.deserializeAttachment() as Uint8Array | null) ?? null;
    },
    send(message) {
      socket.send(message);
      totals.clientBytesSent += message.length;
    },
    close(code, reason) {
      try {
        socket.close(code, reason);
      } catch {
        // Closed already.
      }
    },
    attach: (data) => socket.serializeAttachment(data),
  };
}

function preferredPlaces(list: string | undefined): number[] {
  return (list ?? '')
    .split(',')
    .map(Number)
    .filter((place) => Number.isInteger(place) && place > 0);
}

async function bodyOf(request: Request): Promise<Uint8Array> {
  return new Uint8Array(await request.arrayBuffer());
}

function bytes(body: Uint8Array): Response {
  return new Response(body as Uint8Array<ArrayBuffer>);
}
