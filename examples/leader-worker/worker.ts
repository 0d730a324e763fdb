/**
 * A worker of which one at a time works: the leader of an election. Start as many as you like.
 *
 *   node examples/leader-worker/worker.ts --name a [--stall 15] [--ttl 5] [--election example-worker]
 *
 *   --stall  stops the whole process for so many seconds, once, between its last look at the clock and a write
 *            that it then sends all the same
 *   KV_URL, API_TOKEN: the service, and what it asks for
 *
 * What it promises: it begins no write when its lease may have ended, by its own monotonic clock; and what it
 * sends too late nevertheless is refused, by the fence. SIGTERM makes it resign, so that the next one
 * leads at once.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Election, isCertain, type Office, Refused, type Service } from './election.ts';
import { writeReport } from './report.ts';

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: `worker-${process.pid}` },
    election: { type: 'string', default: 'example-worker' },
    ttl: { type: 'string', default: '5' },
    stall: { type: 'string', default: '0' },
  },
});
const { name } = values;
let stallSeconds = Number(values.stall);
const service: Service = {
  url: process.env.KV_URL || 'http://127.0.0.1:2379',
  token: process.env.API_TOKEN || null,
};
const election = new Election(service, values.election, Number(values.ttl));

const roundMs = 1_000;
const campaignSeconds = 10;
const failurePauseMs = 1_000;
/** Of its rounds as a leader. */
const stalledRound = 3;

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopping.abort());

async function campaignAndLead(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      const office = await election.campaign(name, campaignSeconds, stopping.signal);
      if (office !== null) await lead(office);
    } catch (error) {
      if (stopping.signal.aborted) return;
      say(`does not campaign: ${messageOf(error)}`);
      await pause(failurePauseMs, stopping.signal);
    }
  }
}

/** Returns when it leads no more, or does not know that it does. */
async function lead(office: Office): Promise<void> {
  say(`leads, token ${office.token}`);
  const over = new AbortController();
  const signal = AbortSignal.any([stopping.signal, over.signal]);
  const renewing = keepRenewing(office, signal).finally(() => over.abort());
  await work(office, signal).finally(() => over.abort());
  await renewing;
  if (!stopping.signal.aborted) return;
  try {
    await election.resign(office);
    say('has resigned');
  } catch (error) {
    say(`did not resign, so its lease ends by itself: ${messageOf(error)}`);
  }
}

/** Returns when the lease has ended, or may have. */
async function keepRenewing(office: Office, signal: AbortSignal): Promise<void> {
  while (isCertain(office)) {
    await pause(election.renewEveryMs, signal);
    if (signal.aborted) return;
    try {
      await election.renew(office, signal);
    } catch (error) {
      if (signal.aborted) return;
      say(`has no renewal: ${messageOf(error)}`);
      if (error instanceof Refused && error.code === 'lock-lost') return;
    }
  }
  say('stops, since its lease may have ended');
}

async function work(office: Office, signal: AbortSignal): Promise<void> {
  for (let round = 1; isCertain(office) && !signal.aborted; round++) {
    try {
      const beforeWrite = () => {
        if (round === stalledRound) stallOnce();
      };
      const { count } = await writeReport(service, election, office, name, beforeWrite);
      say(`writes ${count}`);
    } catch (error) {
      say(`does not write: ${messageOf(error)}`);
      if (error instanceof Refused && error.code === 'fenced-out') return;
    }
    await pause(roundMs, signal);
  }
}

/** Nothing at all happens in this process meanwhile: no timer, no renewal. */
function stallOnce(): void {
  if (stallSeconds === 0) return;
  say(`stalls for ${stallSeconds} s`);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallSeconds * 1_000);
  stallSeconds = 0;
  say('is back, and writes as if it had not been away');
}

/** `signal` ends it early. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

function say(text: string): void {
  console.log(`${name} ${text}`);
}

/** What fetch throws says little; its cause says what. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

await campaignAndLead();
