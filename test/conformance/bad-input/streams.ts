/** Streams of watches and keep-alives: ids, revisions and ranges that are none, and cuts. */
import { maxInt64, type Row } from './answers.ts';

const watch = (more: string) => `{"create_request":{"key":"YQ=="${more}}}`;
const created = (id?: string) => ({
  result: id === undefined ? { created: true } : { watch_id: id, created: true },
});
const refused = (reason: string) => ({
  result: { watch_id: '-1', created: true, canceled: true, cancel_reason: reason },
});
const duplicate = refused('mvcc: duplicate watch ID provided on the WatchStream');
const emptyRange = refused('mvcc: watcher range is empty');
const compacted = refused('etcdserver: mvcc: required revision has been compacted');

const stream = (what: string, body: string, lines: unknown[], notBy34?: string): Row => ({
  what,
  path: 'watch',
  body,
  answer: { lines, open: true },
  ...(notBy34 === undefined ? {} : { notBy34 }),
});

export const streams: readonly Row[] = [
  stream('two with one id', watch(',"watch_id":5') + watch(',"watch_id":"5"'), [
    created('5'),
    duplicate,
  ]),
  stream('the id of one that we gave', watch('') + watch(',"watch_id":0'), [
    created(),
    created('1'),
  ]),
  stream(
    'an id again after its cancel',
    `${watch(',"watch_id":5')}{"cancel_request":{"watch_id":5}}${watch(',"watch_id":5')}`,
    [created('5'), { result: { watch_id: '5', canceled: true } }, created('5')],
  ),
  ...['-1', '-2', '9007199254740993', maxInt64, '-9223372036854775808'].map((id) =>
    stream('an id', watch(`,"watch_id":${id}`), [created(id)]),
  ),
  stream('an end before the key', watch(',"range_end":"QQ=="'), [emptyRange]),
  stream('the key as its end', watch(',"range_end":"YQ=="'), [emptyRange]),
  stream('a revision that is far off', watch(`,"start_revision":${maxInt64}`), [created()]),
  ...['-1', '-9223372036854775808'].map((at) =>
    stream('a negative revision', watch(`,"start_revision":${at}`), [compacted], 'since 3.5.24'),
  ),
  stream('filters that nobody knows, by number', watch(',"filters":[7]'), [created()]),
  stream('the same filter twice', watch(',"filters":["NOPUT",0]'), [created()]),
  ...['77', '-1', maxInt64].map((id) =>
    stream('the cancel of none', `${watch('')}{"cancel_request":{"watch_id":${id}}}`, [created()]),
  ),
  stream('a cancel twice', `${watch('')}${'{"cancel_request":{}}'.repeat(2)}`, [
    created(),
    { result: { canceled: true } },
  ]),
  ...['{"create_re', 'nope', '[]', '}', '{"create_request":{"key":5}}', '{"bogus":1}', '{}'].map(
    (rest) => stream('what follows is none', watch('') + rest, [created()]),
  ),
  ...['{"ID":1', 'nope', '[]', '{"ID":"x"}{"ID":779}', '}'].map(
    (rest): Row => ({
      what: 'what follows is none',
      path: 'lease/keepalive',
      body: `{"ID":779}${rest}`,
      answer: { lines: [{ result: { ID: '779', TTL: '600' } }], open: false },
    }),
  ),
];
