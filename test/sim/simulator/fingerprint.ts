/**
 * What happened in a run, in one number: when every event was, every message with its fate, and what
 * it all came to. Equal runs have equal ones; other runs have others, but for one in 2^32.
 *
 * A seed has to have the same one whenever it runs, or its failure cannot be repeated.
 */
import { crc32 } from 'node:zlib';

export class Fingerprint {
  /** CRC-32 of all that was added, in order. */
  private value = 0;
  private readonly numbers = new Float64Array(4);

  /** At most four; null stands for a number that there is not. */
  addNumbers(...numbers: readonly (number | null)[]): void {
    this.numbers.fill(0);
    for (const [at, number] of numbers.entries()) this.numbers[at] = number ?? -1;
    this.value = crc32(this.numbers, this.value);
  }

  add(bytes: Uint8Array | string): void {
    this.value = crc32(bytes, this.value);
  }

  /** Eight hex digits. */
  toString(): string {
    return this.value.toString(16).padStart(8, '0');
  }
}
