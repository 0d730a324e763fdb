/** Every field of every request with the wrong type, and out of range. */
import type { Row } from './answers.ts';

/** No int64, however it is read. */
export const noIntegers = [
  ...['"x"', '""', '1.5', '"1.5"', 'true', '[]', '[1]', '{}', '"0x1"', '"01"', '"+1"'],
  ...['9223372036854775808', '"9223372036854775808"', '"-9223372036854775809"', '1e99'],
];
const noBytes = ['5', 'true', '{}', '"!!"', '"A"'];
const noFlags = ['"true"', '1', '[]', '{}'];
const noMessages = ['5', '"x"', 'true', '[]'];
const noFilters = ['"NOPUT"', '["NOPE"]', '["x"]', '[1.5]', '[true]', '[[]]', '{}', '5'];
export const noBodies = [
  '[]',
  '"x"',
  '5',
  'true',
  'nope',
  '{',
  '{"a":',
  '{"ID"}',
  "{'ID':1}",
  '\u0000',
];

export interface Field {
  readonly path: string;
  /** The body around the field's value. */
  readonly around: readonly [before: string, after: string];
  readonly wrong: readonly string[];
}

export const field = (path: string, body: string, wrong: readonly string[]): Field => {
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

/** A row for each wrong value. `notBy34`: see Row. */
export function wrongIn(all: readonly Field[], notBy34?: string): Row[] {
  return all.flatMap(({ path, around: [before, after], wrong }) =>
    wrong.map((value) => ({
      what: 'wrong type or out of range',
      path,
      body: before + value + after,
      answer: { code: isTwoWay(path) ? 2 : 3 },
      ...(notBy34 === undefined ? {} : { notBy34 }),
    })),
  );
}

export const wrongTypes: readonly Row[] = wrongIn(fields);
