/** The file that a snapshot is: what is written is read, and nothing else is taken for it. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BadSnapshot,
  frameBytesMax,
  framesOf,
  SnapshotWriter,
} from '../../../src/router/backup/format.ts';

const encoder = new TextEncoder();
const chunks = ['one', 'another chunk', 'x'.repeat(700)].map((text) => encoder.encode(text));

function written(frames: readonly Uint8Array[]): Buffer {
  const writer = new SnapshotWriter();
  const parts = [writer.begin(), ...frames.map((frame) => writer.frame(frame)), writer.end()];
  return Buffer.concat([...parts, writer.checksum()]);
}

async function* pieces(file: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size);
}

async function read(file: Uint8Array, size = file.length): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of framesOf(pieces(file, size))) frames.push(frame);
  return frames;
}

/** What is wrong with it. Fails if nothing is. */
async function fault(file: Uint8Array, size?: number): Promise<string> {
  const outcome = await read(file, size).catch((error: unknown) => error);
  if (!(outcome instanceof BadSnapshot)) throw new Error(`taken: ${String(outcome)}`);
  return outcome.message;
}

/** With another number at `at`, and the checksum of that. */
function withNumber(file: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(file);
  changed.writeUInt32BE(value, at);
  const content = changed.subarray(0, -32);
  return Buffer.concat([content, createHash('sha256').update(content).digest()]);
}

describe('a snapshot as a file', () => {
  it('is read as it was written, in pieces of any size', async () => {
    const file = written(chunks);
    for (const size of [1, 7, 512, file.length]) expect(await read(file, size)).toEqual(chunks);
    expect(await read(written([]), 5)).toEqual([]);
  });

  it('ends as etcd ends its files: blocks of 512 bytes, and their SHA-256', async () => {
    for (let length = 1; length < 1_100; length += 37) {
      const file = written([new Uint8Array(length)]);
      expect(file.length % 512).toBe(32);
      const sum = createHash('sha256').update(file.subarray(0, -32)).digest();
      expect(file.subarray(-32)).toEqual(sum);
    }
  });

  it('is refused when it is cut, wherever', async () => {
    const file = written(chunks);
    for (let length = 0; length < file.length; length += 1)
      expect(await fault(file.subarray(0, length), 100)).toContain('ends after');
  });

  it('is refused when one bit of it is another, wherever', async () => {
    const file = written(chunks);
    for (let at = 0; at < file.length; at += 1) {
      const changed = Buffer.from(file);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      await fault(changed);
    }
  });

  it('is refused when something follows it', async () => {
    const file = written(chunks);
    expect(await fault(Buffer.concat([file, Buffer.from([0])]))).toContain('follows');
    expect(await fault(Buffer.concat([file, file]), 11)).toContain('follows');
  });

  it('is refused when it is of another kind, or of a form to come', async () => {
    expect(await fault(Buffer.alloc(4_096))).toBe('this is no snapshot');
    expect(await fault(encoder.encode('{"code":"no-leader","detail":"..."}'))).toBe(
      'this is no snapshot',
    );
    expect(await fault(withNumber(written(chunks), 16, 2))).toContain('form of the snapshot is 2');
  });

  it('is refused when a length is beyond what a chunk may have, before anything of it is held', async () => {
    for (const length of [frameBytesMax + 1, 0x7fffffff, 0xffffffff])
      expect(await fault(withNumber(written(chunks), 20, length))).toContain(`${length} bytes`);
  });

  it('is refused, and nothing else happens, whatever bytes it is', async () => {
    const prefix = written([]).subarray(0, 20);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), fc.integer({ min: 1 }), (tail, size) =>
        fault(Buffer.concat([prefix, tail]), size).then(() => true),
      ),
    );
  });

  it('gives its last frame away before its checksum is known: only its end says that it is right', async () => {
    const file = written(chunks);
    file[file.length - 1] = (file.at(-1) ?? 0) ^ 1;
    const seen: Uint8Array[] = [];
    const reading = (async () => {
      for await (const frame of framesOf(pieces(file, 64))) seen.push(frame);
    })();
    await expect(reading).rejects.toThrow('checksum');
    expect(seen).toEqual(chunks);
  });

  it('is not read ahead of whoever takes the frames', async () => {
    const file = written(Array.from({ length: 50 }, () => new Uint8Array(1_000).fill(7)));
    let given = 0;
    async function* counted() {
      for await (const piece of pieces(file, 100)) {
        given += piece.length;
        yield piece;
      }
    }
    let taken = 20;
    for await (const frame of framesOf(counted())) {
      taken += 4 + frame.length;
      expect(given).toBeLessThan(taken + 100);
    }
  });
});

describe('a writer', () => {
  it('makes no frame that its reader would refuse', () => {
    const writer = new SnapshotWriter();
    expect(() => writer.frame(new Uint8Array(frameBytesMax + 1))).toThrow('no frame');
    expect(() => writer.frame(new Uint8Array())).toThrow('no frame');
  });
});
