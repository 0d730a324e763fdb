/** Bad input for etcd's maintenance service; alarms of members that nobody knows are apart. */
import { type Answer, maxInt64, type Row } from './answers.ts';
import { field, noBodies, noIntegers, wrongIn } from './wrong-types.ts';

const maxUint64 = '18446744073709551615';
const noUnsigned = [
  ...['"x"', '""', '1.5', '"1.5"', 'true', '[]', '{}', '"0x1"', '"01"', '"+1"', '1e99'],
  ...['-1', '"-1"', '18446744073709551616', '"18446744073709551616"'],
];
const noEnums = ['"NOPE"', '"nospace"', '""', '1.5', 'true', '[]', '{}', '3000000000', '"-1.5"'];
const noStrings = ['5', 'true', '[]', '{}'];

const not34 = '3.4 does not offer it';
const dies = 'it dies of it, as 3.5 does';
const dies34 = 'it dies of it';

const badTransferee: Answer = { code: 9, message: 'etcdserver: bad leader transferee' };
const futureRevision: Answer = {
  code: 11,
  message: 'etcdserver: mvcc: required revision is a future revision',
};
const wrongFormat: Answer = {
  code: 3,
  message: 'etcdserver: wrong downgrade target version format',
};
const wrongVersion: Answer = { code: 3, message: 'etcdserver: invalid downgrade target version' };
const noJob: Answer = { code: 9, message: 'etcdserver: no inflight downgrade job' };
const unknownMethod: Answer = { code: 2, message: 'etcdserver: unknown method' };
const nothing: Answer = { body: {} };

const row = (what: string, path: string, body: string, answer: Answer, notBy34?: string): Row => ({
  ...{ what, path: `maintenance/${path}`, body, answer },
  ...(notBy34 === undefined ? {} : { notBy34 }),
});

const versions: readonly (readonly [version: string, answer: Answer])[] = [
  ...['3.5', '3.6', '3.3', '4.4', '3.5.30'].map((one) => [one, wrongVersion] as const),
  ...['', '3', 'v3.4', '3.4.', '3.4.0.0', 'abc'].map((one) => [one, wrongFormat] as const),
];

/** None of these leaves an alarm behind. */
export const maintenance: readonly Row[] = [
  ...wrongIn([
    field('maintenance/alarm', '{"action":$}', noEnums),
    field('maintenance/alarm', '{"memberID":$}', noUnsigned),
    field('maintenance/alarm', '{"alarm":$}', noEnums),
    field('maintenance/transfer-leadership', '{"targetID":$}', noUnsigned),
    ...['alarm', 'status', 'hash', 'defragment', 'transfer-leadership'].map((path) =>
      field(`maintenance/${path}`, '$', noBodies),
    ),
  ]),
  ...wrongIn(
    [
      field('maintenance/hashkv', '{"revision":$}', noIntegers),
      field('maintenance/downgrade', '{"action":$}', noEnums),
      field('maintenance/downgrade', '{"version":$}', noStrings),
      ...['hashkv', 'downgrade'].map((path) => field(`maintenance/${path}`, '$', noBodies)),
    ],
    not34,
  ),
  ...['', '{}', '{"action":null}', '{"action":"GET","memberID":7}', '{"other":[1]}'].map((body) =>
    row('no alarms', 'alarm', body, nothing),
  ),
  ...['{"action":"ACTIVATE"}', '{"action":1,"memberID":7,"alarm":"NONE"}'].map((body) =>
    row('no alarm to raise', 'alarm', body, nothing, dies34),
  ),
  ...['NONE', 'NOSPACE', 'CORRUPT'].flatMap((alarm) =>
    ['0', '7', `"${maxUint64}"`].map((id) =>
      row(
        'no such alarm to clear',
        'alarm',
        `{"action":"DEACTIVATE","memberID":${id},"alarm":"${alarm}"}`,
        nothing,
      ),
    ),
  ),
  ...['{"action":"ACTIVATE","memberID":7,"alarm":9}', '{"action":9,"alarm":"NOSPACE"}'].map(
    (body) => row('an alarm or action that nobody knows', 'alarm', body, nothing, dies),
  ),
  ...['', '{}', '{"targetID":0}', '{"targetID":"12345"}', `{"targetID":"${maxUint64}"}`].map(
    (body) => row('no such member', 'transfer-leadership', body, badTransferee),
  ),
  ...['1000000', maxInt64, `"${maxInt64}"`].map((revision) =>
    row('a revision to come', 'hashkv', `{"revision":${revision}}`, futureRevision, not34),
  ),
  ...['', '{}', ' ', '{"other":1}'].map((body) => row('nothing', 'defragment', body, nothing)),
  ...['VALIDATE', 'ENABLE'].flatMap((action) =>
    versions.map(([version, answer]) =>
      row(
        'no version to go back to',
        'downgrade',
        JSON.stringify({ action, version }),
        answer,
        not34,
      ),
    ),
  ),
  row('no version', 'downgrade', '{}', wrongFormat, not34),
  row('no job', 'downgrade', '{"action":"CANCEL","version":"3.4"}', noJob, not34),
  row('no such action', 'downgrade', '{"action":9,"version":"3.4"}', unknownMethod, not34),
  ...['maintenance', 'maintenance/nothing', 'maintenance/alarm/', 'maintenance/hash/kv'].map(
    (path): Row => ({
      what: 'no such call',
      path,
      body: '{}',
      answer: { code: 5, message: 'Not Found' },
      notBy34: 'its gateway says so in plain text',
    }),
  ),
];

const alarms = (...list: readonly (readonly [id: string, alarm: string])[]): Answer => ({
  body: { alarms: list.map(([memberID, alarm]) => ({ memberID, alarm })) },
});
const put = '{"key":"YQ==","value":"Yg=="}';
const noSpace: Answer = { code: 8, message: 'etcdserver: mvcc: database space exceeded' };
const corrupt: Answer = { code: 15, message: 'etcdserver: corrupt cluster' };
const change = (action: string, memberID: string, alarm: string): string =>
  JSON.stringify({ action, memberID, alarm });

/** Alarms of members that nobody knows stand as others do: one after another, to a store of one's own. */
export const alarmed: readonly Row[] = [
  row('raised', 'alarm', change('ACTIVATE', maxUint64, 'NOSPACE'), alarms([maxUint64, 'NOSPACE'])),
  row('raised again', 'alarm', change('ACTIVATE', maxUint64, 'NOSPACE'), {
    body: { alarms: [{ memberID: maxUint64, alarm: 'NOSPACE' }] },
  }),
  { what: 'refused', path: 'kv/put', body: put, answer: noSpace },
  { what: 'refused', path: 'lease/grant', body: '{"TTL":5,"ID":881}', answer: noSpace },
  row('another member’s', 'alarm', change('DEACTIVATE', '0', 'NOSPACE'), nothing),
  row('another alarm', 'alarm', change('DEACTIVATE', maxUint64, 'CORRUPT'), nothing),
  { what: 'refused still', path: 'kv/put', body: put, answer: noSpace },
  row(
    'cleared',
    'alarm',
    change('DEACTIVATE', maxUint64, 'NOSPACE'),
    alarms([maxUint64, 'NOSPACE']),
  ),
  { what: 'not refused any more', path: 'kv/put', body: put, answer: nothing },
  row('of nobody', 'alarm', change('ACTIVATE', '0', 'CORRUPT'), {
    body: { alarms: [{ alarm: 'CORRUPT' }] },
  }),
  row('listed by type', 'alarm', '{"alarm":"CORRUPT"}', {
    body: { alarms: [{ alarm: 'CORRUPT' }] },
  }),
  row('listed by another type', 'alarm', '{"alarm":"NOSPACE"}', nothing),
  { what: 'refused', path: 'kv/put', body: put, answer: corrupt },
  { what: 'refused', path: 'kv/deleterange', body: '{"key":"YQ=="}', answer: corrupt },
  { what: 'refused', path: 'kv/compaction', body: '{"revision":"1"}', answer: corrupt },
  { what: 'refused', path: 'lease/revoke', body: '{"ID":"779"}', answer: corrupt },
  row('cleared', 'alarm', change('DEACTIVATE', '0', 'CORRUPT'), {
    body: { alarms: [{ alarm: 'CORRUPT' }] },
  }),
  { what: 'not refused any more', path: 'kv/put', body: put, answer: nothing },
];
