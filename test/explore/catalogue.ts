/**
 * Every part of a state once, under a number: a state is then a handful of numbers.
 *
 * With each part goes its hash under each renaming of the members, so that the hash of a whole
 * state in its canonical form is a few additions.
 */
import { type Codec, encode, renamings } from './codec.ts';

const firstSize = 1 << 12;

export class Catalogue<Value, Row> {
  readonly rows: Row[] = [];
  /** By number and renaming: two independent hashes of 32 bits. */
  low = new Int32Array(firstSize);
  high = new Int32Array(firstSize);
  private readonly numbers = new Map<string, number>();
  private readonly codec: Codec<Value>;
  private readonly seed: number;
  private readonly makeRow: (value: Value, code: string) => Row;

  constructor(codec: Codec<Value>, seed: number, makeRow: (value: Value, code: string) => Row) {
    this.codec = codec;
    this.seed = seed;
    this.makeRow = makeRow;
  }

  /** The number of `value`; times in it are relative to `now`. */
  numberOf(value: Value, now = 0): number {
    const code = encode(this.codec, value, renamings[0], now);
    const known = this.numbers.get(code);
    if (known !== undefined) return known;
    const number = this.rows.length;
    this.numbers.set(code, number);
    this.rows.push(this.makeRow(value, code));
    this.reserve((number + 1) * renamings.length);
    for (const [at, renaming] of renamings.entries())
      this.hash(encode(this.codec, value, renaming, now), number * renamings.length + at);
    return number;
  }

  row(number: number): Row {
    const row = this.rows[number];
    if (row === undefined) throw new Error(`no row ${number}`);
    return row;
  }

  private reserve(size: number): void {
    if (size <= this.low.length) return;
    const grown = [this.low, this.high].map((old) => {
      const next = new Int32Array(old.length * 2);
      next.set(old);
      return next;
    });
    [this.low = this.low, this.high = this.high] = grown;
  }

  private hash(code: string, at: number): void {
    let low = 0xdeadbeef ^ this.seed;
    let high = 0x41c6ce57 ^ this.seed;
    for (let index = 0; index < code.length; index += 1) {
      const unit = code.charCodeAt(index);
      low = Math.imul(low ^ unit, 2_654_435_761);
      high = Math.imul(high ^ unit, 1_597_334_677);
    }
    this.low[at] = mix(low ^ (high >>> 16));
    this.high[at] = mix(Math.imul(high, 3_266_489_909) ^ (low >>> 13));
  }
}

/** A bijection of 32 bits in which every bit of the input moves half of the output (murmur3). */
export function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
