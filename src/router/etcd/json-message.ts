/**
 * From a JSON value to a protobuf message, by the schema and by etcd's rules.
 *
 * protobuf-es has `fromJson`, but it is stricter than etcd in some places (`"1e2"` for an int64,
 * enums as `"1"`), laxer in others (`" 1 "`, `"0x1"` and `""` for an int64, spaces in base64), and
 * with `ignoreUnknownFields` it also ignores unknown enum names. A layer that first rewrites the
 * value would walk it twice; this walks once and knows every rule itself.
 */
import {
  create,
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { maxMessageBytes } from '../../api/limits.ts';
import { BadMessage } from './bad-message.ts';
import { decodeBase64 } from './base64.ts';
import { type FieldNames, fieldNamedTwice, type NamedField } from './json-names.ts';
import { LongNumber, parseFirstValue } from './json-text.ts';

/** Deeper nesting is refused; the deepest request that means anything is 16 transactions. */
const depthMax = 100;

/** Thrown when a number needs the digits that JSON.parse has already lost. */
class NeedsDigits extends Error {}

/** The message that the first JSON value of `text` describes; throws BadMessage. */
export function readMessage<D extends DescMessage>(desc: D, text: string): MessageShape<D> {
  const { read, fields } = readerFor(desc);
  let message: unknown;
  try {
    message = read(parseFirstValue(text), 0);
  } catch (error) {
    if (!(error instanceof NeedsDigits)) throw error;
    message = read(parseFirstValue(text, true), 0);
  }
  const twice = fieldNamedTwice(text, fields);
  if (twice !== null) throw new BadMessage(`proto: duplicate field "${twice}"`);
  return message as MessageShape<D>;
}

/** A message is never longer encoded than as JSON, so only long texts need to be measured. */
export function encodedSize<D extends DescMessage>(
  desc: D,
  message: MessageShape<D>,
  textLength: number,
): number {
  return textLength <= maxMessageBytes ? textLength : toBinary(desc, message).length;
}

type Fields = Record<string, unknown>;
type ReadValue = (json: unknown, depth: number) => unknown;

interface FieldReader extends NamedField {
  readonly field: DescField;
  /** Property of the message: the field's own, or its oneof's. */
  readonly property: string;
  readonly oneofCase: string | null;
  readonly read: ReadValue;
}

interface MessageReader {
  readonly fields: FieldNames;
  readonly read: ReadValue;
}

const readers = new Map<DescMessage, MessageReader>();

function readerFor(desc: DescMessage): MessageReader {
  let reader = readers.get(desc);
  if (reader === undefined) {
    const fields = new Map<string, FieldReader>();
    reader = { fields, read: (json, depth) => readObject(desc, fields, json, depth) };
    // Before the fields: a transaction contains transactions.
    readers.set(desc, reader);
    if (desc.fields.length > 32) throw new Error(`more fields than bits: ${desc.typeName}`);
    for (const [index, field] of desc.fields.entries()) {
      const fieldReader = {
        bit: 1 << index,
        inside: field.message === undefined ? null : readerFor(field.message).fields,
        field,
        property: field.oneof?.localName ?? field.localName,
        oneofCase: field.oneof === undefined ? null : field.localName,
        read: valueReader(field),
      };
      // Both spellings are accepted: range_end and rangeEnd.
      fields.set(field.name, fieldReader).set(field.jsonName, fieldReader);
    }
  }
  return reader;
}

function readObject(
  desc: DescMessage,
  fields: ReadonlyMap<string, FieldReader>,
  json: unknown,
  depth: number,
): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new BadMessage(
      `proto: syntax error: unexpected token ${show(json)} for ${desc.typeName}`,
    );
  }
  if (depth > depthMax) throw new BadMessage('proto: exceeded maximum recursion depth');
  const message = create(desc) as Fields;
  const source = json as Fields;
  for (const key of Object.keys(source)) {
    const reader = fields.get(key);
    if (reader === undefined) continue; // Unknown fields are ignored.
    const value = source[key];
    if (value === null || value === undefined) continue; // null is the default.
    const { property, oneofCase } = reader;
    if (oneofCase === null) {
      message[property] = reader.read(value, depth + 1);
      continue;
    }
    if ((message[property] as { case?: string }).case !== undefined) {
      const oneof = reader.field.oneof?.name ?? '';
      throw new BadMessage(
        `proto: error parsing "${key}", oneof ${desc.typeName}.${oneof} is already set`,
      );
    }
    message[property] = { case: oneofCase, value: reader.read(value, depth + 1) };
  }
  return message;
}

function valueReader(field: DescField): ReadValue {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarReader(field, field.scalar);
    case 'enum':
      return enumReader(field, field.enum.values);
    case 'message':
      return readerFor(field.message).read;
    case 'list':
      return listReader(field);
    case 'map':
      throw new Error(`map fields are not used by etcd: ${field.name}`);
    default:
      return field satisfies never;
  }
}

function listReader(field: DescField & { fieldKind: 'list' }): ReadValue {
  const readItem =
    field.listKind === 'message'
      ? readerFor(field.message).read
      : field.listKind === 'enum'
        ? enumReader(field, field.enum.values)
        : scalarReader(field, field.scalar);
  return (json, depth) => {
    if (!Array.isArray(json)) throw invalid('list', field, json);
    return json.map((item: unknown) => readItem(item, depth));
  };
}

function scalarReader(field: DescField, scalar: ScalarType): ReadValue {
  switch (scalar) {
    case ScalarType.BYTES:
      return (json) => {
        const bytes = typeof json === 'string' ? decodeBase64(json) : null;
        return bytes ?? fail('bytes', field, json);
      };
    case ScalarType.STRING:
      return (json) => (typeof json === 'string' ? json : fail('string', field, json));
    case ScalarType.BOOL:
      return (json) => (typeof json === 'boolean' ? json : fail('bool', field, json));
    case ScalarType.INT64:
      return (json) => readInteger('int64', -(2n ** 63n), 2n ** 63n - 1n, field, json);
    case ScalarType.UINT64:
      return (json) => readInteger('uint64', 0n, 2n ** 64n - 1n, field, json);
    case ScalarType.INT32:
      return (json) => Number(readInteger('int32', -(2n ** 31n), 2n ** 31n - 1n, field, json));
    case ScalarType.UINT32:
      return (json) => Number(readInteger('uint32', 0n, 2n ** 32n - 1n, field, json));
    default:
      throw new Error(`scalar ${scalar} is not used by etcd's requests: ${field.name}`);
  }
}

function readInteger(
  type: string,
  min: bigint,
  max: bigint,
  field: DescField,
  json: unknown,
): bigint {
  const value = integerOf(json);
  return value !== null && value >= min && value <= max ? value : fail(type, field, json);
}

function integerOf(json: unknown): bigint | null {
  if (typeof json === 'number') {
    if (Number.isSafeInteger(json)) return BigInt(json);
    if (Number.isInteger(json)) throw new NeedsDigits();
    return null;
  }
  if (json instanceof LongNumber) return integerOfLiteral(json.source);
  return typeof json === 'string' ? integerOfLiteral(json) : null;
}

const plainInteger = /^-?(?:0|[1-9]\d{0,19})$/;
const numberLiteral = /^(-?)(0|[1-9]\d{0,63})(?:\.(\d{1,64}))?(?:[eE]([+-]?\d{1,4}))?$/;

/** A JSON number literal as an integer, exactly: "1e2", "1.0" and "150e-1" are integers. */
function integerOfLiteral(literal: string): bigint | null {
  if (plainInteger.test(literal)) return BigInt(literal);
  const match = numberLiteral.exec(literal);
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return 0n;
  const shift = Number(exponent) - fraction.length;
  if (shift > 64) return null; // Beyond any 64-bit integer; not worth building.
  if (shift >= 0) return BigInt(sign + digits + '0'.repeat(shift));
  const kept = digits.length + shift;
  return kept > 0 && /^0+$/.test(digits.slice(kept)) ? BigInt(sign + digits.slice(0, kept)) : null;
}

function enumReader(
  field: DescField,
  values: readonly { readonly name: string; readonly number: number }[],
): ReadValue {
  const numbers = new Map(values.map((value) => [value.name, value.number]));
  return (json) => {
    const known = typeof json === 'string' ? numbers.get(json) : undefined;
    if (known !== undefined) return known;
    // Unknown numbers pass, as in etcd, whose checks see them; unknown names do not.
    return Number(readInteger('enum', -(2n ** 31n), 2n ** 31n - 1n, field, json));
  };
}

function fail(type: string, field: DescField, json: unknown): never {
  throw invalid(type, field, json);
}

function invalid(type: string, field: DescField, json: unknown): BadMessage {
  return new BadMessage(`proto: invalid value for ${type} field ${field.name}: ${show(json)}`);
}

const shownMax = 64;

/** What was sent, short enough for a message. */
function show(json: unknown): string {
  if (Array.isArray(json)) return '[';
  if (json instanceof LongNumber) return json.source.slice(0, shownMax);
  if (typeof json === 'object' && json !== null) return '{';
  if (typeof json === 'string') return JSON.stringify(json.slice(0, shownMax));
  return String(json);
}
