/** Something that listens where the service of a bridge should, and answers as a test wants it to. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { protobufType } from '../../src/api/frames.ts';

export type Answerer = (response: ServerResponse, request: IncomingMessage, body: Buffer) => void;

export interface StubService {
  readonly url: string;
  /** For all requests from now on. */
  answer: Answerer;
  stop(): Promise<void>;
}

/** A message without a field, which is one of every kind. */
export const emptyMessage: Answerer = (response) =>
  response.writeHead(200, { 'content-type': protobufType }).end();

/** `port`: 0 is any that is free. */
export async function startStubService(port = 0): Promise<StubService> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => stub.answer(response, request, Buffer.concat(chunks)));
  });
  server.on('upgrade', (request: IncomingMessage, socket) => {
    socket.on('error', () => {});
    const response = new ServerResponse(request);
    response.assignSocket(socket as Socket);
    socket.on('drain', () => response.emit('drain'));
    response.on('finish', () => socket.end());
    stub.answer(response, request, Buffer.alloc(0));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const stub: StubService = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: emptyMessage,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return stub;
}
