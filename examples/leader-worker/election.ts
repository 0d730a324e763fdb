/**
 * What a worker asks of Quorate's REST API: to lead, to go on leading, to resign, and writes with a fence.
 *
 * Every request has a time after which it is given up, since who waits for ever does not notice that its
 * lease has ended.
 */
import { performance } from 'node:perf_hooks';

export interface Service {
  readonly url: string;
  /** What the service asks for; null: nothing. */
  readonly token: string | null;
}

/** To lead: the fencing token, which only grows, and until when it is certain. */
export interface Office {
  readonly token: number;
  /** By `performance.now()`, which nobody sets: the lease has not ended before. */
  certainUntilMs: number;
}

/** The service refused. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  /** One word, see docs/rest.md. */
  readonly code: string;
  constructor(status: number, code: string, detail: string) {
    super(`${status} ${code}: ${detail}`);
    this.status = status;
    this.code = code;
  }
}

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** After that long it is given up. */
  readonly timeoutMs: number;
  /** Gives it up earlier. */
  readonly signal?: AbortSignal;
}

/** The answer and its JSON. Throws Refused, or what fetch throws when there is no answer. */
export async function ask(service: Service, { path, timeoutMs, signal, ...init }: Ask) {
  const authorization = service.token === null ? {} : { authorization: `Bearer ${service.token}` };
  const late = AbortSignal.timeout(timeoutMs);
  const response = await fetch(service.url + path, {
    ...init,
    headers: { ...init.headers, ...authorization },
    signal: signal === undefined ? late : AbortSignal.any([late, signal]),
  });
  const body = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Refused(response.status, String(body.code), String(body.detail));
  return { response, body };
}

/** Two clocks that both mean seconds do not run equally fast. */
const marginMs = 100;
/** To an answer that the service has to give, on top of the time that it waits by itself. */
const answerMs = 5_000;

export class Election {
  readonly name: string;
  /** Two renewals may fail before the lease ends. */
  readonly renewEveryMs: number;
  private readonly service: Service;
  private readonly path: string;
  private readonly ttlSeconds: number;

  constructor(service: Service, name: string, ttlSeconds: number) {
    this.service = service;
    this.name = name;
    this.path = `/v1/elections/${encodeURIComponent(name)}`;
    this.ttlSeconds = ttlSeconds;
    this.renewEveryMs = Math.floor((ttlSeconds * 1_000) / 3);
  }

  /** Waits up to that long to become the leader; null: another one leads still. */
  async campaign(value: string, waitSeconds: number, signal: AbortSignal): Promise<Office | null> {
    try {
      const { body } = await ask(this.service, {
        method: 'POST',
        path: `${this.path}/campaign`,
        body: JSON.stringify({ value, ttl: this.ttlSeconds, wait: waitSeconds }),
        timeoutMs: waitSeconds * 1_000 + answerMs,
        signal,
      });
      // How long the answer was on its way nobody knows. So nothing is certain before a renewal, whose
      // time counts from when it was sent.
      const office = { token: Number(body.token), certainUntilMs: Number.NEGATIVE_INFINITY };
      await this.renew(office, signal);
      return office;
    } catch (error) {
      if (error instanceof Refused && error.code === 'lock-held') return null;
      throw error;
    }
  }

  /** The whole time again. Throws Refused `lock-lost` when somebody else may lead. */
  async renew(office: Office, signal: AbortSignal): Promise<void> {
    const sentAtMs = performance.now();
    const { body } = await ask(this.service, {
      method: 'POST',
      path: `${this.path}/renew`,
      headers: { 'if-match': `"${office.token}"` },
      timeoutMs: this.renewEveryMs,
      signal,
    });
    office.certainUntilMs = sentAtMs + Number(body.expires_in) * 1_000 - marginMs;
  }

  /** The next one leads at once, and does not have to wait for the lease to end. */
  async resign(office: Office): Promise<void> {
    await ask(this.service, {
      method: 'DELETE',
      path: this.path,
      headers: { 'if-match': `"${office.token}"` },
      timeoutMs: answerMs,
    });
  }

  /** Goes on every write of a leader: the service refuses it (412 `fenced-out`) once another one leads. */
  fence({ token }: Office): Record<string, string> {
    return { 'kv-fence': `${encodeURIComponent(this.name)}=${token}` };
  }
}

/** Whether the lease is certain to be ours still. */
export function isCertain({ certainUntilMs }: Office): boolean {
  return performance.now() < certainUntilMs;
}
