/** Lease ids: 64 bits, signed; those that we give out are positive. */
const sixtyThreeBits = 2n ** 63n - 1n;

/** Never 0, which means "choose one". */
export function randomLeaseId(): bigint {
  for (;;) {
    const [bits = 0n] = crypto.getRandomValues(new BigUint64Array(1));
    const id = bits & sixtyThreeBits;
    if (id !== 0n) return id;
  }
}

/** The same for the same hash of 8 bytes at least. */
export function leaseIdFrom(hash: Uint8Array): bigint {
  const bits = new DataView(hash.buffer, hash.byteOffset).getBigUint64(0) & sixtyThreeBits;
  return bits === 0n ? 1n : bits;
}
