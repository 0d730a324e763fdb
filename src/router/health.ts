/**
 * /health, /livez, /readyz and /version, as etcd answers them.
 *
 * These are open to everybody, so that a load balancer needs no secret. A stranger must not be able
 * to found groups or to wake members with them, though: whoever is not authorized gets a report of
 * this process alone, and no member is asked. Who is authorized gets etcd's checks.
 */
import { create } from '@bufbuild/protobuf';
import { etcdErrors } from '../api/errors.ts';
import { PingSchema } from '../api/gen/member_pb.js';
import { nobody } from './auth/credentials.ts';
import type { RouterEnv } from './env.ts';
import { corsHeaders, getOnly, plainText } from './etcd/headers.ts';
import { startDeadline } from './http/deadline.ts';
import { rawQuery } from './http/path.ts';
import { askGroup } from './members/ask.ts';
import { countHealth } from './metrics/rpc-counts.ts';
import { etcdVersions } from './version.ts';

interface Probe {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
  /** False: say what this process knows by itself. */
  readonly mayAsk: boolean;
}

/** What is wrong, or null. */
type Check = (probe: Probe) => Promise<string | null>;

/** They ask the group, so they are no part of what a stranger is told. */
const askingChecks: ReadonlySet<string> = new Set(['serializable_read', 'linearizable_read']);

const nothingToCheck: Check = async () => null;

const livezChecks: Readonly<Record<string, Check>> = {
  serializable_read: (probe) => ping(probe, true),
};

const readyzChecks: Readonly<Record<string, Check>> = {
  // A member whose state does not match stops itself, so no living member has such an alarm.
  data_corruption: nothingToCheck,
  serializable_read: (probe) => ping(probe, true),
  linearizable_read: (probe) => ping(probe, false),
  // The router is no member, and asks learners for nothing.
  non_learner: nothingToCheck,
};

export function serveVersion(request: Request): Response {
  if (request.method !== 'GET' && request.method !== 'HEAD') return getOnly();
  const headers = { ...corsHeaders, 'content-type': 'application/json' };
  return new Response(JSON.stringify(etcdVersions), { headers });
}

export async function serveHealth(probe: Probe): Promise<Response> {
  if (probe.request.method !== 'GET') return getOnly();
  const query = new URLSearchParams(rawQuery(probe.request.url));
  const reason = await ping(probe, query.get('serializable') === 'true');
  countHealth(probe.tenant, reason === null);
  if (reason === null) {
    const headers = { ...corsHeaders, 'content-type': 'text/plain; charset=utf-8' };
    return new Response(JSON.stringify({ health: 'true', reason: '' }), { headers });
  }
  return plainText(
    `${JSON.stringify({ health: 'false', reason: `RANGE ERROR:${reason}` })}\n`,
    503,
  );
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
    .filter(([name]) => probe.mayAsk || !askingChecks.has(name));
  const results = await Promise.all(
    chosen.map(async ([name, check]) => ({ name, reason: await check(probe) })),
  );
  const lines = results
    .map(({ name, reason }) =>
      reason === null ? `[+]${name} ok\n` : `[-]${name} failed: ${reason}\n`,
    )
    .join('');
  if (results.some(({ reason }) => reason !== null)) return plainText(`${lines}\n`, 503);
  return plainText(`${query.has('verbose') ? lines : ''}ok\n`);
}

async function ping(probe: Probe, serializable: boolean): Promise<string | null> {
  if (!probe.mayAsk) return null;
  const answer = await askGroup({
    env: probe.env,
    tenant: probe.tenant,
    kind: serializable ? 'serializable' : 'read',
    op: { case: 'ping', value: create(PingSchema) },
    credentials: nobody,
    deadline: startDeadline(null, Date.now()),
  });
  return answer.ok ? null : etcdErrors[answer.error].message;
}
