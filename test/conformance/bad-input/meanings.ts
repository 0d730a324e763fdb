/** Requests of the right form that mean nothing: what they need is missing, or nobody knows it. */
import {
  leaseExists,
  maxInt64,
  nobodyLeads,
  noKey,
  noLeader,
  noLease,
  notLeader,
  type Row,
  text,
  unknownLease,
} from './answers.ts';

export const missing: readonly Row[] = [
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

export const unknown: readonly Row[] = [
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

export const ttls: readonly Row[] = [
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

export const paths: readonly Row[] = [
  ...['lease', 'lease/nothing', 'kv/lease/grant', 'kv/lease/keepalive', 'lock', 'lock/nothing'],
  ...['election', 'election/nothing', 'watch/nothing'],
].map((path) => ({
  what: 'no such call',
  path,
  body: '{}',
  answer: { code: 5, message: 'Not Found' },
  notBy34: 'its gateway says so in plain text',
}));
