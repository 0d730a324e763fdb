/**
 * Plain values as lists of small numbers, and back: the normal form of everything in the search.
 *
 * Two values with the same code behave the same. Times are written relative to `now`, so that a
 * state does not depend on when it is reached; members are written through a renaming, so that
 * states that differ only in the members' names can be found to be one.
 */
import type { MemberId } from '../../src/raft/types.ts';

export const memberNames = ['A', 'B', 'C'] as MemberId[];
export const memberCount = memberNames.length;

/** Old place to new place, and back. */
export interface Renaming {
  readonly to: readonly number[];
  readonly from: readonly number[];
}

/** All of them; the first changes nothing. */
export const renamings: readonly Renaming[] = [
  { to: [0, 1, 2], from: [0, 1, 2] },
  { to: [0, 2, 1], from: [0, 2, 1] },
  { to: [1, 0, 2], from: [1, 0, 2] },
  { to: [2, 1, 0], from: [2, 1, 0] },
  { to: [1, 2, 0], from: [2, 0, 1] },
  { to: [2, 0, 1], from: [1, 2, 0] },
];

const identity: Renaming = renamings[0] ?? { to: [], from: [] };
/** Codes fit a byte, so that a code is a compact string. */
const codeMax = 255;
const timeOrigin = 100;

export function placeOf(id: MemberId): number {
  const place = id.charCodeAt(0) - 65;
  if (place < 0 || place >= memberCount || id.length !== 1) throw new Error(`no member ${id}`);
  return place;
}

export function memberAt(place: number): MemberId {
  const id = memberNames[place];
  if (id === undefined) throw new Error(`no place ${place}`);
  return id;
}

export class Writer {
  private codes: number[] = [];
  readonly renaming: Renaming;
  readonly now: number;

  constructor(renaming: Renaming = identity, now = 0) {
    this.renaming = renaming;
    this.now = now;
  }

  put(code: number): void {
    if (!(code >= 0 && code <= codeMax)) throw new Error(`no code for ${code}`);
    this.codes.push(code);
  }

  get text(): string {
    return String.fromCharCode(...this.codes);
  }
}

export class Reader {
  private at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  take(): number {
    const code = this.text.charCodeAt(this.at);
    this.at += 1;
    return code;
  }
}

export interface Codec<Value> {
  write(writer: Writer, value: Value): void;
  read(reader: Reader): Value;
}

export function encode<Value>(codec: Codec<Value>, value: Value, renaming = identity, now = 0) {
  const writer = new Writer(renaming, now);
  codec.write(writer, value);
  return writer.text;
}

export function decode<Value>(codec: Codec<Value>, text: string): Value {
  return codec.read(new Reader(text));
}

export const count: Codec<number> = {
  write: (writer, value) => writer.put(value),
  read: (reader) => reader.take(),
};

export const flag: Codec<boolean> = {
  write: (writer, value) => writer.put(value ? 1 : 0),
  read: (reader) => reader.take() === 1,
};

export const member: Codec<MemberId> = {
  write: (writer, value) => writer.put(writer.renaming.to[placeOf(value)] ?? -1),
  read: (reader) => memberAt(reader.take()),
};

/** A set of members; their order is lost (README.md, Symmetry). */
export const memberList: Codec<readonly MemberId[]> = {
  write(writer, value) {
    let mask = 0;
    for (const id of value) mask |= 1 << (writer.renaming.to[placeOf(id)] ?? -1);
    writer.put(mask);
  },
  read(reader) {
    const mask = reader.take();
    return memberNames.filter((_, place) => mask & (1 << place));
  },
};

export const memberSet: Codec<Set<MemberId>> = {
  write: (writer, value) => memberList.write(writer, [...value]),
  read: (reader) => new Set(memberList.read(reader)),
};

/**
 * A time relative to now. What is `forgottenAfter` or more in the past makes no difference any
 * more and is read as -Infinity.
 */
export function time(forgottenAfter: number): Codec<number> {
  return {
    write(writer, value) {
      const age = writer.now - value;
      writer.put(age >= forgottenAfter ? 0 : timeOrigin - age);
    },
    read(reader) {
      const code = reader.take();
      return code === 0 ? Number.NEGATIVE_INFINITY : code - timeOrigin;
    },
  };
}

/** Not written: it never differs, and `is` says so. */
export function always<Value>(value: () => Value, is: (value: Value) => boolean): Codec<Value> {
  return {
    write(_, actual) {
      if (!is(actual)) throw new Error(`not in the model: ${JSON.stringify(actual)}`);
    },
    read: value,
  };
}

export function nullable<Value>(codec: Codec<Value>): Codec<Value | null> {
  return {
    write(writer, value) {
      writer.put(value === null ? 0 : 1);
      if (value !== null) codec.write(writer, value);
    },
    read: (reader) => (reader.take() === 0 ? null : codec.read(reader)),
  };
}

export function list<Value>(codec: Codec<Value>): Codec<Value[]> {
  return {
    write(writer, values) {
      writer.put(values.length);
      for (const value of values) codec.write(writer, value);
    },
    read(reader) {
      const values: Value[] = [];
      for (let left = reader.take(); left > 0; left -= 1) values.push(codec.read(reader));
      return values;
    },
  };
}

/** By member; the order of insertion is lost, it orders only what leaves in one turn. */
export function byMember<Value>(codec: Codec<Value>): Codec<Map<MemberId, Value>> {
  return {
    write(writer, values) {
      for (const place of writer.renaming.from) {
        const value = values.get(memberAt(place));
        writer.put(value === undefined ? 0 : 1);
        if (value !== undefined) codec.write(writer, value);
      }
    },
    read(reader) {
      const values = new Map<MemberId, Value>();
      for (const id of memberNames) if (reader.take() === 1) values.set(id, codec.read(reader));
      return values;
    },
  };
}

/** One of few constants. */
export function oneOf<Value>(...values: readonly Value[]): Codec<Value> {
  return {
    write: (writer, value) => writer.put(values.indexOf(value)),
    read(reader) {
      const value = values[reader.take()];
      if (value === undefined) throw new Error('not one of the values');
      return value;
    },
  };
}

type Fields<Value> = { readonly [Key in keyof Value]-?: Codec<Value[Key]> };

/** Every field has its codec: the compiler wants it, and a value with another field is refused. */
export function record<Value extends object>(fields: Fields<Value>): Codec<Value> {
  const names = Object.keys(fields) as (keyof Value & string)[];
  return {
    write(writer, value) {
      if (Object.keys(value).length !== names.length) refuseFields(value, names);
      for (const name of names) fields[name].write(writer, value[name]);
    },
    read(reader) {
      const value: Partial<Value> = {};
      for (const name of names) value[name] = fields[name].read(reader);
      return value as Value;
    },
  };
}

function refuseFields(value: object, names: readonly string[]): never {
  const unknown = Object.keys(value).filter((name) => !names.includes(name));
  throw new Error(`a field without a codec: ${unknown} beside ${names}`);
}

type Case<Value extends { readonly type: string }, Type> = Value extends unknown
  ? Type extends Value['type']
    ? Value & { readonly type: Type }
    : never
  : never;

/** Told apart by `type`; `cases` holds a codec for each. */
export function union<Value extends { readonly type: string }>(
  cases: {
    readonly [Type in Value['type']]: Codec<Case<Value, Type>>;
  },
): Codec<Value> {
  const types = Object.keys(cases) as Value['type'][];
  const codecs = types.map((type) => cases[type]) as unknown as Codec<Value>[];
  return {
    write(writer, value) {
      const at = types.indexOf(value.type);
      writer.put(at);
      codecs[at]?.write(writer, value);
    },
    read(reader) {
      const codec = codecs[reader.take()];
      if (!codec) throw new Error('a case without a codec');
      return codec.read(reader);
    },
  };
}
