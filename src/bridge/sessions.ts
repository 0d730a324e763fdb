/**
 * What grpc-js leaves open in connections that speak HTTP/2: clients that ping without end, deadlines that are farther
 * away than its timers reach, and how much there may be of everything (intake.ts).
 */
import { constants, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import type { Intake } from './intake.ts';
import type { Refusal } from './metrics.ts';

/** As of gRPC's servers in Go. */
const strikesMax = 2;
/** Node's timers take no more milliseconds; it is 24 days. */
const timerMsMax = 2 ** 31 - 1;

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/**
 * Of a server with one injector, which keeps its own server of HTTP/2 to itself. `minTimeMs`: between two pings of a
 * client that has no call under way.
 */
export function watchSessions(
  server: Server,
  intake: Intake,
  minTimeMs: number,
  refused: (reason: Refusal, client: string | undefined, why: string) => void,
): void {
  const [http2] = (
    server as unknown as { http2Servers: Map<Http2Server, unknown> }
  ).http2Servers.keys();
  if (http2 === undefined) throw new Error('grpc-js keeps its servers elsewhere');
  http2.on('session', (session) => {
    countPings(session, minTimeMs, () => {
      refused('pings', session.socket.remoteAddress, 'too many pings');
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings'));
      session.destroy();
    });
  });
  http2.prependListener('stream', (stream, headers) => {
    intake.take(stream, headers);
    const [, digits, unit = ''] =
      /^(\d{1,8})([HMSmun])$/.exec(String(headers['grpc-timeout'])) ?? [];
    const ms = Number(digits) * (unitMs[unit] ?? Number.NaN);
    if (ms > timerMsMax) headers['grpc-timeout'] = `${Math.floor(timerMsMax / 1_000)}S`;
  });
}

/**
 * A client pings to see whether the connection lives, and Go's also to measure it when it has been sent something. So
 * pings count only while no call is under way, and a new call clears those that were counted.
 */
function countPings(session: ServerHttp2Session, minTimeMs: number, tooMany: () => void): void {
  let callsUnderWay = 0;
  let strikes = 0;
  let last = Number.NEGATIVE_INFINITY;
  session.on('stream', (stream) => {
    callsUnderWay += 1;
    strikes = 0;
    stream.once('close', () => {
      callsUnderWay -= 1;
    });
  });
  session.on('ping', () => {
    const now = performance.now();
    if (callsUnderWay === 0 && now - last < minTimeMs) strikes += 1;
    last = now;
    if (strikes > strikesMax && !session.destroyed) tooMany();
  });
}
