/**
 * Bad input for leases, locks, elections and watches, and etcd's answer to each: recorded from 3.5.30 where the
 * recordings have it, else learnt from 3.4.23 (test/etcd/bad-input.test.ts asks it again where it is installed).
 *
 * Each row stands alone, but for the lease that all of them may use, and for those of `edges`.
 */

/** Granted before the first row, for longer than all of them take. */
export const sharedLease = 779;

export type Answer =
  /** A code of gRPC. `message`: etcd's own words; absent: a parser's, which differ between versions. */
  | { readonly code: number; readonly message?: string }
  /** The whole answer to a unary call, without its header. */
  | { readonly body: unknown }
  /** What a stream says, line by line, without headers; `open`: and then no more, but it does not end. */
  | { readonly lines: readonly unknown[]; readonly open: boolean }
  /** Nothing at all, and no end: it waits. */
  | 'silence';

export interface Row {
  readonly what: string;
  /** Below /v3/. */
  readonly path: string;
  readonly body: string;
  readonly answer: Answer;
  /** Why 3.4 answers otherwise than 3.5, whose answer this is, or than we choose to. */
  readonly notBy34?: string;
}

const maxInt64 = '9223372036854775807';

/** No int64, however it is read. */
const noIntegers = [
  ...['"x"', '""', '1.5', '"1.5"', 'true', '[]', '[1]', '{}', '"0x1"', '"01"', '"+1"'],
  ...['9223372036854775808', '"9223372036854775808"', '"-9223372036854775809"', '1e99'],
];
const noBytes = ['5', 'true', '{}', '"!!"', '"A"'];
const noFlags = ['"true"', '1', '[]', '{}'];
const noMessages = ['5', '"x"', 'true', '[]'];
const noFilters = ['"NOPUT"', '["NOPE"]', '["x"]', '[1.5]', '[true]', '[[]]', '{}', '5'];
const noBodies = ['[]', '"x"', '5', 'true', 'nope', '{', '{"a":', '{"ID"}', "{'ID':1}", '\u0000'];

interface Field {
  readonly path: string;
  /** The body around the field's value. */
  readonly around: readonly [before: string, after: string];
  readonly wrong: readonly string[];
}

const field = (path: string, body: string, wrong: readonly string[]): Field => {
  const [before = '', after = ''] = body.split('$');
  return { path, around: [before, after], wrong };
};

/** Every field of every request. */
const fields: readonly Field[] = [
  field('lease/grant', '{"TTL":60,"ID":$}', noIntegers),
  field('lease/grant', '{"TTL":$,"ID":778}', noIntegers),
  field('lease/revoke', '{"ID":$}', noIntegers),
  field('kv/lease/revoke', '{"ID":$}', noIntegers),
  field('lease/timetolive', '{"ID":$}', noIntegers),
  field('kv/lease/timetolive', '{"ID":$}', noIntegers),
  field('lease/timetolive', '{"ID":779,"keys":$}', noFlags),
  field('lease/keepalive', '{"ID":$}', noIntegers),
  field('lock/lock', '{"name":$,"lease":779}', noBytes),
  field('lock/lock', '{"name":"bA==","lease":$}', noIntegers),
  field('lock/unlock', '{"key":$}', noBytes),
  field('election/campaign', '{"name":$,"lease":779}', noBytes),
  field('election/campaign', '{"name":"ZQ==","lease":$}', noIntegers),
  field('election/campaign', '{"name":"ZQ==","lease":779,"value":$}', noBytes),
  field('election/leader', '{"name":$}', noBytes),
  field('election/observe', '{"name":$}', noBytes),
  ...['election/proclaim', 'election/resign'].flatMap((path) => [
    field(path, '{"leader":$}', noMessages),
    field(path, '{"leader":{"name":$}}', noBytes),
    field(path, '{"leader":{"key":$}}', noBytes),
    field(path, '{"leader":{"rev":$}}', noIntegers),
    field(path, '{"leader":{"lease":$}}', noIntegers),
  ]),
  field('election/proclaim', '{"leader":{"key":"bm9uZQ==","rev":1},"value":$}', noBytes),
  field('watch', '{"create_request":$}', noMessages),
  field('watch', '{"create_request":{"key":$}}', noBytes),
  field('watch', '{"create_request":{"key":"YQ==","range_end":$}}', noBytes),
  field('watch', '{"create_request":{"key":"YQ==","start_revision":$}}', noIntegers),
  field('watch', '{"create_request":{"key":"YQ==","watch_id":$}}', noIntegers),
  field('watch', '{"create_request":{"key":"YQ==","filters":$}}', noFilters),
  field('watch', '{"create_request":{"key":"YQ==","prev_kv":$}}', noFlags),
  field('watch', '{"create_request":{"key":"YQ==","progress_notify":$}}', noFlags),
  field('watch', '{"create_request":{"key":"YQ==","fragment":$}}', noFlags),
  field('watch', '{"cancel_request":$}', noMessages),
  field('watch', '{"cancel_request":{"watch_id":$}}', noIntegers),
  field('watch', '{"progress_request":$}', noMessages),
  ...[
    ...['lease/grant', 'lease/revoke', 'lease/timetolive', 'lease/leases', 'lease/keepalive'],
    ...['lock/lock', 'lock/unlock', 'election/campaign', 'election/leader', 'election/observe'],
    ...['election/proclaim', 'election/resign', 'watch'],
  ].map((path) => field(path, '$', noBodies)),
];

/** A stream whose first message is none has no code of its own: Unknown. */
const isTwoWay = (path: string) => path === 'watch' || path === 'lease/keepalive';

const wrongTypes: readonly Row[] = fields.flatMap(({ path, around: [before, after], wrong }) =>
  wrong.map((value) => ({
    what: 'wrong type or out of range',
    path,
    body: before + value + after,
    answer: { code: isTwoWay(path) ? 2 : 3 },
  })),
);

const leaseExists = { code: 9, message: 'etcdserver: lease already exists' };
const unknownLease = { code: 5, message: 'etcdserver: requested lease not found' };
/** The services' own words have no code of gRPC. */
const own = (message: string): Answer => ({ code: 2, message });
const noLease = own('etcdserver: requested lease not found');
const noKey = own('etcdserver: key is not provided');
const noLeader = own('"leader" field must be provided');
const notLeader = own('election: not leader');
const nobodyLeads = own('election: no leader');
const tooLarge = own('etcdserver: request is too large');
const overMessageLimit = (size: number): Answer => ({
  code: 8,
  message: `grpc: received message larger than max (${size} vs. 2097152)`,
});

const missing: readonly Row[] = [
  ...['', '{}', '{"ID":null}', '{"ID":0}', '{"ID":"0"}', ' \n', '{"other":[1]}'].flatMap(
    (body): Row[] => [
      { what: 'no lease', path: 'lease/revoke', body, answer: unknownLease },
      { what: 'no lease', path: 'lease/timetolive', body, answer: { body: { TTL: '-1' } } },
      {
        what: 'no lease',
        path: 'lease/keepalive',
        body,
        answer: { lines: body.trim() === '' ? [] : [{ result: {} }], open: false },
      },
    ],
  ),
  ...['', '{}', '{"key":null}'].map(
    (body): Row => ({ what: 'no key', path: 'lock/unlock', body, answer: noKey }),
  ),
  ...['', '{}', '{"leader":null}', '{"value":"YQ=="}'].flatMap((body): Row[] =>
    ['election/proclaim', 'election/resign'].map((path) => {
      return { what: 'no leader', path, body, answer: noLeader };
    }),
  ),
  {
    what: 'no such election',
    path: 'election/leader',
    body: '{"name":"bm9uZQ=="}',
    answer: nobodyLeads,
  },
  {
    what: 'no such election',
    path: 'election/observe',
    body: '{"name":"bm9uZQ=="}',
    answer: 'silence',
  },
  ...['{"leader":{}}', '{"leader":{"lease":779}}'].flatMap((body): Row[] =>
    ['election/proclaim', 'election/resign'].map((path) => {
      return { what: 'no key', path, body, answer: noKey };
    }),
  ),
  ...['', '{}', '{"bogus":1}', '{"create_request":null}', '{"cancel_request":{}}'].map(
    (body): Row => ({ what: 'no watch', path: 'watch', body, answer: 'silence' }),
  ),
  {
    what: 'progress of no watch',
    path: 'watch',
    body: '{"progress_request":{}}',
    answer: 'silence',
    notBy34: '3.4 tells how far a stream without watches has come',
  },
  {
    what: 'no key means the first one',
    path: 'watch',
    body: '{"create_request":{}}',
    answer: { lines: [{ result: { created: true } }], open: true },
  },
];

const leases = ['-1', '987654', '"987654"', '-9223372036854775808', maxInt64, `"${maxInt64}"`];

const unknown: readonly Row[] = [
  ...leases.flatMap((id): Row[] => [
    { what: 'unknown', path: 'lease/revoke', body: `{"ID":${id}}`, answer: unknownLease },
    {
      what: 'unknown',
      path: 'lease/timetolive',
      body: `{"ID":${id},"keys":true}`,
      answer: { body: { ID: text(id), TTL: '-1' } },
    },
    {
      what: 'unknown',
      path: 'lease/keepalive',
      body: `{"ID":${id}}`,
      answer: { lines: [{ result: { ID: text(id) } }], open: false },
    },
    { what: 'unknown', path: 'lock/lock', body: `{"name":"bA==","lease":${id}}`, answer: noLease },
    {
      what: 'unknown',
      path: 'election/campaign',
      body: `{"name":"ZQ==","lease":${id}}`,
      answer: noLease,
    },
  ]),
  ...['0', '-1', maxInt64].map(
    (rev): Row => ({
      what: 'a revision that is not the key’s',
      path: 'election/resign',
      body: `{"leader":{"key":"bm9uZQ==","rev":"${rev}","lease":"779"}}`,
      answer: { body: {} },
    }),
  ),
  ...['-1', '7', maxInt64].map(
    (rev): Row => ({
      what: 'a revision that is not the key’s',
      path: 'election/proclaim',
      body: `{"leader":{"key":"bm9uZQ==","rev":"${rev}","lease":"779"},"value":"YQ=="}`,
      answer: notLeader,
    }),
  ),
  {
    what: 'an unknown lease for a key that is not there',
    path: 'election/proclaim',
    body: '{"leader":{"key":"bm9uZQ==","lease":987654},"value":"YQ=="}',
    answer: noLease,
  },
  {
    what: 'a key that is not there',
    path: 'lock/unlock',
    body: '{"key":"bm9uZQ=="}',
    answer: { body: {} },
  },
];

const ttls: readonly Row[] = [
  ...['0', '1', '-5', '"-9223372036854775808"', 'null'].map(
    (ttl, at): Row => ({
      what: 'a TTL below the least',
      path: 'lease/grant',
      body: `{"TTL":${ttl},"ID":${800 + at}}`,
      answer: { body: { ID: String(800 + at), TTL: '2' } },
    }),
  ),
  ...['9000000001', '"9000000001"', maxInt64].map(
    (ttl): Row => ({
      what: 'a TTL above the largest',
      path: 'lease/grant',
      body: `{"TTL":${ttl},"ID":778}`,
      answer: { code: 11, message: 'etcdserver: too large lease TTL' },
    }),
  ),
  {
    what: 'an id that is taken',
    path: 'lease/grant',
    body: '{"TTL":5,"ID":779}',
    answer: leaseExists,
  },
];

const edgeIds = [
  ...['1', '-1', '"-1"', '9007199254740993', '"9007199254740993"', maxInt64, `"${maxInt64}"`],
  ...['-9223372036854775808', '"-9223372036854775808"'],
];

/** The life of a lease whose id is one of int64's edges, or one that a double does not hold. */
const edges: readonly Row[] = edgeIds.flatMap((id): Row[] => {
  const what = `a lease of id ${id}`;
  const ID = text(id);
  const key = Buffer.from(`edge/${BigInt(ID).toString(16)}`).toString('base64');
  const row = (path: string, body: string, answer: Answer): Row => ({ what, path, body, answer });
  return [
    row('lease/grant', `{"TTL":60,"ID":${id}}`, { body: { ID, TTL: '60' } }),
    row('lease/grant', `{"TTL":60,"ID":${id}}`, leaseExists),
    row('lease/keepalive', `{"ID":${id}}`, {
      lines: [{ result: { ID, TTL: '60' } }],
      open: false,
    }),
    row('lock/lock', `{"name":"ZWRnZQ==","lease":${id}}`, { body: { key } }),
    row('lease/revoke', `{"ID":${id}}`, { body: {} }),
    row('lease/revoke', `{"ID":${id}}`, unknownLease),
    row('election/leader', '{"name":"ZWRnZQ=="}', nobodyLeads),
  ];
});

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

const watches: readonly Row[] = [
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

const MiB = 1024 * 1024;
const base64 = (bytes: number) => Buffer.alloc(bytes, 'n').toString('base64');
const big = base64(1.6 * MiB);
const huge = base64(2.5 * MiB);
const sizes: readonly Row[] = [
  {
    what: 'a large name',
    path: 'lock/lock',
    body: `{"lease":779,"name":"${big}"}`,
    answer: tooLarge,
  },
  { what: 'a large key', path: 'lock/unlock', body: `{"key":"${big}"}`, answer: tooLarge },
  {
    what: 'a large value',
    path: 'election/campaign',
    body: `{"lease":779,"name":"ZQ==","value":"${big}"}`,
    answer: tooLarge,
  },
  {
    what: 'a large value',
    path: 'election/proclaim',
    body: `{"leader":{"key":"bm9uZQ==","rev":1},"value":"${big}"}`,
    answer: tooLarge,
  },
  {
    what: 'a large key',
    path: 'election/resign',
    body: `{"leader":{"key":"${big}"}}`,
    answer: tooLarge,
  },
  { what: 'a large name', path: 'election/leader', body: `{"name":"${big}"}`, answer: nobodyLeads },
  ...(
    [
      ['lock/lock', '{"lease":779,"name":"$"}', 2621448],
      ['lock/unlock', '{"key":"$"}', 2621445],
      ['election/campaign', '{"lease":779,"name":"YQ==","value":"$"}', 2621451],
      ['election/proclaim', '{"leader":{"key":"bm9uZQ=="},"value":"$"}', 2621453],
      ['election/resign', '{"leader":{"key":"$"}}', 2621450],
      ['election/leader', '{"name":"$"}', 2621445],
      ['election/observe', '{"name":"$"}', 2621445],
      ['watch', '{"create_request":{"key":"$"}}', 2621450],
    ] as const
  ).map(
    ([path, body, size]): Row => ({
      what: 'a message above 2 MiB',
      path,
      body: body.replace('$', huge),
      answer: overMessageLimit(size),
    }),
  ),
  {
    what: 'much that is ignored',
    path: 'lease/keepalive',
    body: `{"ID":779,"other":"${huge}"}`,
    answer: { lines: [{ result: { ID: '779', TTL: '600' } }], open: false },
  },
  {
    what: 'much that is ignored',
    path: 'lease/timetolive',
    body: `{"other":"${huge}"}`,
    answer: { body: { TTL: '-1' } },
  },
];

const paths: readonly Row[] = [
  ...['lease', 'lease/nothing', 'kv/lease/grant', 'kv/lease/keepalive', 'lock', 'lock/nothing'],
  ...['election', 'election/nothing', 'watch/nothing'],
].map((path) => ({
  what: 'no such call',
  path,
  body: '{}',
  answer: { code: 5, message: 'Not Found' },
  notBy34: 'its gateway says so in plain text',
}));

export const rows: readonly Row[] = [
  ...[...wrongTypes, ...missing, ...unknown, ...ttls, ...edges],
  ...[...watches, ...sizes, ...paths],
];

/** As an answer shows an id that was sent as text or as a number. */
function text(id: string): string {
  return id.replaceAll('"', '');
}
