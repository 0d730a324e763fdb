/** Addresses to listen on, `host:port`; a host of IPv6 in brackets. */

/** In words for whoever started the bridge. */
export class CannotListen extends Error {
  override readonly name = 'CannotListen';

  constructor(address: string, why: string) {
    super(`cannot listen on ${address}: ${why}`);
  }
}

export function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return {
    host: address.slice(0, at).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(at + 1)),
  };
}
