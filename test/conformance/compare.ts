/**
 * Whether an answer is a right one. Exact, after what varies from server to server is taken out
 * (ids, terms, tokens, sizes, versions); except that a failure is its gRPC code and etcd's own
 * message: the HTTP status and the wording of JSON parsers differ between gateway versions.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Answer, Exchange, Json, JsonObject } from './exchange.ts';

const volatileKeys: ReadonlySet<string> = new Set([
  ...['cluster_id', 'member_id', 'raft_term', 'raftTerm', 'raftIndex', 'raftAppliedIndex'],
  ...['leader_id', 'token', 'dbSize', 'dbSizeInUse', 'dbSizeQuota', 'hash', 'blob'],
  ...['remaining_bytes', 'etcdserver', 'etcdcluster', 'storage', 'storageVersion'],
  ...['peerURLs', 'clientURLs'],
]);

/** Lists that come from the iteration of a Go map. */
const unorderedKeys: ReadonlySet<string> = new Set(['leases', 'keys']);

const ownPrefixes = ['etcdserver', 'auth', 'election', 'lease', 'grpc', 'mvcc'];

/** What is compared of an answer. */
export type Essence = Json;

export interface Verdict {
  readonly matches: boolean;
  readonly expected: Essence;
  readonly actual: Essence;
}

export function isCompared(exchange: Exchange): boolean {
  return (
    exchange.withheld !== true &&
    exchange.nondeterministic !== true &&
    (exchange.op ?? 'req') !== 'sleep'
  );
}

export function compare(exchange: Exchange, answer: Answer): Verdict {
  const volatile = new Set([...volatileKeys, ...(exchange.volatile ?? [])]);
  const recorded: Answer = {
    status: exchange.status ?? null,
    response: exchange.response ?? null,
  };
  const actual = essence(answer, volatile);
  const right = [recorded, ...(exchange.alternatives ?? [])].map((one) => essence(one, volatile));
  return {
    matches: right.some((one) => isDeepStrictEqual(one, actual)),
    expected: right[0] ?? null,
    actual,
  };
}

function essence({ status, response }: Answer, volatile: ReadonlySet<string>): Essence {
  const normal = normalize(response, volatile, null);
  if ((status ?? 0) < 400) return { status, response: normal };
  return failureEssence(status, normal);
}

function failureEssence(status: number | null, response: Json): Essence {
  // The end of a stream that has failed before: nothing more was said.
  if (Array.isArray(response) && response.length === 0) return { code: null, message: '' };
  const body = failureBody(response);
  if (body === null) return { code: status, message: '<parse>' };
  const message = typeof body.message === 'string' ? body.message : '';
  const isOwn = ownPrefixes.some((prefix) => message.startsWith(prefix));
  return { code: body.code ?? null, message: isOwn ? message : '<parse>' };
}

/** The object that carries code and message: itself, the only one of a list, or a stream's error. */
function failureBody(response: Json): JsonObject | null {
  const first =
    Array.isArray(response) && response.length === 1 && asObject(response[0])?.error !== undefined
      ? response[0]
      : response;
  const body = asObject(first);
  const error = asObject(body?.error);
  if (error === null) return body;
  return { ...error, code: error.code ?? error.grpc_code ?? null };
}

function asObject(value: Json | undefined): JsonObject | null {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
  return isObject ? value : null;
}

function normalize(value: Json, volatile: ReadonlySet<string>, key: string | null): Json {
  if (key !== null && volatile.has(key)) return `<${key}>`;
  if (Array.isArray(value)) {
    const items = value.map((item) => normalize(item, volatile, null));
    return key !== null && unorderedKeys.has(key) ? sortedByText(items) : items;
  }
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, normalize(item, volatile, name)]),
  );
}

function sortedByText(items: Json[]): Json[] {
  const byText = items.map((item) => ({ item, text: JSON.stringify(item) }));
  byText.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return byText.map(({ item }) => item);
}
