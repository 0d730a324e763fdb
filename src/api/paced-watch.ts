/**
 * A watch of /v3 over a WebSocket at the pace of its client, which offers this subprotocol: messages as of `protobuf`, and
 * an empty message of the client whenever it has taken so many bytes more. A service of older code speaks `protobuf`
 * instead, and takes the empty message for a request that asks for nothing.
 */
export const pacedWatch = {
  protocol: 'protobuf-paced',
  acknowledgeBytes: 4 * 1024 * 1024,
} as const;
