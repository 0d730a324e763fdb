/** gRPC's frames, as /v3 has them in protobuf bodies: a byte of flags, four bytes of length, the message. */

export function framed(messages: readonly Uint8Array[]): Uint8Array {
  const parts = messages.flatMap((message) => {
    const head = new Uint8Array(5);
    new DataView(head.buffer).setUint32(1, message.length);
    return [head, message];
  });
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** Flags and bytes. */
export function frames(data: Uint8Array): [number, Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  const view = new DataView(data.buffer, data.byteOffset);
  for (let at = 0; at < data.length; ) {
    const end = at + 5 + view.getUint32(at + 1);
    found.push([data[at] as number, data.subarray(at + 5, end)]);
    at = end;
  }
  return found;
}
