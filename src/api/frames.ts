/**
 * Protobuf over HTTP as /v3 offers it beside JSON (docs/decisions/bridge.md): a content type, and for a stream gRPC's frames, a
 * byte of flags, four bytes of length, the message.
 */
export const protobufType = 'application/protobuf';

export const frameHeadBytes = 5;
/** Of the frame that ends a stream with an error: the JSON that says it. Any other frame has no flags. */
export const errorFlag = 0x80;

export function frame(flags: number, bytes: Uint8Array): Uint8Array {
  const framed = new Uint8Array(frameHeadBytes + bytes.length);
  framed[0] = flags;
  new DataView(framed.buffer).setUint32(1, bytes.length);
  framed.set(bytes, frameHeadBytes);
  return framed;
}
