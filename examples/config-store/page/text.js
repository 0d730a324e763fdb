/** Values as text for people: what fits on a row, how large it is, and what a text field does to it. */

/** @typedef {import('./service.js').Item} Item */

const previewChars = 200;
const previewLines = 5;

/**
 * The beginning of a value; of one that is no text, its first bytes.
 * @param {Pick<Item, 'value' | 'encoding'>} item
 * @returns {{ text: string, isCut: boolean }}
 */
export function preview({ value, encoding }) {
  if (encoding === 'base64') {
    const bytes = atob(value.slice(0, 32));
    const hex = Array.from(bytes, (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0'));
    return { text: hex.join(' '), isCut: value.length > 32 };
  }
  const lines = value.slice(0, previewChars).split('\n').slice(0, previewLines);
  const text = withoutHalf(lines.join('\n'));
  return { text, isCut: text.length < value.length };
}

/** @param {string} text which may have been cut between the two halves of one character */
function withoutHalf(text) {
  return /[\uD800-\uDBFF]$/.test(text) ? text.slice(0, -1) : text;
}

/** @param {Pick<Item, 'value' | 'encoding'>} item @returns {number} */
export function bytesOf({ value, encoding }) {
  if (encoding === 'utf8') return new TextEncoder().encode(value).length;
  const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
  return (value.length / 4) * 3 - padding;
}

/** @param {number} bytes */
export function sizeText(bytes) {
  if (bytes < 1_000) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  const [size, unit] = bytes < 1_000_000 ? [bytes / 1_000, 'kB'] : [bytes / 1_000_000, 'MB'];
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

/**
 * A text field makes every line end `\n`: what they have to be again when its text is saved.
 * @param {string} value
 * @returns {'\n' | '\r\n'}
 */
export function lineEndOf(value) {
  return value.includes('\r\n') ? '\r\n' : '\n';
}

/** @param {string} text of a text field @param {'\n' | '\r\n'} lineEnd */
export function withLineEnd(text, lineEnd) {
  return lineEnd === '\n' ? text : text.replaceAll('\n', lineEnd);
}
