/**
 * The path of a request as it came: neither Hono nor anybody else has decoded it. Keys are bytes,
 * and a router that decodes `%2F` or `%0A` before it matches would lose some of them.
 */
export function rawPath(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  if (start < 0) return '/';
  let end = start;
  for (; end < url.length; end++) {
    const code = url.charCodeAt(end);
    if (code === 0x3f || code === 0x23) break; // ? or #
  }
  return url.slice(start, end);
}

/** What stands between `?` and `#`, still encoded. */
export function rawQuery(url: string): string {
  const start = url.indexOf('?');
  if (start < 0) return '';
  const end = url.indexOf('#', start);
  return url.slice(start + 1, end < 0 ? undefined : end);
}
