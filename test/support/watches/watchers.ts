/**
 * Clients that watch, in the ways there are: etcd's stream over HTTP and over a WebSocket, server-sent
 * events with a client that cuts its own connection and comes back.
 */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Judge, Told } from './judge.ts';

export interface Watcher {
  readonly judge: Judge;
  /** Cuts the connection, where the client comes back by itself. */
  cut?(): void;
  /** Asks how far it has come, where it can. */
  askProgress?(): void;
  close(): void;
}

export interface Range {
  readonly key: string;
  /** Exclusive; null: that one key. */
  readonly end: string | null;
  /** null: from now on. */
  readonly from: number | null;
}

interface EtcdMessage {
  readonly result?: {
    readonly header: { readonly revision?: string };
    readonly watch_id?: string;
    readonly created?: boolean;
    readonly canceled?: boolean;
    readonly events?: readonly {
      readonly kv: { readonly key: string; readonly value?: string; readonly mod_revision: string };
    }[];
  };
  readonly error?: object;
}

const retryMs = 50;

function createRequest({ key, end, from }: Range): string {
  return JSON.stringify({
    create_request: {
      key: btoa(key),
      ...(end === null ? {} : { range_end: btoa(end) }),
      ...(from === null ? {} : { start_revision: from }),
    },
  });
}

/** Gives the judge what a message of etcd's says, revision by revision. */
function hearEtcd(judge: Judge, text: string, fail: (what: string) => void): void {
  const { result, error } = JSON.parse(text) as EtcdMessage;
  if (error || !result || result.canceled) {
    fail(text);
    return;
  }
  if (result.created) return;
  if (!result.events) {
    judge.progress(Number(result.header.revision));
    return;
  }
  let at = 0;
  let told: Told[] = [];
  for (const { kv } of result.events) {
    const revision = Number(kv.mod_revision);
    if (revision !== at && told.length > 0) {
      judge.hear(at, told);
      told = [];
    }
    at = revision;
    told.push({ key: atob(kv.key), value: atob(kv.value ?? '') });
  }
  judge.hear(at, told);
}

type Fail = (what: string) => void;

/** Resolves when the watch exists. The stream must never end by itself. */
export async function httpWatcher(url: string, range: Range, judge: Judge, fail: Fail) {
  const outgoing = post(`${url}/v3/watch`, createRequest(range));
  let open = true;
  const incoming = await answer(outgoing);
  if (incoming.statusCode !== 200) throw new Error(`${judge.name}: ${incoming.statusCode}`);
  onLines(incoming, '\n', (line) => hearEtcd(judge, line, fail));
  for (const end of ['end', 'error', 'close'])
    incoming.on(end, () => open && fail(`${judge.name}: the stream has ended`));
  const close = () => {
    open = false;
    outgoing.destroy();
  };
  return { judge, close } satisfies Watcher;
}

export async function socketWatcher(url: string, range: Range, judge: Judge, fail: Fail) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v3/watch`);
  let open = true;
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => socket.send(createRequest(range)));
    socket.addEventListener('message', ({ data }) => {
      resolve();
      hearEtcd(judge, String(data), fail);
    });
    socket.addEventListener('close', () => {
      reject(new Error('closed'));
      if (open) fail(`${judge.name}: the socket was closed`);
    });
  });
  return {
    judge,
    askProgress: () => socket.send('{"progress_request":{}}'),
    close: () => {
      open = false;
      socket.close();
    },
  } satisfies Watcher;
}

/** An EventSource: comes back with the id of the last message, whoever ended the connection. */
export async function eventsWatcher(url: string, range: Range, judge: Judge, fail: Fail) {
  const { key, end, from } = range;
  const keys = end === null ? `key=${key}` : `start=${key}&end=${end}`;
  const target = `${url}/v1/watch?${keys}${from === null ? '' : `&from=${from}`}`;
  let outgoing: ClientRequest | null = null;
  let open = true;
  let lastId = '';
  const once = async (onOpen: () => void) => {
    const headers = { accept: 'text/event-stream', ...(lastId ? { 'last-event-id': lastId } : {}) };
    outgoing = request(target, { headers, agent: false });
    outgoing.end();
    const incoming = await answer(outgoing);
    if (incoming.statusCode !== 200) {
      if (incoming.statusCode !== 503) fail(`${judge.name}: ${incoming.statusCode}`);
      return;
    }
    onOpen();
    await new Promise<void>((resolve) => {
      onLines(incoming, '\n\n', (text) => {
        lastId = hearEvent(judge, text, fail) ?? lastId;
      });
      for (const event of ['end', 'error', 'close']) incoming.on(event, () => resolve());
    });
  };
  await new Promise<void>((resolve) => {
    void (async () => {
      while (open) {
        await once(resolve).catch(() => {});
        if (open) await sleep(retryMs);
      }
    })();
  });
  return {
    judge,
    cut: () => outgoing?.destroy(),
    close: () => {
      open = false;
      outgoing?.destroy();
    },
  } satisfies Watcher;
}

/** The id, when there is one. */
function hearEvent(judge: Judge, text: string, fail: Fail): string | null {
  const field = (name: string) =>
    text
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  const data = JSON.parse(field('data') ?? '{}') as { revision: number; events: Told[] };
  switch (field('event')) {
    case 'change':
      judge.hear(data.revision, data.events);
      break;
    case 'progress':
      judge.progress(data.revision);
      break;
    case undefined:
      return null;
    default:
      fail(`${judge.name}: ${text}`);
  }
  return field('id') ?? null;
}

function post(url: string, body: string): ClientRequest {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const outgoing = request(url, { method: 'POST', headers, agent: false });
  outgoing.end(body);
  return outgoing;
}

function answer(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', resolve);
  });
}

function onLines(incoming: IncomingMessage, separator: string, hear: (text: string) => void): void {
  let rest = '';
  incoming.setEncoding('utf8');
  incoming.on('data', (chunk: string) => {
    rest += chunk;
    const texts = rest.split(separator);
    rest = texts.pop() ?? '';
    for (const text of texts) if (text.trim() !== '') hear(text);
  });
}
