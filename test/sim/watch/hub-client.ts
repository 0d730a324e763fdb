/** A hub on a state machine, without a member around it, and the other end of its sockets. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { AuthCaller } from '../../../src/api/gen/member_pb.js';
import { EventSchema } from '../../../src/api/gen/mvcc_pb.js';
import {
  type WatchAsk,
  WatchAskSchema,
  WatchCreateSchema,
  type WatchTell,
  WatchTellSchema,
} from '../../../src/api/gen/watch_pb.js';
import { WatchHub, type WatchSocket } from '../../../src/node-do/watch-hub.ts';
import { bytes, type Machine, text } from '../../kv/support.ts';

export interface WatchMore {
  readonly end?: string;
  readonly from?: bigint;
  readonly prevKv?: boolean;
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
  readonly caller?: AuthCaller;
}

/** One end of a socket: what the hub has sent and not been read yet. */
export class FakeSocket implements WatchSocket {
  attachment: Uint8Array | null = null;
  closed: string | null = null;
  readonly raw: Uint8Array[] = [];

  send(message: Uint8Array): void {
    if (this.closed !== null) throw new Error('closed');
    this.raw.push(message);
  }

  close(code: number, reason: string): void {
    this.closed = `${code} ${reason}`;
  }

  attach(data: Uint8Array): void {
    this.attachment = data;
  }

  /** Everything since the last call. */
  take(): WatchTell[] {
    return this.raw.splice(0).map((message) => fromBinary(WatchTellSchema, message));
  }
}

export class HubOn {
  readonly machine: Machine;
  hub: WatchHub;
  sockets: FakeSocket[] = [];
  /** Turns that somebody waits for. */
  private waiting: (() => void)[] = [];

  constructor(machine: Machine) {
    this.machine = machine;
    this.hub = this.newHub();
  }

  open(): FakeSocket {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    this.hub.open(socket);
    return socket;
  }

  ask(socket: FakeSocket, ask: WatchAsk['ask']): void {
    this.hub.hear(socket, toBinary(WatchAskSchema, create(WatchAskSchema, { ask })));
  }

  watch(socket: FakeSocket, slot: number, key: string, more: WatchMore = {}) {
    const { end = '', ...rest } = more;
    const wanted = { slot, key: bytes(key), rangeEnd: bytes(end), ...rest };
    this.ask(socket, { case: 'create', value: create(WatchCreateSchema, wanted) });
  }

  /** One turn: one entry, and what the hub makes of it. */
  apply(...commands: Uint8Array[]): void {
    this.machine.apply(...commands);
    this.hub.advance();
  }

  /** Lets one turn go by that somebody waits for; false: nobody does. */
  async turn(): Promise<boolean> {
    const next = this.waiting.shift();
    next?.();
    await new Promise((resolve) => setImmediate(resolve));
    return next !== undefined;
  }

  async settle(): Promise<void> {
    while (await this.turn());
  }

  /** The object hibernates and wakes: memory goes, sockets and attachments stay. */
  hibernate(): void {
    this.waiting = [];
    this.machine.reopen();
    this.sockets = this.sockets.filter(({ closed }) => closed === null);
    this.hub = this.newHub();
  }

  private newHub(): WatchHub {
    const home = {
      source: this.machine.machine,
      clusterId: 7n,
      memberId: 8n,
      term: () => 3,
      yieldTurn: () => new Promise<void>((resolve) => this.waiting.push(resolve)),
      onEvents: () => {},
    };
    return new WatchHub(home, this.sockets);
  }
}

/** `+a=1@2` for a put, `-a@3` for a delete. */
export function eventText(encoded: Uint8Array): string {
  const { type, kv, prevKv } = fromBinary(EventSchema, encoded);
  if (!kv) return '?';
  const previous = prevKv ? ` was ${text(prevKv.value)}` : '';
  return type === 1
    ? `-${text(kv.key)}@${kv.modRevision}${previous}`
    : `+${text(kv.key)}=${text(kv.value)}@${kv.modRevision}${previous}`;
}

/** What was told, in short: `created 0`, `live 0: +a=1@2`, `page 0 to 5, more: ...`. */
export function tellText({ revision, tell }: WatchTell): string {
  switch (tell.case) {
    case 'events': {
      const { slot, live, more, through, events } = tell.value;
      const kind = live ? `live ${slot}` : `page ${slot} to ${through}${more ? ', more' : ''}`;
      return `${kind}: ${events.map(eventText).join(' ')}`.trimEnd();
    }
    case 'canceled': {
      const { slot, error, compactRevision } = tell.value;
      return error ? `canceled ${slot} ${error}` : `canceled ${slot}, compacted ${compactRevision}`;
    }
    case 'progress':
      return `${tell.value ? 'progress' : 'notice'} ${revision}`;
    case 'hello':
      return 'hello';
    default:
      return `${tell.case} ${tell.value} at ${revision}`;
  }
}

export const heard = (socket: FakeSocket): string[] => socket.take().map(tellText);
