/** A field that is named twice in JSON: refused, as by etcd 3.5, whose parser sees both. */
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TxnRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { readMessage } from '../../src/router/etcd/json-message.ts';

const read = (text: string) => readMessage(TxnRequestSchema, text);
const putOf = (fields: string) => `{"success":[{"requestPut":{${fields}}}]}`;

describe('a field that is named twice is refused, and the refusal names it', () => {
  test.each([
    ['in the message', '{"success":[],"success":[]}', 'success'],
    ['in a message within', putOf('"key":"YQ==","value":"Yg==","value":"Yw=="'), 'value'],
    ['with the same value', putOf('"key":"YQ==","key":"YQ=="'), 'key'],
    ['first as null', putOf('"key":null,"key":"YQ=="'), 'key'],
    ['in both spellings', putOf('"prev_kv":true,"prevKv":true'), 'prevKv'],
    ['with an escape in one', putOf('"key":"YQ==","k\\u0065y":"YQ=="'), 'k\\u0065y'],
    ['with space between', putOf('"key" : "YQ==" ,\n"key"\t:"YQ=="'), 'key'],
    ['after a message within', '{"success":[{"requestPut":{}}],"success":[]}', 'success'],
    ['in a later item of a list', '{"success":[{},{"requestPut":{"key":"","key":""}}]}', 'key'],
    ['after what nobody knows', putOf('"x":{"key":[{}]},"key":"","key":""'), 'key'],
    ['beside a number of many digits', putOf('"lease":9223372036854775807,"lease":1'), 'lease'],
    ['where the last alone makes sense', '{"success":[[{"x":[]}]],"success":[]}', 'success'],
  ])('%s', (_, text, name) => {
    expect(() => read(text)).toThrow(`proto: duplicate field "${name}"`);
  });
});

describe('a name may come again', () => {
  test.each([
    ['in another message', '{"success":[{"requestPut":{"key":""}},{"requestPut":{"key":""}}]}'],
    ['in a transaction within', '{"success":[{"requestTxn":{"success":[]}}],"failure":[]}'],
    ['when nobody knows it', putOf('"x":1,"x":2')],
    ['inside what nobody knows', putOf('"x":{"key":1,"key":{"key":1,"key":2}},"key":""')],
    ['in a list that nobody knows', putOf('"x":[{"key":1,"key":2},"key",{"key":1}],"key":""')],
    ['as a value', '{"success":[{"requestPut":{"x":"key","key":""}}],"x":["success","failure"]}'],
    ['in a string', putOf('"x":"\\",\\"key\\":1","y":"\\\\","key":""')],
    ['after the first value of the body', `${putOf('"key":""')}${putOf('"key":"","key":""')}`],
  ])('%s', (_, text) => {
    expect(() => read(text)).not.toThrow();
  });
});

test('whatever names and strings there are, what is written once is taken, and twice is not', () => {
  const string = fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', ':', ',', 'k') });
  const value = fc.jsonValue({ maxDepth: 3 });
  const member = fc.tuple(fc.string({ unit: fc.constantFrom('"', '\\', '{', ':', 'z') }), value);
  fc.assert(
    fc.property(fc.array(member), string, fc.boolean(), (others, text, isTwice) => {
      const known = `"serializable":true,"note":${JSON.stringify(text)}`;
      const members = others.map(([name, any]) => `${JSON.stringify(name)}:${JSON.stringify(any)}`);
      const range = `{${[known, ...members, ...(isTwice ? [known] : [])].join(',')}}`;
      const body = `{"success":[{"request_range":${range}}]}`;
      if (isTwice) expect(() => read(body)).toThrow('proto: duplicate field "serializable"');
      else {
        const request = { case: 'requestRange', value: { serializable: true } } as const;
        const expected = create(TxnRequestSchema, { success: [{ request }] });
        expect(toBinary(TxnRequestSchema, read(body))).toEqual(
          toBinary(TxnRequestSchema, expected),
        );
      }
    }),
  );
});
