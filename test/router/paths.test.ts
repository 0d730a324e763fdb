/** Paths as Go's mux takes them, for whoever builds a URL out of a base with a slash at its end. */
import { expect, test } from 'vitest';
import { straighten } from '../../src/router/etcd/paths.ts';

test.each([
  ['//v3/kv/range', '/v3/kv/range'],
  ['/t/acme//v3/kv/range', '/t/acme/v3/kv/range'],
  ['/v3/kv//', '/v3/kv/'],
  ['/v3/./kv/../kv/range', '/v3/kv/range'],
  ['/../../v3/x', '/v3/x'],
  ['/v3/kv/..', '/v3/'],
  ['//evil.example/..', '/'],
  ['///', '/'],
])('%s leads to %s, on this host', (path, to) => {
  expect(straighten(path)).toEqual({ kind: 'elsewhere', path: to });
});

test.each([
  ['/v3/%6bv/range', '/v3/kv/range'],
  ['/v3/kv%2Frange', '/v3/kv/range'],
  ['/t/acme%2fv3/kv/range', '/t/acme/v3/kv/range'],
])('%s is %s', (path, decoded) => {
  expect(straighten(path)).toEqual({ kind: 'decoded', path: decoded });
});

test.each([
  '/v3/kv/range',
  '/v3/nothing/',
  // Neither decoded twice, nor out of its folder, nor into a query, nor into bytes.
  ...['/v3/%256bv/range', '/v3/%2e%2e/v1/kv', '/v3%2f%2fkv', '/v3/kv%3fx', '/v3/%00', '/v3/%c3%a9'],
])('%s is nobody’s', (path) => {
  expect(straighten(path)).toEqual({ kind: 'none' });
});

test.each(['/v3/%', '/v3/%2', '/v3/%zz', '/v3//%zz'])('%s is malformed', (path) => {
  expect(straighten(path)).toEqual({ kind: 'malformed' });
});
