/**
 * The file that a snapshot of a tenant is (docs/decisions/backup.md):
 *
 *   16 bytes   "quorate-snapshot"
 *   4 bytes    version of this form, big-endian: 1
 *   frames     4 bytes of length, big-endian, and so many bytes: an encoded SnapshotChunk each
 *   4 bytes    0: there are no more
 *   zeros      up to a multiple of 512 bytes
 *   32 bytes   SHA-256 of everything before
 *
 * Written and read piece by piece: neither side holds more than one frame.
 */
import { sha256 } from '@noble/hashes/sha2.js';

const formatVersion = 1;
const magic = new TextEncoder().encode('quorate-snapshot');
const lengthBytes = 4;
const prefixBytes = magic.length + lengthBytes;
/** etcd's tools know by it whether a file ends with a checksum. */
const blockBytes = 512;
const checksumBytes = 32;

/** One version of a key is a frame at least: 2 MiB of message, and what is around it. */
export const frameBytesMax = 4 * 1024 * 1024;

export class SnapshotWriter {
  private readonly hash = sha256.create();
  private written = 0;

  begin(): Uint8Array {
    const prefix = new Uint8Array(prefixBytes);
    prefix.set(magic);
    view(prefix).setUint32(magic.length, formatVersion);
    return this.hashed(prefix);
  }

  frame(data: Uint8Array): Uint8Array {
    if (data.length === 0 || data.length > frameBytesMax)
      throw new Error(`a chunk of ${data.length} bytes is no frame`);
    const bytes = new Uint8Array(lengthBytes + data.length);
    view(bytes).setUint32(0, data.length);
    bytes.set(data, lengthBytes);
    return this.hashed(bytes);
  }

  /** The last of what the checksum is over. */
  end(): Uint8Array {
    return this.hashed(new Uint8Array(lengthBytes + paddingAfter(this.written + lengthBytes)));
  }

  checksum(): Uint8Array {
    return this.hash.digest();
  }

  private hashed(bytes: Uint8Array): Uint8Array {
    this.hash.update(bytes);
    this.written += bytes.length;
    return bytes;
  }
}

/** Why a file is not taken. */
export class BadSnapshot extends Error {
  override readonly name = 'BadSnapshot';
}

/**
 * The frames of a file, in their order. Throws BadSnapshot where it is none: so whoever has got all of them
 * without that knows that the checksum is right, and nobody knows it earlier.
 */
export async function* framesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = new Input(pieces);
  const prefix = await input.take(prefixBytes);
  if (!equal(prefix.subarray(0, magic.length), magic)) throw new BadSnapshot('this is no snapshot');
  const version = view(prefix).getUint32(magic.length);
  if (version !== formatVersion)
    throw new BadSnapshot(`the form of the snapshot is ${version}; only ${formatVersion} is known`);
  for (;;) {
    const length = view(await input.take(lengthBytes)).getUint32(0);
    if (length === 0) break;
    if (length > frameBytesMax)
      throw new BadSnapshot(`a chunk of ${length} bytes: at most ${frameBytesMax} are taken`);
    yield await input.take(length);
  }
  await input.take(paddingAfter(input.taken));
  const expected = input.checksum();
  if (!equal(await input.take(checksumBytes), expected))
    throw new BadSnapshot('the checksum is not that of the content');
  if (!(await input.isOver())) throw new BadSnapshot('something follows the checksum');
}

/** Takes what comes in pieces of any size, and hashes it. */
class Input {
  private readonly pieces: AsyncIterator<Uint8Array>;
  private readonly hash = sha256.create();
  private rest: Uint8Array = new Uint8Array();
  private isHashing = true;
  taken = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.pieces = pieces[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      if (this.rest.length === 0) await this.refill();
      const part = this.rest.subarray(0, length - at);
      bytes.set(part, at);
      at += part.length;
      this.rest = this.rest.subarray(part.length);
    }
    this.taken += length;
    if (this.isHashing) this.hash.update(bytes);
    return bytes;
  }

  /** Of what was taken; nothing after it is hashed. */
  checksum(): Uint8Array {
    this.isHashing = false;
    return this.hash.digest();
  }

  async isOver(): Promise<boolean> {
    while (this.rest.length === 0) {
      const next = await this.pieces.next();
      if (next.done) return true;
      this.rest = next.value;
    }
    return false;
  }

  private async refill(): Promise<void> {
    if (await this.isOver())
      throw new BadSnapshot(`the snapshot ends after ${this.taken} bytes, before its end`);
  }
}

function paddingAfter(length: number): number {
  return (blockBytes - (length % blockBytes)) % blockBytes;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}
