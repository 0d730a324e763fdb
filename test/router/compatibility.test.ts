/** docs/compatibility.md and the gateway say the same: each call, each field, and what is not offered. */
import { readFileSync } from 'node:fs';
import { createRegistry, type DescMessage } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { file_auth } from '../../src/api/gen/auth_pb.js';
import { file_cluster } from '../../src/api/gen/cluster_pb.js';
import { file_maintenance } from '../../src/api/gen/maintenance_pb.js';
import { file_mvcc } from '../../src/api/gen/mvcc_pb.js';
import { file_rpc } from '../../src/api/gen/rpc_pb.js';
import { file_v3election } from '../../src/api/gen/v3election_pb.js';
import { file_v3lock } from '../../src/api/gen/v3lock_pb.js';
import { rpcs } from '../../src/api/rpcs.ts';
import { gatewayPaths, isOffered } from '../../src/router/etcd/gateway.ts';

const page = readFileSync('docs/compatibility.md', 'utf8');
const registry = createRegistry(
  ...[file_rpc, file_cluster, file_maintenance, file_auth, file_mvcc, file_v3lock, file_v3election],
);

const codeIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);

interface Row {
  readonly paths: readonly string[];
  readonly verdict: string;
  readonly asked: readonly string[];
  readonly answered: readonly string[];
  readonly note: string;
}

/** By `service/method`. */
const rows = new Map<string, Row>();
/** Of the messages that others are made of: their fields, by name. */
const parts = new Map<string, readonly string[]>();
const values = new Map<string, readonly string[]>();

let section = '';
for (const line of page.split('\n')) {
  section = /^##+ (.+)$/.exec(line)?.[1] ?? section;
  if (!line.startsWith('| ') || line.startsWith('| RPC ') || /^\| (message|enum) /.test(line))
    continue;
  const cells = line.split('|').map((cell) => cell.trim());
  const [, name = '', paths = '', verdict = '', asked = '', answered = '', note = ''] = cells;
  if (section.includes('pb.'))
    rows.set(`${section}/${name}`, {
      paths: codeIn(paths),
      verdict,
      asked: codeIn(asked),
      answered: codeIn(answered),
      note,
    });
  else if (section === 'Messages') parts.set(name, codeIn(paths));
  else if (section === 'Values') values.set(name, codeIn(paths));
}

const names = new Set([...rpcs.values()].map(({ service: of, method }) => `${of}/${method}`));
const pathsOf = (name: string) =>
  [...rpcs].filter(([, rpc]) => `${rpc.service}/${rpc.method}` === name).map(([path]) => path);

/** etcd calls most messages after their method, those of auth with a prefix, and two by another name. */
function messageOf(name: string, kind: 'Request' | 'Response'): DescMessage {
  const [of = '', method = ''] = name.split('/');
  const [scope] = of.split('.');
  const others: Readonly<Record<string, string>> = { Compact: 'Compaction', Observe: 'Leader' };
  for (const one of [method, `Auth${method}`, others[method]]) {
    const found = registry.getMessage(`${scope}.${one}${kind}`);
    if (found) return found;
  }
  throw new Error(`${name} has no ${kind}: which file of src/api/gen has it?`);
}

const fieldsOf = ({ fields }: DescMessage) => fields.map((field) => field.name);

describe('each call', () => {
  test('of etcd has a row, and each row is a call of etcd', () => {
    expect([...rows.keys()].sort()).toEqual([...names].sort());
  });

  test('that the gateway serves is one of etcd’s', () => {
    expect(gatewayPaths.filter((path) => !rpcs.has(path))).toEqual([]);
  });

  test.each([...names])('%s: its row is true', (name) => {
    const row = rows.get(name);
    const paths = pathsOf(name);
    expect(row?.paths).toEqual(paths);
    const served = paths.filter(isOffered);
    const advice =
      'served or not: its row in docs/compatibility.md has to say so, and how it differs';
    expect(served, advice).toEqual(row?.verdict === 'not offered' ? [] : paths);
    expect(['same', 'better', 'not offered']).toContain(row?.verdict);
    if (row?.verdict !== 'same') expect(row?.note).not.toBe('');
    if (served.length === 0) return;
    expect(row?.asked).toEqual(fieldsOf(messageOf(name, 'Request')));
    expect(row?.answered).toEqual(fieldsOf(messageOf(name, 'Response')));
  });
});

test('each message that others are made of has a row with its fields', () => {
  const found = new Map<string, readonly string[]>();
  const visit = (message: DescMessage): void => {
    for (const { message: part } of message.fields) {
      if (!part || found.has(part.name)) continue;
      // Those of an answer or a call of its own have their row above.
      if (!isNamedAbove(part)) found.set(part.name, fieldsOf(part));
      visit(part);
    }
  };
  for (const name of names)
    if (pathsOf(name).some(isOffered))
      for (const kind of ['Request', 'Response'] as const) visit(messageOf(name, kind));
  expect(Object.fromEntries(parts)).toEqual(Object.fromEntries(found));
});

test('each enum has a row with its values', () => {
  const found = new Map<string, readonly string[]>();
  for (const type of registry)
    if (type.kind === 'enum')
      found.set(
        type.typeName.replace(/^\w+\./, ''),
        type.values.map(({ name }) => name),
      );
  expect(Object.fromEntries(values)).toEqual(Object.fromEntries(found));
});

function isNamedAbove({ typeName }: DescMessage): boolean {
  return [...names].some((name) =>
    (['Request', 'Response'] as const).some((kind) => {
      try {
        return messageOf(name, kind).typeName === typeName;
      } catch {
        return false;
      }
    }),
  );
}
