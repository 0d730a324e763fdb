/** What is too large for the log, and what for a message. */
import { nobodyLeads, overMessageLimit, type Row, tooLarge } from './answers.ts';

const MiB = 1024 * 1024;
const base64 = (bytes: number) => Buffer.alloc(bytes, 'n').toString('base64');
const big = base64(1.6 * MiB);
const huge = base64(2.5 * MiB);
export const sizes: readonly Row[] = [
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
