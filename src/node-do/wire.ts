/**
 * Protobuf's wire form for what members say to each other all the time: straight into bytes and out of them.
 *
 * peer.proto stays the only description (test/node-do/envelope.test.ts holds this to protobuf's own code), which reads
 * it anew for each field of each message and makes a bigint of each number. Here: fields up to 15, varints below 2^53,
 * and what is length-delimited. Fields of other kinds or numbers are passed over, as protobuf asks.
 */
const varintType = 0;
const delimitedType = 2;
const fixedBytes: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

const fieldsMax = 15;
/** Longer strings that come are decoded by the platform. */
const asciiMax = 64;

/** What a writer keeps for the next message; most are far smaller. */
const keptBytes = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes one message at a time. Fields with the default value of proto3 are left out. */
export class WireWriter {
  private buffer = new Uint8Array(keptBytes);
  private at = 0;
  /** Where the messages begin that are not ended. */
  private readonly open: number[] = [];

  number(field: number, value: number): void {
    if (value === 0) return;
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`field ${field}: ${value}`);
    this.tag(field, varintType);
    this.varint(value);
  }

  flag(field: number, value: boolean): void {
    if (value) this.number(field, 1);
  }

  text(field: number, value: string): void {
    if (value !== '') this.presentText(field, value);
  }

  /** A field that tells the empty string from none. */
  presentText(field: number, value: string): void {
    this.tag(field, delimitedType);
    this.reserve(value.length + 1);
    const { buffer } = this;
    let at = this.at + 1;
    for (let i = 0; i < value.length && value.length < 0x80; i += 1) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) break;
      buffer[at] = code;
      at += 1;
    }
    if (at === this.at + 1 + value.length) {
      buffer[this.at] = value.length;
      this.at = at;
    } else this.delimited(encoder.encode(value));
  }

  bytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.presentBytes(field, value);
  }

  /** A field that tells no bytes from none. */
  presentBytes(field: number, value: Uint8Array): void {
    this.tag(field, delimitedType);
    this.delimited(value);
  }

  /** What is written from here to `end` is the message in this field. */
  begin(field: number): void {
    this.tag(field, delimitedType);
    // Room for a length of one byte; most need no more.
    this.reserve(1);
    this.at += 1;
    this.open.push(this.at);
  }

  end(): void {
    const start = this.open.pop();
    if (start === undefined) throw new Error('no message is open');
    const end = this.at;
    const length = end - start;
    if (length < 0x80) {
      this.buffer[start - 1] = length;
      return;
    }
    const more = varintBytes(length) - 1;
    this.reserve(more);
    this.buffer.copyWithin(start + more, start, end);
    this.at = start - 1;
    this.varint(length);
    this.at = end + more;
  }

  /** The message that `write` writes, which must not begin another one. */
  whole(write: (writer: WireWriter) => void): Uint8Array {
    this.at = 0;
    this.open.length = 0;
    write(this);
    const result = this.buffer.slice(0, this.at);
    if (this.buffer.length > keptBytes) this.buffer = new Uint8Array(keptBytes);
    return result;
  }

  private tag(field: number, type: number): void {
    if (field > fieldsMax) throw new Error(`field ${field} is none of the first ${fieldsMax}`);
    this.reserve(1);
    this.buffer[this.at] = (field << 3) | type;
    this.at += 1;
  }

  private varint(value: number): void {
    this.reserve(8);
    let left = value;
    while (left > 0x7f) {
      this.buffer[this.at] = (left % 0x80) | 0x80;
      this.at += 1;
      left = Math.floor(left / 0x80);
    }
    this.buffer[this.at] = left;
    this.at += 1;
  }

  private delimited(value: Uint8Array): void {
    this.varint(value.length);
    this.reserve(value.length);
    this.buffer.set(value, this.at);
    this.at += value.length;
  }

  private reserve(bytes: number): void {
    const needed = this.at + bytes;
    if (needed <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.buffer.length));
    larger.set(this.buffer.subarray(0, this.at));
    this.buffer = larger;
  }
}

/** One for all members in this isolate: nothing that writes waits for anything. */
const writer = new WireWriter();

export function encodeWire(write: (writer: WireWriter) => void): Uint8Array {
  return writer.whole(write);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left > 0x7f; left = Math.floor(left / 0x80)) bytes += 1;
  return bytes;
}

/** One message taken apart: its numbers, and where in the bytes its other fields are. */
export class WireMessage {
  private readonly source: Uint8Array;
  private readonly numbers = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  /** Field, start and end of each, in the order in which they came. */
  private readonly slices: number[] = [];
  private at: number;

  /** Throws when these bytes are no message. */
  constructor(source: Uint8Array, start = 0, end = source.length) {
    this.source = source;
    this.at = start;
    while (this.at < end) this.readField(end);
    if (this.at > end) throw new Error('a field goes beyond its message');
  }

  /** 0: it is not there. */
  number(field: number): number {
    return this.numbers[field] ?? 0;
  }

  flag(field: number): boolean {
    return this.number(field) !== 0;
  }

  /** Empty when it is not there. */
  text(field: number): string {
    return this.presentText(field) ?? '';
  }

  /** null: it is not there. */
  presentText(field: number): string | null {
    const slice = this.find(field);
    if (slice < 0) return null;
    const [start, end] = [this.slices[slice + 1] as number, this.slices[slice + 2] as number];
    return textIn(this.source, start, end);
  }

  /** A part of the bytes that were given, without a copy; empty when it is not there. */
  bytes(field: number): Uint8Array {
    const slice = this.find(field);
    if (slice < 0) return new Uint8Array();
    return this.source.subarray(this.slices[slice + 1], this.slices[slice + 2]);
  }

  /** null: it is not there. */
  message(field: number): WireMessage | null {
    const slice = this.find(field);
    return slice < 0 ? null : this.messageAt(slice);
  }

  messages(field: number): WireMessage[] {
    const found: WireMessage[] = [];
    for (let slice = 0; slice < this.slices.length; slice += 3)
      if (this.slices[slice] === field) found.push(this.messageAt(slice));
    return found;
  }

  /** Which of the fields of a oneof is there: of several the last one counts. 0: none. */
  oneOf(firstField: number, lastField: number): number {
    for (let slice = this.slices.length - 3; slice >= 0; slice -= 3) {
      const field = this.slices[slice] as number;
      if (field >= firstField && field <= lastField) return field;
    }
    return 0;
  }

  private messageAt(slice: number): WireMessage {
    return new WireMessage(this.source, this.slices[slice + 1], this.slices[slice + 2]);
  }

  private find(field: number): number {
    for (let slice = this.slices.length - 3; slice >= 0; slice -= 3)
      if (this.slices[slice] === field) return slice;
    return -1;
  }

  private readField(end: number): void {
    const tag = this.readVarint(end);
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (type === varintType) {
      const value = this.readVarint(end);
      if (field < this.numbers.length) this.numbers[field] = value;
    } else if (type === delimitedType) {
      const length = this.readVarint(end);
      this.slices.push(field, this.at, this.at + length);
      this.at += length;
    } else {
      const bytes = fixedBytes[type];
      if (bytes === undefined) throw new Error(`a field of type ${type}`);
      this.at += bytes;
    }
    if (field === 0) throw new Error('field 0');
  }

  /** What is 2^53 or more loses its lower bits: no number of a known field is. */
  private readVarint(end: number): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10 && this.at < end; count += 1) {
      const byte = this.source[this.at] as number;
      this.at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    throw new Error('a number has no end');
  }
}

/** What members write is short and of ASCII; a decoder's overhead is a multiple of that. */
function textIn(source: Uint8Array, start: number, end: number): string {
  const codes: number[] = [];
  for (let at = start; at < end && end - start <= asciiMax; at += 1) {
    const code = source[at] as number;
    if (code > 0x7f) break;
    codes.push(code);
  }
  if (codes.length < end - start) return decoder.decode(source.subarray(start, end));
  return String.fromCharCode(...codes);
}
