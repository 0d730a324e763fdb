/**
 * The edges of HTTP around etcd's gateway: what is answered where no call is, or where it is made in an odd
 * way. Recorded from 3.4.23 (test/etcd/http.test.ts asks it again where it is installed) and, where the two
 * differ, from 3.5.30, which is what we answer unless `better` says why not.
 */

/** What is looked at of an answer; what is absent may be anything. */
export interface Told {
  readonly status: number;
  readonly type?: string;
  readonly allow?: string;
  readonly location?: string;
  readonly encoding?: string;
  /** The whole body. */
  readonly text?: string;
  /** Of a refusal in JSON: gRPC's code. */
  readonly code?: number;
  /** The body is the answer to the range of the key that is asked for. */
  readonly isRange?: true;
}

export interface Edge {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly version?: '1.0';
  readonly told: Told;
  /** What 3.4 answers, if it differs. */
  readonly by34?: Told;
  /** Why ours differs from what any etcd answers. */
  readonly better?: string;
}

const json = 'application/json';
const plain = 'text/plain; charset=utf-8';
const range = '/v3/kv/range';
const body = '{"key":"Zm9v"}';
const isRange: Told = { status: 200, type: json, isRange: true };
const noCall: Told = { status: 404, type: json, code: 5 };
const noCall34: Told = { status: 404, type: plain, text: 'Not Found\n' };
const noPage: Told = { status: 404, type: plain, text: '404 page not found\n' };
const noMethod: Told = { status: 501, type: json, code: 12 };
const noMethod34: Told = { status: 405, type: plain, text: 'Method Not Allowed\n' };
const getOnly: Told = { status: 405, type: plain, allow: 'GET', text: 'Method Not Allowed\n' };
const empty: Told = { status: 200, text: '' };

const asIs = (what: string, more: Partial<Edge>): Edge => {
  return { what, method: 'POST', path: range, body, told: isRange, ...more };
};

/** etcd takes all of these as if they were not there. */
const ignored: readonly Edge[] = [
  asIs('a body that is a form', {
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  }),
  asIs('a body that is gRPC', { headers: { 'Content-Type': 'application/grpc' } }),
  asIs('a body in another charset', { headers: { 'Content-Type': 'text/xml; charset=utf-16' } }),
  asIs('an answer in XML', { headers: { Accept: 'text/xml' } }),
  asIs('an answer in protobuf', { headers: { Accept: 'application/x-protobuf' } }),
  asIs('a packed answer', { headers: { 'Accept-Encoding': 'gzip' } }),
  asIs('a body that says it is packed', { headers: { 'Content-Encoding': 'gzip' } }),
  asIs('a page of another origin', { headers: { Origin: 'https://a.example' } }),
  asIs('metadata', { headers: { 'Grpc-Metadata-X': '1', 'X-Forwarded-For': '192.0.2.1' } }),
  asIs('another method in a header', { headers: { 'X-HTTP-Method-Override': 'GET' } }),
  asIs('no timeout', { headers: { 'Grpc-Timeout': '' } }),
  asIs('h2c', { headers: { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c' } }),
  asIs('a query', { path: `${range}?key=YQ==&x=1` }),
  asIs('a query that is none', { path: `${range}?a;b=%zz` }),
  asIs('a second body', { body: `${body}{"key":"YQ=="}` }),
  asIs('the whole URL', { path: `http://x${range}` }),
  asIs('a path of 3.3', { path: '/v3beta/kv/range' }),
];

const framing: readonly Edge[] = [
  asIs('chunks', {
    headers: { 'Transfer-Encoding': 'chunked' },
    body: `e\r\n${body}\r\n0\r\n\r\n`,
  }),
  asIs('chunks and a length', {
    headers: { 'Transfer-Encoding': 'chunked', 'Content-Length': '3' },
    body: `e\r\n${body}\r\n0\r\n\r\n`,
  }),
  asIs('chunks that are none', {
    headers: { 'Transfer-Encoding': 'chunked' },
    body: `zz\r\n${body}\r\n0\r\n\r\n`,
    told: { status: 400, type: json, code: 3 },
  }),
  asIs('a length that is none', { headers: { 'Content-Length': 'abc' }, told: { status: 400 } }),
  asIs('a length below 0', { headers: { 'Content-Length': '-1' }, told: { status: 400 } }),
  asIs('no body', { body: '', told: { status: 400, type: json, code: 3 } }),
  asIs('bytes that are packed', {
    headers: { 'Content-Encoding': 'gzip' },
    body: '\x1f\x8b\x08\x00',
    told: { status: 400, type: json, code: 3 },
  }),
  asIs('100-continue', { headers: { Expect: '100-continue' }, told: isRange }),
  asIs('HTTP/1.0', { version: '1.0' }),
  asIs('HTTP/1.0 that goes on', { version: '1.0', headers: { Connection: 'keep-alive' } }),
  asIs('the end of the connection', { headers: { Connection: 'close' } }),
  asIs('a header of 40,000 bytes', { headers: { 'X-Big': 'a'.repeat(40_000) } }),
  asIs('a header of 1.2 MB', {
    headers: { 'X-Big': 'a'.repeat(1_200_000) },
    told: { status: 431 },
  }),
  asIs('a timeout that is none', {
    headers: { 'Grpc-Timeout': 'xyz' },
    told: {
      status: 400,
      type: json,
      text: '{"error":"invalid grpc-timeout: xyz","code":3,"message":"invalid grpc-timeout: xyz"}',
    },
    by34: { status: 400, type: json, code: 3 },
  }),
];

const methods: readonly Edge[] = [
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'TRACE'].flatMap((method): Edge[] =>
    [range, '/v3/watch', '/v3/lease/keepalive'].map((path) => {
      return { what: 'a method that is none', method, path, told: noMethod, by34: noMethod34 };
    }),
  ),
  ...[range, '/v3/watch'].map((path): Edge => {
    const told = { status: 501, type: json, text: '' };
    const by34 = { status: 405, type: plain, text: '' };
    return { what: 'the head of a call', method: 'HEAD', path, told, by34 };
  }),
  ...[range, '/v3/nothing', '/health', '/metrics', '/version', '/nothing', '/'].map(
    (path): Edge => {
      return { what: 'a preflight', method: 'OPTIONS', path, told: empty };
    },
  ),
  {
    what: 'a preflight for headers that are not in the list',
    method: 'OPTIONS',
    path: range,
    headers: { Origin: 'https://a.example', 'Access-Control-Request-Headers': 'x-other' },
    told: empty,
  },
];

const paths: readonly Edge[] = [
  ...['/v3/', '/v3/nothing', `${range}/`, `${range}:get`, '/v3/KV/range', '/v3/kv'].flatMap(
    (path) =>
      ['GET', 'POST'].map((method): Edge => {
        return { what: 'no such call', method, path, body, told: noCall, by34: noCall34 };
      }),
  ),
  ...['/', '/nothing', '/v2/keys', '/V3/kv/range', '/v3alpha/kv/range', '/favicon.ico'].flatMap(
    (path) =>
      ['GET', 'POST'].map((method): Edge => {
        return { what: 'no such page', method, path, body, told: noPage };
      }),
  ),
  ...['/health/', '/version/', '/metrics/', '/members', '/debug/pprof/', '/health/x'].map(
    (path): Edge => {
      return { what: 'no such page', method: 'GET', path, told: noPage };
    },
  ),
  {
    what: 'no such page of one that is asked for with v3',
    method: 'GET',
    path: '/v3',
    told: noCall,
    by34: { status: 301, location: '/v3/' },
    better: 'what it leads to is not there either',
  },
  ...['/v3//kv/range', '//v3/kv/range', '/v3/./kv/range', '/v3/kv/../kv/range'].map(
    (path): Edge => {
      return {
        what: 'a path with empty segments or dots',
        method: 'POST',
        path: `${path}?x=1`,
        body,
        told: { status: 308, location: `${range}?x=1` },
        by34: { status: 301, location: `${range}?x=1` },
        better: 'a client that follows sends its POST again; after 301 it sends a GET',
      };
    },
  ),
  ...['/v3/%6bv/range', '/v3/kv%2Frange', '/%763/kv/range'].map(
    (path): Edge => asIs('a path with encoded letters', { path }),
  ),
  {
    what: 'a path with an encoding that is none',
    method: 'POST',
    path: `${range}%zz`,
    body,
    told: { status: 400 },
  },
  {
    what: 'a path of 3,000 letters',
    method: 'POST',
    path: `/v3/${'a'.repeat(3_000)}`,
    body,
    told: noCall,
    by34: noCall34,
  },
];

const versions = '{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}';

const pages: readonly Edge[] = [
  {
    what: 'health',
    method: 'GET',
    path: '/health?serializable=banana',
    told: { status: 200, type: plain, text: '{"health":"true","reason":""}' },
    by34: { status: 200, type: plain, text: '{"health":"true"}' },
  },
  { what: 'health', method: 'POST', path: '/health', body: '', told: getOnly },
  { what: 'the head of health', method: 'HEAD', path: '/health', told: { ...getOnly, text: '' } },
  {
    what: 'version',
    method: 'GET',
    path: '/version',
    told: { status: 200, type: json, text: versions },
    by34: { status: 200, type: json },
  },
  { what: 'version', method: 'POST', path: '/version', body: '', told: getOnly },
  {
    what: 'the head of version',
    method: 'HEAD',
    path: '/version',
    told: { status: 200, type: json, text: '' },
    by34: { ...getOnly, text: '' },
    better: 'what can be got has a head (RFC 9110)',
  },
  ...['/livez', '/readyz'].map((path): Edge => {
    const told = { status: 200, type: plain, text: 'ok\n' };
    return { what: 'since 3.4.29', method: 'GET', path, told, by34: noPage };
  }),
  {
    what: 'the head of metrics',
    method: 'HEAD',
    path: '/metrics',
    told: { status: 200, text: '' },
  },
  {
    what: 'packed metrics',
    method: 'GET',
    path: '/metrics',
    headers: { 'Accept-Encoding': 'gzip' },
    told: { status: 200, encoding: 'gzip' },
  },
  {
    what: 'metrics',
    method: 'POST',
    path: '/metrics',
    body: '',
    told: getOnly,
    by34: { status: 200 },
    better: 'a scrape wakes members, so whoever posts there by mistake is told',
  },
  {
    what: 'variables of the process',
    method: 'GET',
    path: '/debug/vars',
    told: noPage,
    by34: { status: 200 },
    better: 'not offered: there is no process of its own',
  },
];

export const edges: readonly Edge[] = [...ignored, ...framing, ...methods, ...paths, ...pages];
