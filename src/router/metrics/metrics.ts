/**
 * GET /metrics in Prometheus' text form. All of it: what this isolate's router has counted, and what each
 * member of the tenant says of itself. `?place=2`: that member alone, as one of etcd's tells of itself, or
 * 503 when it does not answer; `?place=none`: the router alone, which wakes nobody.
 */
import { type MemberStatus, withMetrics } from '../../api/member.ts';
import type { RouterEnv } from '../env.ts';
import { corsHeaders, getOnly, plainText } from '../etcd/headers.ts';
import { rawQuery } from '../http/path.ts';
import { groupStatus, memberStatus } from '../members/status.ts';
import { memberMetrics } from './member-metrics.ts';
import { routerMetrics } from './router-metrics.ts';
import { family, type Sample } from './text.ts';

const contentType = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';
const withMetricsHeader = { [withMetrics]: '1' };
const placePattern = /^[1-9][0-9]{0,2}$/;

export async function serveMetrics(
  request: Request,
  env: RouterEnv,
  tenant: string,
): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return getOnly();
  const place = new URLSearchParams(rawQuery(request.url)).get('place');
  if (place === 'none') return page(request, routerMetrics(tenant));
  if (place === null)
    return page(request, routerMetrics(tenant) + (await groupMetrics(env, tenant)));
  if (!placePattern.test(place)) return plainText('place is a number of a member, or none\n', 400);
  const status = await memberStatus(env, tenant, Number(place), withMetricsHeader);
  if (!('born' in status)) return plainText(`no answer: ${status.error}\n`, 503);
  if (!status.born) return plainText('no member of a group\n', 503);
  return page(
    request,
    memberMetrics([status], () => ({ tenant })),
  );
}

async function groupMetrics(env: RouterEnv, tenant: string): Promise<string> {
  const { members } = await groupStatus(env, tenant, withMetricsHeader);
  const born = members.filter((member): member is MemberStatus => 'born' in member && member.born);
  const up = members.map(
    (member): Sample => [{ tenant, place: member.place }, 'born' in member ? 1 : 0],
  );
  return (
    family('quorate_member_up', 'gauge', '1 if the member has answered this scrape.', up) +
    memberMetrics(born, ({ place }) => ({ tenant, place }))
  );
}

/** Packed for whoever takes it so: Prometheus does, and a page of metrics repeats itself. */
function page(request: Request, text: string): Response {
  const headers = new Headers({ ...corsHeaders, 'content-type': contentType });
  headers.set('vary', 'accept-encoding');
  const accepted = request.headers.get('accept-encoding') ?? '';
  if (!/\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(accepted))
    return new Response(text, { headers });
  headers.set('content-encoding', 'gzip');
  const packed = new Response(text).body?.pipeThrough(new CompressionStream('gzip')) ?? null;
  return new Response(packed, { headers, encodeBody: 'manual' });
}
