/**
 * /health, /livez, /readyz and /version, as etcd answers them.
 *
 * These are open to everybody, so that a load balancer needs no secret. A stranger must not be able
 * to found groups or to wake members with them, though: whoever is not authorized gets a report of
 * this process alone, and no member is asked. Who is authorized gets etcd's checks.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { etcdErrors } from '../api/errors.ts';
import { type AlarmMember, AlarmResponseSchema, AlarmType } from '../api/gen/maintenance_pb.js';
import { MaintenanceQuerySchema } from '../api/gen/member_pb.js';
import { etcdVersions } from '../api/version.ts';
import { nobody } from './auth/credentials.ts';
import type { RouterEnv } from './env.ts';
import { corsHeaders, getOnly, plainText } from './etcd/headers.ts';
import { startDeadline } from './http/deadline.ts';
import { rawQuery } from './http/path.ts';
import { askGroup } from './members/ask.ts';
import { countHealth } from './metrics/rpc-counts.ts';

interface Probe {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
  /** False: say what this process knows by itself. */
  readonly mayAsk: boolean;
}

/** Each of the two questions is asked once, whatever number of checks wants to know. */
interface Asked {
  readonly serializable: () => Promise<Health>;
  readonly linearizable: () => Promise<Health>;
}

interface Health {
  /** Why the group could not be read; null: it could. */
  readonly failure: string | null;
  readonly alarms: readonly AlarmMember[];
}

/** What is wrong, or null. They ask the group, so a stranger is not told of those that do. */
type Check = ((asked: Asked) => Promise<string | null>) | null;

const serializableRead: Check = async (asked) => (await asked.serializable()).failure;

const livezChecks: Readonly<Record<string, Check>> = {
  serializable_read: serializableRead,
};

const readyzChecks: Readonly<Record<string, Check>> = {
  data_corruption: async (asked) => {
    const { alarms } = await asked.serializable();
    const isRaised = alarms.some(({ alarm }) => alarm === AlarmType.CORRUPT);
    return isRaised ? 'alarm activated: CORRUPT' : null;
  },
  serializable_read: serializableRead,
  linearizable_read: async (asked) => (await asked.linearizable()).failure,
  // The router is no member, and asks learners for nothing.
  non_learner: null,
};

export function serveVersion(request: Request): Response {
  if (request.method !== 'GET' && request.method !== 'HEAD') return getOnly();
  const headers = { ...corsHeaders, 'content-type': 'application/json' };
  return new Response(JSON.stringify(etcdVersions), { headers });
}

export async function serveHealth(probe: Probe): Promise<Response> {
  if (probe.request.method !== 'GET') return getOnly();
  const query = new URLSearchParams(rawQuery(probe.request.url));
  const excluded = new Set(query.getAll('exclude'));
  const { failure, alarms } = await health(probe, query.get('serializable') === 'true');
  const alarm = alarms.find((one) => !excluded.has(AlarmType[one.alarm]));
  const alarmReason = alarm && `ALARM ${AlarmType[alarm.alarm]}`;
  const reason = failure === null ? alarmReason : `RANGE ERROR:${failure}`;
  countHealth(probe.tenant, reason === undefined);
  if (reason === undefined) {
    const headers = { ...corsHeaders, 'content-type': 'text/plain; charset=utf-8' };
    return new Response(JSON.stringify({ health: 'true', reason: '' }), { headers });
  }
  return plainText(`${JSON.stringify({ health: 'false', reason })}\n`, 503);
}

export function serveLivez(probe: Probe, check: string | null): Promise<Response> {
  return serveChecks(probe, livezChecks, check);
}

export function serveReadyz(probe: Probe, check: string | null): Promise<Response> {
  return serveChecks(probe, readyzChecks, check);
}

async function serveChecks(
  probe: Probe,
  checks: Readonly<Record<string, Check>>,
  only: string | null,
): Promise<Response> {
  if (only !== null && !Object.hasOwn(checks, only)) return plainText('404 page not found\n', 404);
  if (probe.request.method !== 'GET') return getOnly();
  const query = new URLSearchParams(rawQuery(probe.request.url));
  const excluded = new Set(query.getAll('exclude'));
  const chosen = Object.entries(checks)
    .filter(([name]) => (only === null ? !excluded.has(name) : name === only))
    .filter(([, check]) => probe.mayAsk || check === null);
  const asked = { serializable: once(probe, true), linearizable: once(probe, false) };
  const results = await Promise.all(
    chosen.map(async ([name, check]) => ({ name, reason: check && (await check(asked)) })),
  );
  const lines = results
    .map(({ name, reason }) =>
      reason === null ? `[+]${name} ok\n` : `[-]${name} failed: ${reason}\n`,
    )
    .join('');
  if (results.some(({ reason }) => reason !== null)) return plainText(`${lines}\n`, 503);
  return plainText(`${query.has('verbose') ? lines : ''}ok\n`);
}

function once(probe: Probe, serializable: boolean): () => Promise<Health> {
  let asked: Promise<Health> | null = null;
  return () => {
    asked ??= health(probe, serializable);
    return asked;
  };
}

async function health(probe: Probe, serializable: boolean): Promise<Health> {
  if (!probe.mayAsk) return { failure: null, alarms: [] };
  const value = create(MaintenanceQuerySchema, { query: { case: 'health', value: {} } });
  const answer = await askGroup({
    env: probe.env,
    tenant: probe.tenant,
    kind: serializable ? 'serializable' : 'read',
    op: { case: 'maintenance', value },
    credentials: nobody,
    deadline: startDeadline(null, Date.now()),
  });
  if (!answer.ok) return { failure: etcdErrors[answer.error].message, alarms: [] };
  const { alarms } = fromBinary(AlarmResponseSchema, answer.response);
  return { failure: null, alarms };
}
