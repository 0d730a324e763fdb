/** The process of canned.ts: answers every put and every get with the same message, without reading it. */
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { encodeResponse, grpcPath } from './grpc-messages.ts';
import { keyOf, type Operation, operations, randomValue } from './workload.ts';

const header = { cluster_id: '1', member_id: '1', revision: '10000', raft_term: '2' };
const kv = { key: keyOf(0), create_revision: '2', mod_revision: '9999', version: '3' };
const answers: Readonly<Record<Operation, Uint8Array>> = {
  put: encodeResponse('put', { header }),
  get: encodeResponse('get', { header, kvs: [{ ...kv, value: randomValue() }], count: '1' }),
};
const answerAt = new Map<string, Uint8Array>(
  operations.map((operation) => [grpcPath[operation], answers[operation]]),
);

function answer(stream: ServerHttp2Stream, path: string): void {
  const framed = answerAt.get(path);
  stream.on('error', () => {});
  stream.resume();
  stream.on('end', () => {
    if (framed === undefined) {
      stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true });
      return;
    }
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(framed);
  });
}

const server = createServer();
server.on('stream', (stream, headers) => answer(stream, headers[':path'] ?? ''));
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
