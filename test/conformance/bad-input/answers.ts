/** What a row of bad input is, and etcd's words for what several rows are answered with. */

export type Answer =
  /** A code of gRPC. `message`: etcd's own words; absent: a parser's, which differ between versions. */
  | { readonly code: number; readonly message?: string }
  /** The whole answer to a unary call, without its header. */
  | { readonly body: unknown }
  /** What a stream says, line by line, without headers; `open`: and then no more, but it does not end. */
  | { readonly lines: readonly unknown[]; readonly open: boolean }
  /** Nothing at all, and no end: it waits. */
  | 'silence';

export interface Row {
  readonly what: string;
  /** Below /v3/. */
  readonly path: string;
  readonly body: string;
  readonly answer: Answer;
  /** Why 3.4 answers otherwise than 3.5, whose answer this is, or than we choose to. */
  readonly notBy34?: string;
}

export const maxInt64 = '9223372036854775807';

export const leaseExists = { code: 9, message: 'etcdserver: lease already exists' };
export const unknownLease = { code: 5, message: 'etcdserver: requested lease not found' };
/** The services' own words have no code of gRPC. */
export const own = (message: string): Answer => ({ code: 2, message });
export const noLease = own('etcdserver: requested lease not found');
export const noKey = own('etcdserver: key is not provided');
export const noLeader = own('"leader" field must be provided');
export const notLeader = own('election: not leader');
export const nobodyLeads = own('election: no leader');
export const tooLarge = own('etcdserver: request is too large');
export const overMessageLimit = (size: number): Answer => ({
  code: 8,
  message: `grpc: received message larger than max (${size} vs. 2097152)`,
});

/** As an answer shows an id that was sent as text or as a number. */
export function text(id: string): string {
  return id.replaceAll('"', '');
}
