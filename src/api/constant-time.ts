/** Takes as long for any bytes of one length, however much of them is right: a secret cannot be found byte by byte. */
export function equalBytes(given: Uint8Array, expected: Uint8Array): boolean {
  let difference = given.length ^ expected.length;
  for (let at = 0; at < given.length; at += 1)
    difference |= (given[at] as number) ^ (expected[at] ?? 0);
  return difference === 0;
}
