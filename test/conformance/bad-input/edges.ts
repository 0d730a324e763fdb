/** Leases whose ids are the edges of int64, or what a double does not hold. */
import {
  type Answer,
  leaseExists,
  maxInt64,
  nobodyLeads,
  type Row,
  text,
  unknownLease,
} from './answers.ts';

const edgeIds = [
  ...['1', '-1', '"-1"', '9007199254740993', '"9007199254740993"', maxInt64, `"${maxInt64}"`],
  ...['-9223372036854775808', '"-9223372036854775808"'],
];

/** The life of a lease whose id is one of int64's edges, or one that a double does not hold. */
export const edges: readonly Row[] = edgeIds.flatMap((id): Row[] => {
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
