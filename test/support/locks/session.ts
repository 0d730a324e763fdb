/** A lease that a client keeps alive, and until when it may believe in it by its own clock. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpAnswer } from '../answer.ts';
import type { Gateway } from '../gateway.ts';

/** What was answered with 200; null: nobody knows what became of it, or it was refused. */
export async function ask<T>(gateway: Gateway, path: string, body: object): Promise<T | null> {
  const answer = await answered(gateway.send('POST', path, JSON.stringify(body)));
  return answer?.status === 200 ? (JSON.parse(answer.text) as T) : null;
}

/** null: the connection broke, or it took too long. */
export function answered(answer: Promise<HttpAnswer>): Promise<HttpAnswer | null> {
  return answer.catch(() => null);
}

export class Session {
  readonly id: string;
  /** One TTL after the last keep-alive that was confirmed had been sent. */
  aliveUntilMs: number;
  private readonly gateway: Gateway;
  private readonly ttlMs: number;
  private isBeating = true;

  private constructor(gateway: Gateway, id: string, ttlMs: number, sentMs: number) {
    this.gateway = gateway;
    this.id = id;
    this.ttlMs = ttlMs;
    this.aliveUntilMs = sentMs + ttlMs;
    void this.beat();
  }

  /** null: it was not granted, as far as anybody knows. */
  static async grant(gateway: Gateway, ttlSeconds: number): Promise<Session | null> {
    const sentMs = performance.now();
    const granted = await ask<{ ID: string }>(gateway, '/v3/lease/grant', { TTL: ttlSeconds });
    return granted && new Session(gateway, granted.ID, ttlSeconds * 1_000, sentMs);
  }

  /** Sends no keep-alive any more: it ends by itself. */
  stop(): void {
    this.isBeating = false;
  }

  async revoke(): Promise<void> {
    this.stop();
    await ask(this.gateway, '/v3/lease/revoke', { ID: this.id });
  }

  private async beat(): Promise<void> {
    for (;;) {
      await sleep(this.ttlMs / 4);
      if (!this.isBeating) return;
      const sentMs = performance.now();
      const told = await ask<{ result?: { TTL?: string } }>(this.gateway, '/v3/lease/keepalive', {
        ID: this.id,
      });
      if (told?.result === undefined) continue;
      if (Number(told.result.TTL ?? 0) === 0) return;
      this.aliveUntilMs = Math.max(this.aliveUntilMs, sentMs + this.ttlMs);
    }
  }
}
