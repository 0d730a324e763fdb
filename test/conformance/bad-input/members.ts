/**
 * The calls about members. Every row leaves the members as they are. What a member goes through that has
 * been added is in the recording, since it needs its id.
 */
import type { Row } from './answers.ts';
import { overMessageLimit } from './answers.ts';

const badUrls = { code: 3, message: 'etcdserver: given member URLs are invalid' };
const notFound = { code: 5, message: 'etcdserver: member not found' };
const huge = 'n'.repeat(2.5 * 1024 * 1024);

/** No list of member URLs, however it is read. */
const noUrls = ['5', 'true', '{}', '"http://a:1"', '[5]', '[true]', '[{}]', '[["http://a:1"]]'];
const noIds = [
  ...['"x"', '""', '1.5', '"1.5"', 'true', '[]', '[1]', '{}', '"0x1"', '"01"', '"+1"', '-1'],
  ...['"-1"', '18446744073709551616', '"18446744073709551616"', '1e99'],
];
const noFlags = ['"true"', '1', '[]', '{}'];
const noBodies = ['[]', '"x"', '5', 'true', 'nope', '{', '{"ID":', '{"ID"}', "{'ID':1}", '\u0000'];

const calls = ['list', 'add', 'remove', 'update', 'promote'];
const row = (what: string, call: string, body: string, answer: Row['answer']): Row => ({
  what,
  path: `cluster/member/${call}`,
  body,
  answer,
});
const typed = (call: string, body: string, wrong: readonly string[]): Row[] =>
  wrong.map((value) =>
    row(
      'wrong type or out of range',
      call,
      body.replace('$', () => value),
      { code: 3 },
    ),
  );

const wrongTypes: readonly Row[] = [
  ...calls.flatMap((call) => typed(call, '$', noBodies)),
  ...typed('list', '{"linearizable":$}', noFlags).map((one) => ({
    ...one,
    notBy34: 'a field of 3.5',
  })),
  ...typed('add', '{"peerURLs":$}', noUrls),
  ...typed('add', '{"peerURLs":["http://a:1"],"isLearner":$}', noFlags),
  ...typed('update', '{"ID":7,"peerURLs":$}', noUrls),
  ...['remove', 'update', 'promote'].flatMap((call) => typed(call, '{"ID":$}', noIds)),
];

/** Nobody has such an id: ids are drawn from 64 bits. */
const ids = ['', '"ID":0', '"ID":null', '"ID":"7"', '"ID":7', '"ID":18446744073709551615'];

const unknown: readonly Row[] = ['remove', 'promote', 'update'].flatMap((call) =>
  ids.map((id) => row('a member that nobody knows', call, `{${id}}`, notFound)),
);

/** By Go's url.Parse and net.SplitHostPort, and etcd's own look at scheme and path. */
const urls = [
  ...[
    '',
    ' ',
    'a',
    'a:1',
    'http:',
    'http://',
    'http://a',
    'http://a:1/',
    'http://a:1/x',
    'ftp://a:1',
  ],
  ...['http:a:1', 'http:/a:1', 'http:///a:1', 'http://a:x', 'http://a:-1', 'http://a:1:1'],
  ...['http://::1:1', 'http://[::1]', 'http://[::1', 'http://[::1]x:1', 'http://]:1', '//a:1'],
  ...['http://a b:1', 'http://a^:1', 'http://a\\\\b:1', 'http://%41:1', 'http://%zz:1', 'unix://a'],
  ...[
    '\\u0001http://a:1',
    'http://a\\u007f:1',
    'http://a@b@c:1/',
    'http://u%zz@a:1',
    'http://a:1#%z',
  ],
  ...['1http://a:1', 'h\\u00e4ttp://a:1', ':', '/', '?', '#'],
];

const invalid: readonly Row[] = [
  ...['', '{}', '{"peerURLs":null}', '{"peerURLs":[]}', '{"isLearner":true}', '{"other":1}'].map(
    (body) => row('no URL', 'add', body, badUrls),
  ),
  ...urls.flatMap((url) => [
    row('a URL that is none', 'add', `{"peerURLs":["${url}"]}`, badUrls),
    row('one of two', 'add', `{"peerURLs":["http://a:1","${url}"],"isLearner":true}`, badUrls),
  ]),
  // Its id is looked at first.
  row('a URL that is none, of nobody', 'update', '{"ID":7,"peerURLs":["nope"]}', notFound),
];

const sizes: readonly Row[] = [
  row('a message above 2 MiB', 'add', `{"peerURLs":["${huge}"]}`, overMessageLimit(2621445)),
  row('a message above 2 MiB', 'update', `{"peerURLs":["${huge}"]}`, overMessageLimit(2621445)),
  row('much that is ignored', 'remove', `{"ID":7,"other":"${huge}"}`, notFound),
];

const paths: readonly Row[] = ['', '/', '/nothing', '/list/x'].map((rest) => ({
  what: 'no such call',
  path: `cluster/member${rest}`,
  body: '{}',
  answer: { code: 5, message: 'Not Found' },
  notBy34: 'its gateway says so in plain text',
}));

export const members: readonly Row[] = [
  ...[...wrongTypes, ...unknown, ...invalid, ...sizes, ...paths],
];
