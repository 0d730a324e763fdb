/** Which calls may share a request: those whose answers are small, whatever the store holds. */
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  DeleteRangeRequestSchema,
  LeaseGrantRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  TxnRequestSchema,
} from '../../src/api/gen/rpc_pb.js';
import { hasSmallAnswer } from '../../src/api/small-answers.ts';

const key = new Uint8Array([97]);
const rangeEnd = new Uint8Array([98]);

const of = <D extends DescMessage>(rpc: string, desc: D, init: MessageInitShape<D>) =>
  hasSmallAnswer(rpc, toBinary(desc, create(desc, init)));
const ofRange = (init: MessageInitShape<typeof RangeRequestSchema>) =>
  of('kv/range', RangeRequestSchema, init);
const ofTxn = (init: MessageInitShape<typeof TxnRequestSchema>) =>
  of('kv/txn', TxnRequestSchema, init);
const get = { request: { case: 'requestRange', value: { key } } } as const;
const list = { request: { case: 'requestRange', value: { key, rangeEnd } } } as const;
const put = { request: { case: 'requestPut', value: { key } } } as const;

test('a read of one key has one, a range has not', () => {
  expect(ofRange({ key })).toBe(true);
  expect(ofRange({ key, rangeEnd })).toBe(false);
  expect(ofRange({ key, rangeEnd, limit: 1n })).toBe(false);
});

test('a put has one, a delete of one key, and a grant', () => {
  expect(of('kv/put', PutRequestSchema, { key, prevKv: true })).toBe(true);
  expect(of('kv/deleterange', DeleteRangeRequestSchema, { key, prevKv: true })).toBe(true);
  expect(of('kv/deleterange', DeleteRangeRequestSchema, { key, rangeEnd })).toBe(false);
  expect(of('lease/grant', LeaseGrantRequestSchema, { TTL: 5n })).toBe(true);
});

test('a transaction has one while neither branch can bring more than four values', () => {
  expect(ofTxn({ success: [put, get, get], failure: [get, get, get, get] })).toBe(true);
  expect(ofTxn({ failure: [get, get, get, get, get] })).toBe(false);
  expect(ofTxn({ success: [list] })).toBe(false);
  const nested = { case: 'requestTxn', value: create(TxnRequestSchema, { failure: [list] }) };
  expect(ofTxn({ success: [{ request: nested } as never] })).toBe(false);
  expect(ofTxn({ compare: [{ key, rangeEnd }], success: [put] })).toBe(false);
  expect(ofTxn({ compare: [{ key }], success: new Array(128).fill(put) })).toBe(true);
});

test('what is no such call, or no message, has none', () => {
  for (const rpc of ['kv/compaction', 'maintenance/hash', 'auth/authenticate', 'lease/leases', ''])
    expect(hasSmallAnswer(rpc, new Uint8Array())).toBe(false);
  expect(hasSmallAnswer('kv/range', new Uint8Array([0x0a, 9]))).toBe(false);
});
