/** What every call of etcd's gateway begins with: its deadline, and what was sent. */
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { GrpcCode } from '../../api/errors.ts';
import { maxMessageBytes, maxRequestTimeoutMs } from '../../api/limits.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { KeepGoing, RouterEnv } from '../env.ts';
import { readBody } from '../http/body.ts';
import { type Deadline, parseGrpcTimeout, startDeadline } from '../http/deadline.ts';
import type { Courier } from '../members/courier.ts';
import { BadMessage } from './bad-message.ts';
import { gatewayError, messageTooLarge, namedError } from './errors.ts';
import { type Sent, sentAs } from './form.ts';
import { encodedSize } from './json-message.ts';

/** One call, its body read. */
export interface GatewayCall {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  readonly sent: Sent;
  readonly deadline: Deadline;
  readonly keepGoing: KeepGoing;
  /** It came with others, and what it asks of a member may travel with theirs. */
  readonly courier?: Courier;
}

/** Bodies beyond this are not read: the message in it would be over gRPC's limit anyway. */
const bodyBytesMax = 4 * maxMessageBytes;

/** A Response is the refusal of a header that is malformed. */
export function deadlineOf(request: Request, isLong = false): Deadline | Response {
  const header = request.headers.get('grpc-timeout');
  if (header === null || header === '') {
    const deadline = startDeadline(null, Date.now());
    return isLong ? { ...deadline, atMs: Date.now() + maxRequestTimeoutMs } : deadline;
  }
  const timeoutMs = parseGrpcTimeout(header);
  if (!Number.isNaN(timeoutMs)) return startDeadline(timeoutMs, Date.now());
  return gatewayError(GrpcCode.InvalidArgument, `invalid grpc-timeout: ${header}`);
}

/** As clientv3's WithRequireLeader has it, and any client of etcd's gateway may. */
export function requiresLeader(request: Request): boolean {
  return request.headers.get('grpc-metadata-hasleader') === 'true';
}

/** A Response says why there is nothing; `refuse`: of what is no text. */
export async function readSent(
  request: Request,
  deadline: Deadline,
  refuse: (message: string) => Response = badMessage,
): Promise<Sent | Response> {
  const atMs = Math.min(deadline.atMs, Date.now() + maxRequestTimeoutMs);
  const body = await readBody(request, bodyBytesMax, { ...deadline, atMs });
  switch (body.kind) {
    case 'tooLarge':
      return messageTooLarge(body.size, maxMessageBytes);
    case 'late':
      return namedError('DeadlineExceeded');
    case 'broken':
      return gatewayError(GrpcCode.InvalidArgument, 'unexpected EOF');
    case 'bytes':
      break;
    default:
      return body satisfies never;
  }
  try {
    return sentAs(request, body.bytes);
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error;
    return refuse(error.message);
  }
}

function badMessage(message: string): Response {
  return gatewayError(GrpcCode.InvalidArgument, message);
}

/** The message that was sent, or the refusal of what is none or is larger than gRPC takes. */
export function readOr<D extends DescMessage>(
  desc: D,
  { sent }: GatewayCall,
): MessageShape<D> | Response {
  try {
    const message = sent.message(desc);
    const size = encodedSize(desc, message, sent.length);
    return size <= maxMessageBytes ? message : messageTooLarge(size, maxMessageBytes);
  } catch (error) {
    if (!(error instanceof BadMessage)) throw error;
    return gatewayError(GrpcCode.InvalidArgument, error.message);
  }
}

/** The answer to a call: a message, in the form that the client writes. */
export function answer<D extends DescMessage>(
  { sent: { form } }: GatewayCall,
  desc: D,
  init: MessageInitShape<D>,
): Response {
  return new Response(form.encode(desc, init), { headers: form.headers });
}

/** The same of a message that is encoded already. */
export function passOn(
  { sent: { form } }: GatewayCall,
  desc: DescMessage,
  message: Uint8Array,
): Response {
  return new Response(form.reencode(desc, message), { headers: form.headers });
}
