/** A body, or a part of one, that is no message of the RPC that it was sent to; etcd's words for it. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage';
}
