/** Sends one odd request, byte for byte, on a connection of its own, and says how its answer differs, or null. */
import { connect } from 'node:net';
import type { Edge, Told } from './table.ts';

const answerWithinMs = 10_000;

interface Heard {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export async function differenceOf(url: string, edge: Edge, told: Told): Promise<string | null> {
  const heard = await hear(url, edge);
  const { status, headers, body } = heard;
  const shown = `${status} ${headers.get('content-type') ?? ''} ${JSON.stringify(body.slice(0, 200))}`;
  return faultOf(told, heard, edge) === null ? null : `${faultOf(told, heard, edge)}: ${shown}`;
}

function faultOf(told: Told, { status, headers, body }: Heard, { method }: Edge): string | null {
  const json = parsed(body);
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ['status', told.status, status],
    ['content-type', told.type, headers.get('content-type')],
    ['allow', told.allow, headers.get('allow')],
    ['location', told.location, headers.get('location')],
    ['content-encoding', told.encoding, headers.get('content-encoding')],
    ['body', told.text, body],
    ['code', told.code, json?.code],
    ['range', told.isRange, told.isRange && json?.header !== undefined],
    ['message', told.code && true, told.code && typeof json?.message === 'string'],
  ];
  for (const [what, wanted, found] of facts)
    if (wanted !== undefined && wanted !== found) return `${what} is not ${wanted}`;
  if (headers.has('content-encoding') && told.encoding === undefined) return 'it is packed';
  // What HTTP's own server refuses has not come to the gateway.
  const isGateways = headers.get('content-type') === 'application/json' || method === 'OPTIONS';
  return isGateways ? corsFault(headers) : null;
}

function corsFault(headers: ReadonlyMap<string, string>): string | null {
  const wanted = {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE',
    'access-control-allow-headers': 'accept, content-type, authorization',
  };
  for (const [name, value] of Object.entries(wanted))
    if (headers.get(name) !== value) return `${name} is ${headers.get(name)}`;
  return null;
}

function hear(url: string, edge: Edge): Promise<Heard> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(encoded(edge), 'latin1'));
    let text = '';
    const end = (error?: Error) => {
      clearTimeout(timer);
      socket.destroy();
      const heard = whole(text, edge.method, true);
      if (heard) resolve(heard);
      else
        reject(error ?? new Error(`${edge.method} ${edge.path.slice(0, 80)}: no answer: ${text}`));
    };
    const timer = setTimeout(end, answerWithinMs);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (whole(text, edge.method, false)) end();
    });
    socket.on('error', end);
    socket.on('end', () => end());
  });
}

function encoded({ method, path, headers = {}, body, version }: Edge): string {
  const isFramed = Object.keys(headers).some((name) => /^(content-length|transfer-)/i.test(name));
  const length = body === undefined || isFramed ? {} : { 'Content-Length': String(body.length) };
  const lines = Object.entries({ Host: 'x', ...headers, ...length });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${method} ${path} HTTP/${version ?? '1.1'}\r\n${head}\r\n${body ?? ''}`;
}

/** Null while more of it may come; `ended`: nothing will. */
function whole(text: string, method: string, ended: boolean): Heard | null {
  const rest = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const at = rest.indexOf('\r\n\r\n');
  if (at < 0) return null;
  const [first = '', ...lines] = rest.slice(0, at).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const status = Number(first.split(' ')[1]);
  const raw = rest.slice(at + 4);
  const head = { status, headers };
  if (method === 'HEAD') return { ...head, body: '' };
  if (headers.get('transfer-encoding') === 'chunked') {
    const isAll = /(^|\r\n)0\r\n(.*\r\n)*\r\n$/.test(raw);
    return isAll || ended ? { ...head, body: unchunked(raw) } : null;
  }
  const length = headers.get('content-length');
  const isAll = length !== undefined && raw.length >= Number(length);
  return isAll || ended ? { ...head, body: raw } : null;
}

function unchunked(raw: string): string {
  let body = '';
  for (let rest = raw; ; ) {
    const end = rest.indexOf('\r\n');
    const size = Number.parseInt(rest.slice(0, end), 16);
    if (end < 0 || !(size > 0)) return body;
    body += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 2 + size + 2);
  }
}

function parsed(body: string): Record<string, unknown> | null {
  try {
    return JSON.parse(body) as Record<string, unknown>;
  } catch {
    return null;
  }
}
