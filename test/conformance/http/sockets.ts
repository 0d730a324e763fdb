/**
 * Calls of /v3 over a WebSocket: what is sent, and what is said. Recorded from 3.4.23 (test/etcd/http.test.ts asks it
 * again); of a parser's words the code alone is compared, and of what a socket is closed with nothing: etcd breaks it.
 */
export interface SocketCall {
  readonly what: string;
  /** Below /v3/. */
  readonly path: string;
  readonly sent: readonly (string | Buffer)[];
  /** Without headers; an error by its code. */
  readonly said: readonly unknown[];
  /** Whether the server ends it then. */
  readonly ends: boolean;
}

/** A lease that the calls may use. */
export const socketLease = { ID: 77, TTL: 100 };

const renewed = { result: { ID: '77', TTL: '100' } };
const gone = { result: { ID: '78' } };

export const socketCalls: readonly SocketCall[] = [
  {
    what: 'keep-alives one after another',
    path: 'lease/keepalive',
    sent: ['{"ID":77}', '{"ID":78}', '{"ID":77}'],
    said: [renewed, gone, renewed],
    ends: false,
  },
  {
    what: 'several in one message',
    path: 'lease/keepalive',
    sent: ['{"ID":77}{"ID":78}'],
    said: [renewed, gone],
    ends: false,
  },
  {
    what: 'a message of bytes',
    path: 'lease/keepalive',
    sent: [Buffer.from('{"ID":77}')],
    said: [renewed],
    ends: false,
  },
  {
    what: 'nonsense',
    path: 'lease/keepalive',
    sent: ['nonsense'],
    said: [{ code: 2 }],
    ends: true,
  },
  {
    what: 'a unary call',
    path: 'kv/range',
    sent: ['{"key":"bm9uZQ==","count_only":true}'],
    said: [{}],
    ends: true,
  },
  { what: 'one that is refused', path: 'kv/range', sent: ['{}'], said: [{ code: 3 }], ends: true },
  { what: 'one that is none', path: 'kv/range', sent: ['xx'], said: [{ code: 3 }], ends: true },
  {
    what: 'one with a method in its query',
    path: 'kv/range?method=PUT',
    sent: ['{"key":"bm9uZQ=="}'],
    said: [{}],
    ends: true,
  },
  {
    what: 'one without a code',
    path: 'election/leader',
    sent: ['{"name":"bm9uZQ=="}'],
    said: [{ code: 2 }],
    ends: true,
  },
  {
    what: 'one that waits',
    path: 'election/observe',
    sent: ['{"name":"bm9uZQ=="}'],
    said: [],
    ends: false,
  },
];

const withinMs = 10_000;
/** What is to say no more is listened to for so long. */
const quietMs = 200;

export async function socketDifference(url: string, call: SocketCall): Promise<string | null> {
  const said: unknown[] = [];
  let ended = false;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v3/${call.path}`);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, call.said.length === 0 && !call.ends ? quietMs : withinMs);
    const look = () => {
      const isAll = said.length >= call.said.length && (ended || !call.ends);
      if (!isAll && !ended) return;
      clearTimeout(timer);
      setTimeout(resolve, quietMs);
    };
    socket.addEventListener('open', () => {
      for (const message of call.sent) socket.send(message);
    });
    socket.addEventListener('message', ({ data }) => {
      said.push(withoutHeaders(JSON.parse(String(data))));
      look();
    });
    for (const over of ['close', 'error'] as const)
      socket.addEventListener(over, () => {
        ended = true;
        look();
      });
  });
  const [found, wanted] = [
    { said, ended },
    { said: call.said, ended: call.ends },
  ].map((one) => JSON.stringify(one));
  socket.close();
  return found === wanted ? null : `${call.what}: ${found}`;
}

function withoutHeaders(message: unknown): unknown {
  const { header: _, ...rest } = message as Record<string, unknown>;
  if ('code' in rest) return { code: rest.code };
  return 'result' in rest ? { result: withoutHeaders(rest.result) } : rest;
}
