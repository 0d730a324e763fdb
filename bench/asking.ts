/** One put or get of the bench's own at a contender, in its form: to check it, and to wake it up. */
import { type Contender, formOf } from './contender.ts';
import { type GrpcAnswer, GrpcConnection, isSuccess } from './grpc-connection.ts';
import { decodeResponse, encodeRequest, grpcPath } from './grpc-messages.ts';
import { callJson } from './http.ts';
import { type Operation, operationPath } from './workload.ts';

/** The part of an answer that the bench looks at, in the JSON of etcd's gateway. */
export interface GatewayReply {
  readonly header?: { readonly revision?: string };
  readonly kvs?: readonly { readonly value?: string }[];
}

/** `body`: of the JSON gateway, whatever form is spoken. Throws on everything but success. */
export function ask(
  { name, url }: Contender,
  operation: Operation,
  body: string,
): Promise<GatewayReply> {
  if (formOf[name] === 'json') return callJson(url + operationPath[operation], body);
  return askGrpc(url, operation, body);
}

async function askGrpc(url: string, operation: Operation, body: string): Promise<GatewayReply> {
  const connection = await GrpcConnection.open(url);
  try {
    const answer = await new Promise<GrpcAnswer>((resolve) => {
      connection.call(grpcPath[operation], encodeRequest(operation, body), resolve);
    });
    if (!isSuccess(answer))
      throw new Error(`${url}: gRPC status ${answer.status} to a ${operation}`);
    return decodeResponse(operation, Buffer.concat(answer.chunks)) as GatewayReply;
  } finally {
    connection.close();
  }
}
