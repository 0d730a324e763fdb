/**
 * The two forms in which /v3 takes and gives messages: JSON, as etcd's gateway does, or the same messages as
 * protobuf, which is ours (docs/decisions/bridge.md). Errors are JSON in both.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../../api/errors.ts';
import { errorFlag, frame, frameHeadBytes, protobufType } from '../../api/frames.ts';
import { BadMessage } from './bad-message.ts';
import { streamError } from './errors.ts';
import { corsHeaders, gatewaySuccessHeaders } from './headers.ts';
import { readMessage } from './json-message.ts';
import { decodeText, values } from './json-text.ts';

/** How one client writes and wants to read. */
export interface Form {
  /** Of an answer with status 200. */
  readonly headers: Headers;
  /** The body of an answer that is one message. */
  encode<D extends DescMessage>(desc: D, init: MessageInitShape<D>): BodyInit;
  /** The same of a message that is encoded already. */
  reencode(desc: DescMessage, message: Uint8Array): BodyInit;
  /** One message of a stream. */
  part<D extends DescMessage>(desc: D, init: MessageInitShape<D>): Uint8Array | string;
  /** What ends a stream that has begun. */
  lastPart(error: EtcdErrorName): Uint8Array | string;
}

/**
 * What a client has sent. Reading throws BadMessage, with the words that etcd has for JSON; what is no JSON
 * value and what is no message end the generator in the same way.
 */
export interface Sent {
  readonly form: Form;
  /** No message in it is larger when it is encoded, up to maxMessageBytes (see encodedSize). */
  readonly length: number;
  message<D extends DescMessage>(desc: D): MessageShape<D>;
  /** Of a stream, one after another. */
  messages(): Generator<Sent, void>;
}

const jsonOptions = { useProtoFieldName: true };

export const jsonForm: Form = {
  headers: gatewaySuccessHeaders,
  encode: (desc, init) => toJsonString(desc, create(desc, init), jsonOptions),
  reencode: (desc, message) => toJsonString(desc, fromBinary(desc, message), jsonOptions),
  part: (desc, init) => `{"result":${jsonForm.encode(desc, init)}}\n`,
  lastPart: streamError,
};

export const protobufForm: Form = {
  headers: new Headers({ ...corsHeaders, 'content-type': protobufType }),
  encode: (desc, init) => toBinary(desc, create(desc, init)) as Uint8Array<ArrayBuffer>,
  reencode: (_, message) => message as Uint8Array<ArrayBuffer>,
  part: (desc, init) => frame(0, toBinary(desc, create(desc, init))),
  lastPart: (error) => frame(errorFlag, new TextEncoder().encode(streamError(error).trimEnd())),
};

/** Throws BadMessage when the bytes are no text. */
export function sentAs(request: Request, bytes: Uint8Array): Sent {
  const type = request.headers.get('content-type');
  return type?.split(';', 1)[0]?.trim().toLowerCase() === protobufType
    ? new SentProtobuf(bytes)
    : new SentJson(decodeText(bytes));
}

export class SentJson implements Sent {
  readonly form = jsonForm;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get length(): number {
    return this.text.length;
  }

  message<D extends DescMessage>(desc: D): MessageShape<D> {
    return readMessage(desc, this.text);
  }

  *messages(): Generator<Sent, void> {
    for (const value of values(this.text)) yield new SentJson(value);
  }
}

export class SentProtobuf implements Sent {
  readonly form = protobufForm;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Fields that are not known are dropped: what stands in the log is what was understood. */
  message<D extends DescMessage>(desc: D): MessageShape<D> {
    try {
      return fromBinary(desc, this.bytes, { readUnknownFields: false });
    } catch {
      throw new BadMessage('grpc: error unmarshalling request');
    }
  }

  *messages(): Generator<Sent, void> {
    const { bytes } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.length; ) {
      const start = at + frameHeadBytes;
      const end = start <= bytes.length ? start + view.getUint32(at + 1) : Number.POSITIVE_INFINITY;
      if (bytes[at] !== 0 || end > bytes.length) {
        yield new SentProtobuf(notAMessage);
        return;
      }
      yield new SentProtobuf(bytes.subarray(start, end));
      at = end;
    }
  }
}

/** An end of a group that never began. */
const notAMessage = new Uint8Array([0x0c]);
