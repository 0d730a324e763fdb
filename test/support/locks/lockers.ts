/**
 * Clients of one lock, in the ways there are: one that calls /v3/lock, one that calls /v1/locks, and one
 * that builds etcd's lock by itself, as the libraries of etcd's clients do. All of them are on the same
 * keys, and exclude each other.
 */
import type { Gateway } from '../gateway.ts';
import { answered, ask, Session } from './session.ts';

/** A client was told that it holds. */
export interface Held {
  readonly key: string;
  /** Its key's create revision. */
  readonly token: number;
  /** Of the answer that said so. */
  readonly revision: number;
  /** By performance.now(): for how long its lease is sure to last. */
  untilMs(): number;
  /** It is silent from now on. */
  stall(): void;
  /** Its lease ends before its time. */
  revoke(): Promise<void>;
  release(): Promise<void>;
}

/** Its key, and when that was created. */
export type Place = Pick<Held, 'key' | 'token'>;

/** null: it did not get it, and tries again some time. `waits` is told of a place that does not hold yet. */
export type Locker = (
  gateway: Gateway,
  lock: string,
  ttlSeconds: number,
  waits: (place: Place) => void,
) => Promise<Held | null>;

interface Found {
  readonly header: { readonly revision: string };
  readonly kvs?: readonly {
    readonly key: string;
    readonly create_revision: string;
    readonly lease?: string;
  }[];
}

interface Entered extends Found {
  readonly succeeded?: boolean;
  readonly responses: readonly { readonly response_range?: Found }[];
}

/** Less than a request may take here; in a long queue it has to ask again. */
const waitSeconds = 20;
const watchForMs = 10_000;

/** /v3/lock with a lease of its own. */
export const serviceLocker: Locker = async (gateway, lock, ttlSeconds) => {
  const session = await Session.grant(gateway, ttlSeconds);
  if (session === null) return null;
  const locked = await ask<{ header: { revision: string }; key: string }>(
    gateway,
    '/v3/lock/lock',
    { name: btoa(lock), lease: session.id },
  );
  const found = locked && (await ask<Found>(gateway, '/v3/kv/range', { key: locked.key }));
  const kv = found?.kvs?.[0];
  if (locked === null || kv === undefined) {
    // Perhaps it has a place all the same; it goes with its lease.
    session.stop();
    return null;
  }
  return heldWith(gateway, session, {
    key: atob(locked.key),
    token: Number(kv.create_revision),
    revision: Number(locked.header.revision),
    unlock: () => ask(gateway, '/v3/lock/unlock', { key: locked.key }),
  });
};

/** As etcd's concurrency package: a key of its own, then the one before it has to go. */
export const ownLocker: Locker = async (gateway, lock, ttlSeconds, waits) => {
  const session = await Session.grant(gateway, ttlSeconds);
  if (session === null) return null;
  const held = await enter(gateway, lock, session, waits);
  if (held === null) session.stop();
  return held;
};

async function enter(
  gateway: Gateway,
  lock: string,
  session: Session,
  waits: (place: Place) => void,
): Promise<Held | null> {
  const key = `${lock}/${BigInt(session.id).toString(16)}`;
  const own = { key: btoa(key) };
  const entered = await ask<Entered>(gateway, '/v3/kv/txn', {
    compare: [{ ...own, target: 'CREATE', result: 'EQUAL', create_revision: 0 }],
    success: [{ request_put: { ...own, value: btoa('own'), lease: session.id } }],
    failure: [{ request_range: own }],
  });
  if (entered === null) return null;
  const before = entered.responses[0]?.response_range?.kvs?.[0];
  const token = Number(before?.create_revision ?? entered.header.revision);
  const prefix = { key: btoa(`${lock}/`), range_end: btoa(`${lock}0`) };
  for (;;) {
    const last = await ask<Found>(gateway, '/v3/kv/range', {
      ...prefix,
      ...{ sort_order: 'DESCEND', sort_target: 'CREATE', limit: 1 },
      max_create_revision: token - 1,
    });
    if (last === null) return null;
    const [kv] = last.kvs ?? [];
    if (kv === undefined) break;
    waits({ key, token });
    await untilGone(gateway, kv.key, Number(last.header.revision) + 1);
  }
  // Its lease may have ended while it waited (etcd#11456).
  const found = await ask<Found>(gateway, '/v3/kv/range', own);
  if (found?.kvs?.[0]?.create_revision !== String(token)) return null;
  const unlock = () =>
    ask(gateway, '/v3/kv/txn', {
      compare: [{ ...own, target: 'CREATE', result: 'EQUAL', create_revision: token }],
      success: [{ request_delete_range: own }],
    });
  return heldWith(gateway, session, {
    key,
    token,
    revision: Number(found.header.revision),
    unlock,
  });
}

/** Or until its time is over, or the stream has broken: whoever waits looks again. */
async function untilGone(gateway: Gateway, key: string, from: number): Promise<void> {
  const create_request = { key, start_revision: from, filters: ['NOPUT'] };
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), watchForMs);
  try {
    const { body } = await fetch(`${gateway.url}/v3/watch`, {
      method: 'POST',
      body: JSON.stringify({ create_request }),
      signal: end.signal,
    });
    let text = '';
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk;
      if (/"events"|"canceled"|"error"/.test(text)) return;
    }
  } catch {
    // It looks again.
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

interface Parts {
  readonly key: string;
  readonly token: number;
  readonly revision: number;
  readonly unlock: () => Promise<unknown>;
}

function heldWith(gateway: Gateway, session: Session, { unlock, ...parts }: Parts): Held {
  return {
    ...parts,
    untilMs: () => session.aliveUntilMs,
    stall: () => session.stop(),
    revoke: () => session.revoke(),
    release: async () => {
      session.stop();
      await unlock();
      await ask(gateway, '/v3/lease/revoke', { ID: session.id });
    },
  };
}

/** /v1/locks: the server makes the lease, and keeps it while the call waits. */
export const restLocker: Locker = async (gateway, lock, ttlSeconds) => {
  const path = `/v1/locks/${lock}`;
  const body = JSON.stringify({ ttl: ttlSeconds, wait: waitSeconds, owner: 'rest' });
  const taken = await answered(gateway.send('POST', path, body));
  if (taken?.status !== 200) return null;
  const { token, lease } = JSON.parse(taken.text) as { token: number; lease: string };
  // How long it was under way nobody says: its time is counted from a renewal of its own.
  let aliveUntilMs = performance.now();
  const headers = { 'if-match': `"${token}"` };
  let isBeating = true;
  const renew = async () => {
    const sentMs = performance.now();
    const renewed = await answered(gateway.send('POST', `${path}/renew`, '', headers));
    if (renewed?.status === 200) aliveUntilMs = sentMs + ttlSeconds * 1_000;
  };
  const beat = setInterval(() => isBeating && void renew(), (ttlSeconds * 1_000) / 4);
  await renew();
  const stall = () => {
    isBeating = false;
    clearInterval(beat);
  };
  return {
    key: `${lock}/${BigInt(lease).toString(16)}`,
    token,
    revision: Number(taken.headers['kv-revision']),
    untilMs: () => aliveUntilMs,
    stall,
    revoke: async () => {
      stall();
      await ask(gateway, '/v3/lease/revoke', { ID: lease });
    },
    release: async () => {
      stall();
      await answered(gateway.send('DELETE', path, null, headers));
    },
  };
};
