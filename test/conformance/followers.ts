/**
 * A replay whose reads are sent to followers: ranges, and transactions that only read. Who served one is
 * what its answer says in `KV-Served-By`; that counts as proof, not what was asked for.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Exchange } from './exchange.ts';

/** Not for a serializable read: a follower may answer that from an older state, in etcd too. */
export function viaFollower({ body, raw_body: raw = '' }: Exchange): Record<string, string> {
  const isSerializable = /"serializable": ?true/.test(raw + JSON.stringify(body));
  return isSerializable ? {} : { 'kv-via': 'follower' };
}

export interface ServedCount {
  readonly byFollowers: number;
  readonly byLeader: number;
}

export class Served {
  private readonly counts = { byFollowers: 0, byLeader: 0 };

  heard({ path }: Exchange, headers: IncomingHttpHeaders): void {
    if (path !== '/v3/kv/range') return; // Of a transaction the path does not say that it only reads.
    const by = headers['kv-served-by'];
    if (typeof by !== 'string') return; // Refused before anybody was asked.
    if (by.startsWith('leader;')) this.counts.byLeader += 1;
    else this.counts.byFollowers += 1;
  }

  count(): ServedCount {
    return this.counts;
  }
}
