/**
 * Paths as Go's mux, in front of etcd's gateway, takes them: empty, `.` and `..` segments are taken out by a
 * redirect, and then percent-encoded ones are what they stand for. Looked at only when nobody serves a path
 * as it came. `/v1` has no part in it: its keys are bytes.
 */
export type Straightened =
  /** Nothing to straighten: nobody serves it. */
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'elsewhere'; readonly path: string }
  | { readonly kind: 'decoded'; readonly path: string };

/** Letters that a path of ours may have; whatever else is decoded is served by nobody. */
const plainPath = /^[\w/.-]*$/;

export function straighten(path: string): Straightened {
  if (/%(?![0-9a-f]{2})/i.test(path)) return { kind: 'malformed' };
  const clean = cleaned(path);
  if (clean !== path) return { kind: 'elsewhere', path: clean };
  if (!path.includes('%')) return { kind: 'none' };
  const decoded = path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  // Not cleaned again: `%2e%2e` leads nowhere.
  return plainPath.test(decoded) && cleaned(decoded) === decoded
    ? { kind: 'decoded', path: decoded }
    : { kind: 'none' };
}

function cleaned(path: string): string {
  const kept: string[] = [];
  const segments = path.split('/');
  for (const segment of segments)
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  const last = segments.at(-1) ?? '';
  const isFolder = kept.length > 0 && (last === '' || last === '.' || last === '..');
  return `/${kept.join('/')}${isFolder ? '/' : ''}`;
}
