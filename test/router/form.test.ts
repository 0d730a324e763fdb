/** What is read from a protobuf body, before anything is asked with it. */
import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { LeaseRevokeRequestSchema, PutRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { BadMessage } from '../../src/router/etcd/bad-message.ts';
import { SentProtobuf } from '../../src/router/etcd/form.ts';

const request = create(PutRequestSchema, { key: new Uint8Array([1]), lease: -1n });
const encoded = toBinary(PutRequestSchema, request);

describe('a message in protobuf', () => {
  it('loses the fields that nobody knows, or they would stand in the log', () => {
    const more = new Uint8Array([...encoded, 0xfa, 0x3f, 3, 1, 2, 3]);
    const read = new SentProtobuf(more).message(PutRequestSchema);
    expect(toBinary(PutRequestSchema, read)).toEqual(encoded);
  });

  it.each([
    ['cut short', encoded.subarray(0, encoded.length - 1)],
    ['with a string that ends beyond it', new Uint8Array([0x0a, 200])],
    ['with a group that never began', new Uint8Array([0x0c])],
  ])('%s is refused', (_, bytes) => {
    expect(() => new SentProtobuf(bytes).message(PutRequestSchema)).toThrow(BadMessage);
  });
});

describe('messages in one body', () => {
  const frame = [0, 0, 0, 0, 2, 0x08, 7];

  it.each([
    ['nothing', [], 0],
    ['one', frame, 1],
    ['two and an empty one', [...frame, ...frame, 0, 0, 0, 0, 0], 3],
  ])('%s', (_, body, count) => {
    const sent = [...new SentProtobuf(new Uint8Array(body)).messages()];
    expect(sent.length).toBe(count);
    for (const one of sent) one.message(LeaseRevokeRequestSchema);
  });

  it.each([
    ['a head cut short', [...frame, 0, 0]],
    ['a length beyond the end', [...frame, 0, 0xff, 0xff, 0xff, 0xff, 1]],
    ['flags of a compressed message', [...frame, 1, 0, 0, 0, 0]],
  ])('%s is no message, and nothing after it is read', (_, body) => {
    const sent = [...new SentProtobuf(new Uint8Array(body)).messages()];
    expect(sent.length).toBe(2);
    expect(sent[0]?.message(LeaseRevokeRequestSchema).ID).toBe(7n);
    expect(() => sent[1]?.message(LeaseRevokeRequestSchema)).toThrow(BadMessage);
  });
});
