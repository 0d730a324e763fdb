/**
 * The requests of a stream that came in one body, one after another. As etcd's gateway reads them:
 * what follows a value that is no request is not looked at, and if that is the first, the call is refused.
 *
 * They are bounded, which etcd's are not: a body of megabytes has room for millions of `{}`, and whoever
 * shares the isolate and the member would wait for all of them.
 */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { GrpcCode } from '../../api/errors.ts';
import { maxMessageBytes } from '../../api/limits.ts';
import { BadMessage } from './bad-message.ts';
import { badStream, gatewayError, messageTooLarge } from './errors.ts';
import type { Sent } from './form.ts';
import { encodedSize } from './json-message.ts';

/** As many watches as one stream may have, and a request more for each. */
export const streamRequestsMax = 20_000;

/** A Response is the refusal. */
export function readStream<D extends DescMessage>(
  desc: D,
  sent: Sent,
): MessageShape<D>[] | Response {
  const requests: MessageShape<D>[] = [];
  for (const one of sent.messages()) {
    if (requests.length === streamRequestsMax)
      return gatewayError(
        GrpcCode.ResourceExhausted,
        `quorate: more than ${streamRequestsMax} requests in one body`,
      );
    const request = read(desc, one);
    if (request instanceof BadMessage) {
      if (requests.length === 0) return badStream(request.message);
      break;
    }
    const size = encodedSize(desc, request, one.length);
    if (size > maxMessageBytes) return messageTooLarge(size, maxMessageBytes);
    requests.push(request);
  }
  return requests;
}

function read<D extends DescMessage>(desc: D, sent: Sent): MessageShape<D> | BadMessage {
  try {
    return sent.message(desc);
  } catch (error) {
    if (error instanceof BadMessage) return error;
    throw error;
  }
}
