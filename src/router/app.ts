/**
 * The router as one Hono app: which path is whose.
 *
 * Each route has one handler and no middleware, so Hono calls it directly and a request costs no
 * promise that it does not need. Every route exists at the root, for the default tenant, and under
 * /t/{tenant}.
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { GrpcCode } from '../api/errors.ts';
import { defaultTenant, tenantPattern } from '../api/member.ts';
import { withSecret } from './auth/credentials.ts';
import { isAuthorized } from './auth/gate.ts';
import { serveChaos } from './chaos.ts';
import type { KeepGoing, RouterEnv } from './env.ts';
import { gatewayError } from './etcd/errors.ts';
import { isOffered, serveGateway } from './etcd/gateway.ts';
import { elsewhere, pageNotFound, preflight } from './etcd/headers.ts';
import { straighten } from './etcd/paths.ts';
import { serveHealth, serveLivez, serveReadyz, serveVersion } from './health.ts';
import { rawPath, rawQuery } from './http/path.ts';
import { countRequest } from './metrics/counters.ts';
import { serveMetrics } from './metrics/metrics.ts';
import { restPreflight, withCors } from './rest/cors.ts';
import { problem } from './rest/problems.ts';
import { serveRest } from './rest/routes.ts';
import { ticketOf, useTicket } from './rest/tickets.ts';

export type RouterApp = Hono<{ Bindings: RouterEnv }>;
type Ctx = Context<{ Bindings: RouterEnv }>;

/** What the two surfaces say in their own words. */
interface Surface {
  readonly name: string;
  readonly options: (request: Request, env: RouterEnv) => Response;
  /** Puts on any answer what all of them have. */
  readonly finish: (response: Response, request: Request, env: RouterEnv) => Response;
  readonly unauthenticated: () => Response;
  readonly noSuchTenant: (tenant: string) => Response;
}

const etcdSurface: Surface = {
  name: 'v3',
  options: preflight,
  finish: (response) => response,
  unauthenticated: () => gatewayError(GrpcCode.Unauthenticated, 'etcdserver: invalid auth token'),
  noSuchTenant: (tenant) => gatewayError(GrpcCode.NotFound, `quorate: no tenant "${tenant}"`),
};

const restSurface: Surface = {
  name: 'v1',
  options: restPreflight,
  finish: withCors,
  unauthenticated: () =>
    problem('unauthenticated', 'send Authorization: Bearer with a valid token'),
  noSuchTenant: (tenant) => problem('tenant-not-found', `there is no tenant ${tenant}`),
};

type Serve = (c: Ctx, tenant: string, path: string) => Response | Promise<Response>;

export function createRouter(): RouterApp {
  const app: RouterApp = new Hono({ getPath: (request) => rawPath(request.url) });
  for (const prefix of ['', '/t/:tenant']) {
    addEtcdRoutes(app, prefix, (c, lost) => astray(app, c, lost));
    addRestRoutes(app, prefix);
    addOpenRoutes(app, prefix);
  }
  app.all(
    '/chaos/:fault',
    closed(etcdSurface, (c) => serveChaos(c.req.raw, c.env, c.req.param('fault') ?? '')),
  );
  app.notFound(closed(etcdSurface, (c) => astray(app, c, pageNotFound)));
  app.onError((error, c) => {
    const rest = split(c.req.path).path.startsWith('/v1');
    // Hono's validator throws this for a body that is no JSON.
    if (error instanceof HTTPException && rest) return problem('bad-request', error.message);
    // Only a bug gets here: expected outcomes are values.
    console.error(error);
    return rest
      ? problem('internal-error', 'see the log', { outcome: 'unknown' })
      : gatewayError(GrpcCode.Internal, 'quorate: internal error');
  });
  return app;
}

type Astray = (c: Ctx, lost: () => Response) => Response | Promise<Response>;

function addEtcdRoutes(app: RouterApp, prefix: string, otherwise: Astray): void {
  for (const version of ['/v3/', '/v3beta/']) {
    const serve: Serve = (c, tenant, path) => {
      const rpc = path.slice(version.length);
      if (isOffered(rpc)) return serveGateway(c.req.raw, c.env, tenant, rpc, keeperOf(c));
      return otherwise(c, () => gatewayError(GrpcCode.NotFound, 'Not Found'));
    };
    app.all(`${prefix}${version}*`, closed(etcdSurface, serve));
  }
  app.all(
    `${prefix}/metrics`,
    closed(etcdSurface, (c, tenant) => serveMetrics(c.req.raw, c.env, tenant)),
  );
}

function addRestRoutes(app: RouterApp, prefix: string): void {
  const serve: Serve = (c, tenant, path) => serveRest(c.req.raw, c.env, tenant, path, keeperOf(c));
  app.all(`${prefix}/v1/*`, closed(restSurface, serve));
}

/** Nobody serves the path as it came: etcd's clients may have meant another one (paths.ts). */
function astray(app: RouterApp, c: Ctx, lost: () => Response): Response | Promise<Response> {
  const { raw } = c.req;
  const straight = straighten(rawPath(raw.url));
  switch (straight.kind) {
    case 'none':
      return lost();
    case 'malformed':
      return gatewayError(
        GrpcCode.InvalidArgument,
        'a % in the path is not followed by two digits',
      );
    case 'elsewhere':
      return elsewhere(straight.path, rawQuery(raw.url));
    case 'decoded': {
      const url = raw.url.replace(rawPath(raw.url), straight.path);
      return app.fetch(new Request(url, raw), c.env, contextOf(c));
    }
  }
}

function contextOf(c: Ctx): ExecutionContext | undefined {
  try {
    return c.executionCtx as ExecutionContext;
  } catch {
    return undefined;
  }
}

/** Lets work of a request end that its client no longer waits for; without it the runtime stops it. */
function keeperOf(c: Ctx): KeepGoing {
  return (work) => {
    try {
      c.executionCtx.waitUntil(work);
    } catch {
      // Not on the platform, where nothing stops it.
    }
  };
}

/** Open to everybody; what a stranger is told is decided in health.ts. */
function addOpenRoutes(app: RouterApp, prefix: string): void {
  const open = (serve: Serve) => async (c: Ctx) => {
    if (c.req.raw.method === 'OPTIONS') return preflight();
    const { tenant, path } = split(c.req.path);
    const response = await serve(c, tenant, path);
    countRequest('open', response.status);
    return response;
  };
  const probe = (c: Ctx, tenant: string) => ({
    request: c.req.raw,
    env: c.env,
    tenant,
    mayAsk: isAuthorized(c.req.raw, c.env) && tenantExists(c.env, tenant),
  });
  const checkOf = (path: string) => path.split('/')[2] ?? null;
  app.all(
    `${prefix}/version`,
    open((c) => serveVersion(c.req.raw)),
  );
  app.all(
    `${prefix}/health`,
    open((c, tenant) => serveHealth(probe(c, tenant))),
  );
  for (const path of ['/livez', '/livez/:check']) {
    app.all(
      prefix + path,
      open((c, tenant, at) => serveLivez(probe(c, tenant), checkOf(at))),
    );
  }
  for (const path of ['/readyz', '/readyz/:check']) {
    app.all(
      prefix + path,
      open((c, tenant, at) => serveReadyz(probe(c, tenant), checkOf(at))),
    );
  }
}

/** Served only to who is authorized, and only for tenants that exist, in that order. */
function closed(surface: Surface, serve: Serve): (c: Ctx) => Response | Promise<Response> {
  return (c) => {
    const response = admit(surface, serve, c);
    if (!(response instanceof Promise)) return counted(surface, response, c);
    return response.then((settled) => counted(surface, settled, c));
  };
}

function admit(surface: Surface, serve: Serve, c: Ctx): Response | Promise<Response> {
  const { tenant, path } = split(c.req.path);
  const ticket = isAuthorized(c.req.raw, c.env) ? null : ticketOf(c.req.raw, path);
  if (ticket !== null && tenantExists(c.env, tenant))
    return useTicket(c.env, tenant, ticket).then((refused) => {
      if (refused) return refused;
      c.req.raw = withSecret(c.req.raw, c.env);
      return serve(c, tenant, path);
    });
  const refused = refuse(surface, c);
  return refused ?? serve(c, tenant, path);
}

/** What keeps the request out, or null. */
function refuse(surface: Surface, c: Pick<Ctx, 'req' | 'env'>): Response | null {
  // A browser's preflight carries no credentials.
  if (c.req.raw.method === 'OPTIONS') return surface.options(c.req.raw, c.env);
  if (!isAuthorized(c.req.raw, c.env)) return surface.unauthenticated();
  const { tenant } = split(c.req.path);
  return tenantExists(c.env, tenant) ? null : surface.noSuchTenant(tenant);
}

function counted(surface: Surface, response: Response, c: Ctx): Response {
  countRequest(surface.name, response.status);
  return surface.finish(response, c.req.raw, c.env);
}

/** The tenant that a path names, and the path without it. */
function split(path: string): { tenant: string; path: string } {
  if (!path.startsWith('/t/')) return { tenant: defaultTenant, path };
  const end = path.indexOf('/', 3);
  if (end < 0) return { tenant: path.slice(3), path: '/' };
  return { tenant: path.slice(3, end), path: path.slice(end) };
}

function tenantExists(env: RouterEnv, tenant: string): boolean {
  if (tenant === defaultTenant) return true;
  return env.OPEN_TENANTS === 'true' && tenantPattern.test(tenant);
}
