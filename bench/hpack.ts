/**
 * As much of HPACK (RFC 7541) as a gRPC client needs that only calls and counts: request headers that
 * leave nothing in the peer's table, and the status out of headers of a peer that was allowed no table.
 */

/** Entries of the static table (RFC 7541, appendix A). */
const staticCount = 61;
const authorityName = 1;
const methodPost = 3;
const pathName = 4;
const schemeHttp = 6;
const contentTypeName = 31;

/** One byte holds the length of a text of fewer bytes than this. */
const shortTextMax = 127;

const statusName = Buffer.from('grpc-status');
/** The same in the Huffman code (RFC 7541, appendix B). */
const statusNameHuffman = Buffer.from('9acac8b21234da8f', 'hex');

/** The headers of a gRPC call over plain TCP. `path` and `authority` are ASCII. */
export function encodeCallHeaders(path: string, authority: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x80 | methodPost, 0x80 | schemeHttp]),
    ...[Buffer.from([pathName]), text(path)],
    ...[Buffer.from([authorityName]), text(authority)],
    ...[Buffer.from([15, contentTypeName - 15]), text('application/grpc')],
    ...[Buffer.from([0]), text('te'), text('trailers')],
  ]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length >= shortTextMax) throw new Error(`header of ${bytes.length} bytes`);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** `grpc-status` among these headers, or null. Throws when they refer to a table that must be empty. */
export function grpcStatusOf(block: Buffer): number | null {
  const reader = new Reader(block);
  while (!reader.isAtEnd) {
    const kind = reader.peek();
    if ((kind & 0x80) !== 0) refuseDynamic(reader.integer(7));
    else if ((kind & 0xe0) === 0x20) reader.integer(5);
    else {
      const index = reader.integer((kind & 0x40) !== 0 ? 6 : 4);
      refuseDynamic(index);
      const name = index === 0 ? reader.text() : null;
      const value = reader.text();
      // A status has one or two digits, which Huffman's code makes no shorter: nobody uses it there.
      if (name !== null && isStatusName(name)) return Number(value.bytes.toString('latin1'));
    }
  }
  return null;
}

interface Text {
  readonly bytes: Buffer;
  readonly isHuffman: boolean;
}

function isStatusName({ bytes, isHuffman }: Text): boolean {
  return bytes.equals(isHuffman ? statusNameHuffman : statusName);
}

function refuseDynamic(index: number): void {
  if (index > staticCount) throw new Error(`HPACK: entry ${index} of a table that must be empty`);
}

class Reader {
  private readonly block: Buffer;
  private at = 0;

  constructor(block: Buffer) {
    this.block = block;
  }

  get isAtEnd(): boolean {
    return this.at >= this.block.length;
  }

  peek(): number {
    return this.block[this.at] ?? 0;
  }

  integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1;
    let value = this.next() & most;
    if (value < most) return value;
    for (let shift = 0; ; shift += 7) {
      const byte = this.next();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
  }

  text(): Text {
    const isHuffman = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const bytes = this.block.subarray(this.at, this.at + length);
    this.at += length;
    return { bytes, isHuffman };
  }

  private next(): number {
    const byte = this.block[this.at] ?? 0;
    this.at += 1;
    return byte;
  }
}
