/** Random requests over few keys, so that they meet each other often. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  CompareSchema,
  DeleteRangeRequestSchema,
  LeaseGrantRequestSchema,
  LeaseRevokeRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  type RequestOp,
  RequestOpSchema,
  type TxnRequest,
  TxnRequestSchema,
} from '../../src/api/gen/rpc_pb.js';

const keyTexts = ['a', 'a\0', 'ab', 'b', 'ba', 'c', 'd', 'd\xff', 'e'];

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
const key = fc.constantFrom(...keyTexts).map(bytesOf);
const rangeEnd = fc
  .oneof(
    { weight: 3, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: fc.constant('\0') },
    { weight: 3, arbitrary: fc.constantFrom(...keyTexts, 'z') },
  )
  .map(bytesOf);

/** Some longer than what a sort by value keeps of each. */
const value = fc
  .oneof(
    fc.constantFrom('', '0', '1', '2'),
    fc.constantFrom('0', '1', '2').map((last) => `${'long'.repeat(20)}${last}`),
  )
  .map(bytesOf);

const sometimes = fc.integer({ min: 0, max: 3 }).map((roll) => roll === 0);
const rarely = fc.integer({ min: 0, max: 15 }).map((roll) => roll === 0);
/** Around the revisions that a short history reaches. */
const revision = fc.bigInt({ min: -2n, max: 40n });
const orZero = (arbitrary: fc.Arbitrary<bigint>): fc.Arbitrary<bigint> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary });

const leaseIds = [1n, 12n, -9n, 2n ** 63n - 1n];
const lease = fc.constantFrom(...leaseIds);

export const anyGrant = fc
  .record({ ID: lease, TTL: fc.constantFrom(-1n, 0n, 60n, 9_000_000_000n, 9_000_000_001n) })
  .map((init) => create(LeaseGrantRequestSchema, init));

export const anyRevoke = lease.map((ID) => create(LeaseRevokeRequestSchema, { ID }));

/** `isCurrent`: names the grant that stands, if there is one, and not another. */
export const anyExpiry = fc.record({ id: lease, isCurrent: fc.boolean() });

/** For a run in one entry. */
export const anyPlainPut = fc.record({ key, value }).map((init) => create(PutRequestSchema, init));

export const anyPut = fc
  .record({
    ...{ key, value, prevKv: sometimes, ignoreValue: rarely, ignoreLease: rarely },
    lease: fc.oneof(fc.constant(0n), lease),
  })
  .map((init) =>
    create(PutRequestSchema, {
      ...init,
      value: init.ignoreValue ? bytesOf('') : init.value,
      lease: init.ignoreLease ? 0n : init.lease,
    }),
  );

export const anyDelete = fc
  .record({ key, rangeEnd, prevKv: sometimes })
  .map((init) => create(DeleteRangeRequestSchema, init));

export const anyRange = fc
  .record({
    key,
    rangeEnd,
    revision: orZero(revision),
    limit: orZero(fc.bigInt({ min: -1n, max: 6n })),
    sortOrder: fc.constantFrom(0, 0, 1, 2, 9),
    sortTarget: fc.constantFrom(0, 0, 1, 2, 3, 4),
    keysOnly: sometimes,
    countOnly: rarely,
    minModRevision: orZero(revision),
    maxModRevision: orZero(revision),
    minCreateRevision: orZero(revision),
    maxCreateRevision: orZero(revision),
  })
  .map((init) => create(RangeRequestSchema, init as MessageInitShape<typeof RangeRequestSchema>));

const number = fc.oneof(fc.bigInt({ min: 0n, max: 8n }), lease);
const targetUnion = fc.oneof(
  fc.record({ case: fc.constant('version' as const), value: number }),
  fc.record({ case: fc.constant('createRevision' as const), value: number }),
  fc.record({ case: fc.constant('modRevision' as const), value: number }),
  fc.record({ case: fc.constant('lease' as const), value: number }),
  fc.record({ case: fc.constant('value' as const), value }),
);
const targets = ['version', 'createRevision', 'modRevision', 'value', 'lease'];

const anyCompare = fc
  .record({
    key,
    rangeEnd,
    result: fc.constantFrom(0, 1, 2, 3),
    targetUnion,
    mismatch: rarely,
    other: fc.constantFrom(0, 1, 2, 3, 4),
  })
  .map(({ mismatch, other, ...init }) => {
    const target = mismatch ? other : targets.indexOf(init.targetUnion.case);
    return create(CompareSchema, { ...init, target } as MessageInitShape<typeof CompareSchema>);
  });

const anyPlainOp = fc.oneof(
  anyPut.map((value) => ({ case: 'requestPut' as const, value })),
  anyDelete.map((value) => ({ case: 'requestDeleteRange' as const, value })),
  anyRange.map((value) => ({ case: 'requestRange' as const, value })),
);

function anyOp(depth: number): fc.Arbitrary<RequestOp> {
  const nested = () => anyTxn(depth - 1).map((value) => ({ case: 'requestTxn' as const, value }));
  const request =
    depth === 0
      ? anyPlainOp
      : fc.oneof({ weight: 3, arbitrary: anyPlainOp }, { weight: 1, arbitrary: nested() });
  return request.map((op) => create(RequestOpSchema, { request: op as RequestOp['request'] }));
}

/** With transactions nested up to `depth` deep. */
export function anyTxn(depth: number): fc.Arbitrary<TxnRequest> {
  const ops = fc.array(anyOp(depth), { maxLength: 4 });
  return fc
    .record({ compare: fc.array(anyCompare, { maxLength: 2 }), success: ops, failure: ops })
    .map((init) => create(TxnRequestSchema, init));
}
