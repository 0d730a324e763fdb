/** Bodies that are no requests, or nearly: for tests that any of them is answered. */
import fc from 'fast-check';

const encoder = new TextEncoder();
/** Where objects hold what nobody put there. */
const inherited = ['__proto__', 'toString'];

/** `fields`: names that requests have. */
export function garbageOf(fields: readonly string[]): fc.Arbitrary<Uint8Array> {
  const json = nearlyJson([...fields, ...inherited]);
  return fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string({ unit: 'binary' }).map((text) => encoder.encode(text)),
    json.map((value) => encoder.encode(JSON.stringify(value))),
    // Several in one body.
    fc
      .array(json, { minLength: 2, maxLength: 4 })
      .map((values) => encoder.encode(values.map((value) => JSON.stringify(value)).join('\n'))),
    // A request cut or grown somewhere.
    fc.tuple(json, fc.nat(), fc.string()).map(([value, at, more]) => {
      const text = JSON.stringify(value);
      return encoder.encode(text.slice(0, at % (text.length + 1)) + more);
    }),
  );
}

const edges = ['0', '-1', '7', '1e2', '1.5', '9223372036854775807', '9223372036854775808'];

/** JSON that looks enough like a request to get past the first check. */
function nearlyJson(fields: readonly string[]): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('YQ==', 'YWI', '', '!', 'DESCEND', 'NOPUT', ...edges),
      fc.constantFrom(0, 7, -1, 2 ** 53, -(2 ** 63), 1e99),
      fc.string(),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      tie('object'),
    ),
    object: fc.dictionary(fc.constantFrom(...fields), tie('value'), { maxKeys: 5 }),
  })).object;
}
