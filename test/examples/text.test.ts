/** examples/config-store: how values look on a row, and that a text field does not change them. */
import { expect, it } from 'vitest';
import {
  bytesOf,
  lineEndOf,
  preview,
  sizeText,
  withLineEnd,
} from '../../examples/config-store/page/text.js';

const utf8 = (value: string) => ({ value, encoding: 'utf8' as const });
const base64 = (bytes: Uint8Array) => ({
  value: Buffer.from(bytes).toString('base64'),
  encoding: 'base64' as const,
});

it.each([
  ['short', 'short', false],
  ['', '', false],
  ['x'.repeat(1_000_000), 'x'.repeat(200), true],
  ['1\n2\n3\n4\n5\n6', '1\n2\n3\n4\n5', true],
  // Never half a character.
  [`${'x'.repeat(199)}🦊🦊`, 'x'.repeat(199), true],
])('a row shows the beginning of a value', (value, text, isCut) => {
  expect(preview(utf8(value))).toEqual({ text, isCut });
});

it('a row shows the first bytes of what is no text', () => {
  expect(preview(base64(Uint8Array.of(0, 255, 16)))).toEqual({ text: '00 ff 10', isCut: false });
  expect(preview(base64(new Uint8Array(1_000).fill(200)))).toMatchObject({ isCut: true });
});

it.each([0, 1, 2, 3, 4, 1_000])('%i bytes are counted as such', (length) => {
  expect(bytesOf(base64(new Uint8Array(length)))).toBe(length);
  expect(bytesOf(utf8('x'.repeat(length)))).toBe(length);
});

it.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1_000, '1.0 kB'],
  [54_321, '54 kB'],
  [1_048_576, '1.0 MB'],
])('%i bytes are called %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

/** As a text field does. */
const inField = (value: string) => value.replaceAll('\r\n', '\n').replaceAll('\r', '\n');

it.each(['a', 'a\nb\n', 'a\r\nb\r\n', ''])(
  'line ends are what they were after editing: %j',
  (value) => {
    expect(withLineEnd(inField(value), lineEndOf(value))).toBe(value);
  },
);

it.each(['a\r\nb\n', 'a\rb', '\r\n\r'])('mixed line ends are found out: %j', (value) => {
  expect(withLineEnd(inField(value), lineEndOf(value))).not.toBe(value);
});
