/**
 * /v3/watch as a WebSocket: JSON values in messages either way, as etcd does it; with the subprotocol
 * `protobuf` one request or response in each binary message, and with `protobuf-paced` that at the
 * client's pace (docs/decisions/bridge.md).
 */
import {
  type WatchRequest,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { maxMessageBytes } from '../../api/limits.ts';
import { pacedWatch } from '../../api/paced-watch.ts';
import { credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { noteEnd, type StreamEnd } from '../http/stream-ends.ts';
import { BoundedSocket, offeredProtocols, PacedSocket, upgraded } from '../http/web-socket.ts';
import { WatchSession } from '../watch/session.ts';
import { BadMessage } from './bad-message.ts';
import { badStreamBody, streamError } from './errors.ts';
import { jsonForm, protobufForm, SentJson, SentProtobuf } from './form.ts';
import { decodeText } from './json-text.ts';
import { requiresLeader } from './request.ts';
import { streamRequestsMax } from './stream-body.ts';
import { EtcdWatchStream, notifyEveryMs } from './watch-stream.ts';

/** A client that is sent so much and says nothing meanwhile is closed, and may come back. */
const unheardBytesMax = 32 * 1024 * 1024;
/** On its way to a client that acknowledges. */
const windowBytes = 2 * pacedWatch.acknowledgeBytes;
const closeCodes = { notUnderstood: 1007, failed: 1011, tryAgainLater: 1013 } as const;
const protobufProtocol = 'protobuf';

interface Wire {
  /** Throws BadMessage at what is none; the requests before it have come. */
  read(data: string | ArrayBuffer): Iterable<WatchRequest>;
  write(response: WatchResponse): string | Uint8Array;
}

const jsonWire: Wire = {
  *read(data) {
    const text = typeof data === 'string' ? data : decodeText(new Uint8Array(data));
    if (text.length > maxMessageBytes) throw new BadMessage('message larger than max');
    let left = streamRequestsMax;
    for (const sent of new SentJson(text).messages()) {
      if (left-- === 0)
        throw new BadMessage(`more than ${streamRequestsMax} requests in a message`);
      yield sent.message(WatchRequestSchema);
    }
  },
  write: (response) => `{"result":${jsonForm.encode(WatchResponseSchema, response)}}`,
};

const protobufWire: Wire = {
  read(data) {
    if (typeof data === 'string') throw new BadMessage('a request is a binary message');
    if (data.byteLength > maxMessageBytes) throw new BadMessage('message larger than max');
    return [new SentProtobuf(new Uint8Array(data)).message(WatchRequestSchema)];
  },
  write: (response) => protobufForm.encode(WatchResponseSchema, response) as Uint8Array,
};

type Form = 'json' | typeof protobufProtocol | typeof pacedWatch.protocol;

export function serveWatchSocket(request: Request, env: RouterEnv, tenant: string): Response {
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  const names = offeredProtocols(request);
  const binary = ([pacedWatch.protocol, protobufProtocol] as const).find((name) =>
    names.includes(name),
  );
  const session = new WatchSession({
    ...{ env, tenant, credentials: credentialsOf(request, env) },
    requireLeader: requiresLeader(request),
  });
  const end = serve(server, session, binary ?? 'json');
  return noteEnd(upgraded(client, binary ?? names[0]), end);
}

/** Resolves when it is over. */
function serve(server: WebSocket, session: WatchSession, form: Form): Promise<StreamEnd> {
  const wire = form === 'json' ? jsonWire : protobufWire;
  const stream = new EtcdWatchStream(session);
  const ticker = setInterval(() => stream.tick(), notifyEveryMs);
  const end = Promise.withResolvers<StreamEnd>();
  const bounded = new BoundedSocket(server, unheardBytesMax);
  const paced = form === pacedWatch.protocol ? new PacedSocket(server, windowBytes) : null;
  const gone = () => {
    clearInterval(ticker);
    session.close();
    paced?.gone();
    end.resolve('gone');
  };
  server.binaryType = 'arraybuffer';
  server.accept();
  server.addEventListener('message', ({ data }) => {
    bounded.heard();
    if (data instanceof ArrayBuffer && data.byteLength === 0)
      paced?.taken(pacedWatch.acknowledgeBytes);
    try {
      for (const asked of wire.read(data as string | ArrayBuffer)) stream.ask(asked);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      // etcd says it and breaks the connection if it is the first message; later it listens no more, in silence.
      bounded.sendAnyway(badStreamBody(error.message));
      server.close(closeCodes.notUnderstood, error.message.slice(0, 100));
      gone();
    }
  });
  server.addEventListener('close', gone);
  server.addEventListener('error', gone);
  const run = async () => {
    for await (const message of session) {
      if (message.type === 'noLeader') {
        bounded.sendAnyway(streamError('NoLeader').trimEnd());
        server.close(closeCodes.tryAgainLater, 'no leader');
        return;
      }
      for (const response of stream.responses(message)) {
        const data = wire.write(response);
        const isSent = paced ? await paced.send(data) : bounded.send(data);
        if (isSent) continue;
        if (!paced)
          server.close(closeCodes.tryAgainLater, 'too much was sent since the last request');
        return;
      }
    }
  };
  void run()
    .catch((error: unknown) => {
      // Ours: a client that was left with an open socket would wait for ever.
      console.error(error);
      server.close(closeCodes.failed, 'internal error');
    })
    .finally(gone);
  return end.promise;
}
