/**
 * A tenant's group as a session meets it: members with real hubs on one history, reached by sockets that
 * deliver in later turns and can be cut at any message.
 */
import { memberPaths, parseMemberName, watchPing, watchPong } from '../../../src/api/member.ts';
import type { RouterEnv } from '../../../src/router/env.ts';
import { forgetAll } from '../../../src/router/members/hints.ts';
import { Machine } from '../../kv/support.ts';
import { FakeSocket, HubOn } from '../../sim/watch/hub-client.ts';
import { fakeMembers } from '../support/members.ts';
import { storeLeader } from '../support/store.ts';

type Handler = (event: { data: unknown }) => void;

/** The router's end. What either end sends arrives in a macrotask of its own, in order. */
class Wire {
  binaryType = 'blob';
  readyState = 1;
  readonly end: FakeSocket;
  private readonly handlers = new Map<string, Handler[]>();
  private readonly at: HubOn;

  constructor(at: HubOn) {
    this.at = at;
    const wire = this;
    this.end = new (class extends FakeSocket {
      override send(message: Uint8Array): void {
        super.send(message);
        const data = message.slice().buffer;
        wire.later(() => wire.emit('message', { data }));
      }
      override close(code: number, reason: string): void {
        super.close(code, reason);
        wire.later(() => wire.cut());
      }
    })();
  }

  addEventListener(type: string, handler: Handler): void {
    this.handlers.set(type, [...(this.handlers.get(type) ?? []), handler]);
  }

  accept(): void {
    this.at.sockets.push(this.end);
    this.at.hub.open(this.end);
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== 1) throw new Error('closed');
    if (data === watchPing) this.later(() => this.emit('message', { data: watchPong }));
    else if (typeof data !== 'string') this.later(() => this.at.hub.hear(this.end, data));
  }

  close(): void {
    this.readyState = 3;
    this.later(() => this.at.hub.closed(this.end));
  }

  /** As when the member is aborted: nothing more arrives, on either side. */
  cut(): void {
    if (this.readyState !== 1) return;
    this.readyState = 3;
    this.at.hub.closed(this.end);
    this.end.closed ??= 'cut';
    for (const handler of this.handlers.get('close') ?? []) handler({ data: null });
  }

  private later(run: () => void): void {
    setImmediate(() => {
      if (this.readyState === 1 || run.length > 0) run();
      else this.at.hub.closed(this.end);
    });
  }

  private emit(type: string, event: { data: unknown }): void {
    for (const handler of this.handlers.get(type) ?? []) handler(event);
  }
}

export class Group {
  readonly at = new HubOn(new Machine());
  readonly env: RouterEnv;
  readonly wires: Wire[] = [];
  /** Places that were asked for a socket. */
  readonly asked: number[] = [];
  leader = 1;
  /** What comes between the router's questions and its next write. */
  beforeCommand: (() => void) | null = null;
  /** Places that refuse sockets, and cannot be reached at all. */
  readonly down = new Set<number>();

  constructor() {
    forgetAll();
    const { script } = storeLeader(this.at.machine);
    const fake = fakeMembers(async (sent) => {
      if (this.down.has(sent.place)) throw new Error('unreachable');
      if (sent.request.op.case === 'command') this.beforeCommand?.();
      const reply = await script(sent);
      // What a turn has changed the watches are told in it.
      this.at.hub.advance();
      return reply;
    });
    this.env = { ...fake.env, RAFT_NODE: this.withSockets(fake.env.RAFT_NODE) };
  }

  private withSockets(members: DurableObjectNamespace): DurableObjectNamespace {
    const get = (id: string) => ({
      fetch: async (url: string, init: RequestInit) => {
        if (url !== memberPaths.watch)
          return (members.get(id as never) as DurableObjectStub).fetch(url, init);
        const place = parseMemberName(id)?.place ?? 0;
        this.asked.push(place);
        if (this.down.has(place)) throw new Error('unreachable');
        const wire = new Wire(this.at);
        this.wires.push(wire);
        return { status: 101, webSocket: wire };
      },
    });
    return { idFromName: (name: string) => name, get } as unknown as DurableObjectNamespace;
  }

  /** The member at the other end of every socket dies. */
  cutAll(): void {
    for (const wire of this.wires) wire.cut();
  }
}
