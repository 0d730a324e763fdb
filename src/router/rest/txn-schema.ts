/**
 * The body of POST /v1/txn. Strict: a misspelled member is an error, since a transaction whose
 * `compare` was ignored would still write.
 */
import * as v from 'valibot';
import { maxTxnOps } from '../../api/limits.ts';

const encoding = v.optional(v.picklist(['utf8', 'base64']), 'utf8');
const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A lease id uses 64 bits, so it is text. */
const leaseId = v.pipe(v.string(), v.regex(/^-?\d{1,19}$/));
const comparator = v.optional(v.picklist(['=', '!=', '<', '>']), '=');
const key = v.pipe(v.string(), v.minLength(1));

const range = {
  prefix: v.optional(v.string()),
  start: v.optional(v.string()),
  end: v.optional(v.string()),
};

const compare = v.variant('target', [
  v.strictObject({ target: v.literal('value'), key, encoding, op: comparator, value: v.string() }),
  v.strictObject({ target: v.literal('lease'), key, encoding, op: comparator, value: leaseId }),
  v.strictObject({
    target: v.picklist(['version', 'create_revision', 'mod_revision']),
    key,
    encoding,
    op: comparator,
    value: revision,
  }),
]);

const operation = v.variant('type', [
  v.strictObject({ type: v.literal('get'), key, encoding, revision: v.optional(revision) }),
  v.strictObject({
    type: v.literal('list'),
    ...range,
    encoding,
    limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000)), 100),
    keys_only: v.optional(v.boolean(), false),
    count_only: v.optional(v.boolean(), false),
    revision: v.optional(revision),
  }),
  v.strictObject({
    type: v.literal('put'),
    key,
    value: v.string(),
    encoding,
    prev: v.optional(v.boolean(), false),
  }),
  v.strictObject({
    type: v.literal('delete'),
    key: v.optional(key),
    ...range,
    encoding,
    prev: v.optional(v.boolean(), false),
  }),
]);

/** Longer lists are `txn-too-large`, which the store's own check says; this bounds the work. */
const listMax = 2 * maxTxnOps;
const operations = v.optional(v.pipe(v.array(operation), v.maxLength(listMax)), []);

/** To valibot an array is an object too: one without any members. */
const noArray = v.check((body: unknown) => !Array.isArray(body), 'Expected an object');

const txnObject = v.strictObject({
  compare: v.optional(v.pipe(v.array(compare), v.maxLength(listMax)), []),
  // biome-ignore lint/suspicious/noThenProperty: the member's name in the API; nobody awaits this.
  then: operations,
  else: operations,
});

export const txnSchema = v.pipe(v.unknown(), noArray, txnObject);

export type TxnBody = v.InferOutput<typeof txnSchema>;
export type TxnCompare = v.InferOutput<typeof compare>;
export type TxnOperation = v.InferOutput<typeof operation>;
