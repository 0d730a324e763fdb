/**
 * What happened in a run, in one number: when every event was, every message with its fate, and what
 * it all came to. Equal runs have equal ones; other runs have others, but for one in 2^32.
 *
 * A seed has to have the same one whenever it runs, or its failure cannot be repeated.
 */
import { crc32 } from 'node:zlib';

/** One checksum of many things costs a fraction of one for each. */
const bytesHeld = 64 * 1024;

const numberBytes = 8;

export class Fingerprint {
  /** CRC-32 of all that was added, in order, but for what is held. */
  private value = 0;
  private readonly held = new Uint8Array(bytesHeld);
  private readonly view = new DataView(this.held.buffer);
  private heldBytes = 0;

  /** At most four; null stands for a number that there is not. */
  addNumbers(first: Noted, second: Noted = 0, third: Noted = 0, fourth: Noted = 0): void {
    this.makeRoom(4 * numberBytes);
    this.hold(first);
    this.hold(second);
    this.hold(third);
    this.hold(fourth);
  }

  add(bytes: Uint8Array | string): void {
    if (typeof bytes === 'string' || bytes.length > bytesHeld) {
      this.settle();
      this.value = crc32(bytes, this.value);
      return;
    }
    this.makeRoom(bytes.length);
    this.held.set(bytes, this.heldBytes);
    this.heldBytes += bytes.length;
  }

  /** Eight hex digits. */
  toString(): string {
    this.settle();
    return this.value.toString(16).padStart(8, '0');
  }

  private hold(number: Noted): void {
    this.view.setFloat64(this.heldBytes, number ?? -1, true);
    this.heldBytes += numberBytes;
  }

  private makeRoom(bytes: number): void {
    if (this.heldBytes + bytes > bytesHeld) this.settle();
  }

  private settle(): void {
    this.value = crc32(this.held.subarray(0, this.heldBytes), this.value);
    this.heldBytes = 0;
  }
}

type Noted = number | null;
