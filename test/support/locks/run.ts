/**
 * Clients of every kind contend for one lock and write what it protects, while members die at random.
 * Some stall past the end of their lease and write all the same, some vanish, some end their own lease.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { readHistory } from '../changes.ts';
import { endOneLife } from '../faults.ts';
import { Gateway } from '../gateway.ts';
import { Random } from '../random.ts';
import { LockJudge, registerValue } from './judge.ts';
import {
  type Held,
  type Locker,
  ownLocker,
  type Place,
  restLocker,
  serviceLocker,
} from './lockers.ts';
import { type FencedWrite, writeAsOwner, writeWithFence } from './register.ts';

export interface LockRun {
  readonly url: string;
  readonly clients: number;
  readonly seconds: number;
  readonly seed: number;
  /** Milliseconds between two faults; 0: none. */
  readonly faultEveryMs: number;
  readonly log: (text: string) => void;
}

export interface LockReport {
  readonly violations: readonly string[];
  readonly handOvers: number;
  /** By kind of client: how often it was told that it holds. */
  readonly held: Readonly<Record<string, number>>;
  readonly written: number;
  readonly refused: number;
  readonly unknown: number;
  /** Holders that were silent until their lease had ended, and wrote then. */
  readonly stalls: number;
  readonly vanished: number;
  readonly revoked: number;
  readonly faults: number;
}

const lock = 'safety/lock';
const register = 'safety/register';
/** Of all keys that the judge is to know. */
const range = ['safety/', 'safety0'] as const;
const kinds: readonly (readonly [string, Locker])[] = [
  ['service', serviceLocker],
  ['own', ownLocker],
  ['rest', restLocker],
];
const ttlsSeconds = [2, 2, 3];
/** One TTL of the new term, the watchdog's delay, and a busy machine. */
const progressWithinMs = 30_000;
const drainWithinMs = 60_000;
const pauseMs = 100;
const racingWrites = 6;
const logEveryMs = 10_000;

export async function runLocks(run: LockRun): Promise<LockReport> {
  const gateway = new Gateway(run.url);
  const random = new Random(run.seed);
  const judge = new LockJudge(register);
  const counts = { stalls: 0, vanished: 0, revoked: 0, faults: 0 };
  const held: Record<string, number> = {};
  const startMs = performance.now();
  const endMs = startMs + run.seconds * 1_000;
  const isOver = () => performance.now() >= endMs || judge.violations.length > 0;
  const contending = Array.from({ length: run.clients }, async (_, n) => {
    const [kind, locker] = kinds[n % kinds.length] as (typeof kinds)[number];
    const who = `${kind}-${n}`;
    const own = new Random(run.seed * 1_009 + n);
    while (!isOver()) {
      let early = 0;
      // It waits, and is too early.
      const waits = (place: Place) => {
        early += 1;
        if (own.next() < 0.3)
          void write(gateway, judge, writeWithFence, place, `${who}-waits`, early);
      };
      const got = await locker(gateway, lock, own.pick(ttlsSeconds), waits);
      if (got === null) {
        await sleep(pauseMs);
        continue;
      }
      held[kind] = (held[kind] ?? 0) + 1;
      await hold(gateway, who, got, own, judge, counts);
    }
  });
  const faultsMs = await disturb(run, random, gateway, judge, counts, isOver);
  // Whoever waits now has to get it, too.
  judge.judgeProgress(faultsMs, endMs, progressWithinMs);
  const all = Promise.all(contending).then(() => true);
  if (!(await Promise.race([all, sleep(drainWithinMs, false)])))
    judge.complain('somebody still waits for the lock, and nobody has it');
  const last = await Promise.race([getAtLast(gateway), sleep(drainWithinMs, null)]);
  if (last === null) judge.complain('the lock is not to be had any more');
  await last?.release();
  const { revision } = await gateway.range({ key: register });
  // One more change in the range, so that the end of the history is known.
  const end = await gateway.put('safety/z', String(revision));
  if (!end.acknowledged) throw new Error(`the last write failed: ${end.reason}`);
  const changes = await readHistory(gateway, range, end.revision, drainWithinMs);
  judge.judge(changes.filter(({ key }) => key !== 'safety/z'));
  gateway.close();
  const outcomes = [...judge.writes.values()];
  const count = (wanted: string) => outcomes.filter((outcome) => outcome === wanted).length;
  return {
    violations: judge.violations,
    handOvers: judge.handOvers,
    held,
    written: judge.registerWrites,
    refused: count('refused'),
    unknown: count('unknown'),
    ...counts,
  };
}

interface Counts {
  stalls: number;
  vanished: number;
  revoked: number;
  faults: number;
}

/** What a client does while it holds, and how it ends. */
async function hold(
  gateway: Gateway,
  who: string,
  held: Held,
  random: Random,
  judge: LockJudge,
  counts: Counts,
): Promise<void> {
  const { key, revision } = held;
  const claim = judge.claim({
    ...{ who, key, revision, fromMs: performance.now(), untilMs: held.untilMs() },
  });
  let n = 0;
  const writeOne = (how = random.pick([writeWithFence, writeAsOwner])) => {
    n += 1;
    return write(gateway, judge, how, held, who, n);
  };
  for (let writes = random.integer(1, 3); writes > 0; writes -= 1) {
    await writeOne();
    await sleep(random.integer(0, 20));
  }
  const giveUp = () => {
    claim.untilMs = Math.min(held.untilMs(), performance.now());
  };
  const dice = random.integer(1, 100);
  if (dice <= 6) {
    counts.stalls += 1;
    held.stall();
    claim.untilMs = held.untilMs();
    await sleep(Math.max(0, held.untilMs() - performance.now()) + random.integer(0, 4_000));
    await writeOne();
    await writeOne();
  } else if (dice <= 9) {
    counts.vanished += 1;
    held.stall();
    claim.untilMs = held.untilMs();
  } else if (dice <= 16) {
    counts.revoked += 1;
    giveUp();
    await race(held.revoke(), writeOne);
    await writeOne();
  } else {
    giveUp();
    await (dice <= 40 ? race(held.release(), writeOne) : held.release());
  }
}

/** Writes that race with the end of their lock are made before it or not at all. */
async function race(ending: Promise<void>, writeOne: () => Promise<void>): Promise<void> {
  const writing: Promise<void>[] = [];
  for (let n = 0; n < racingWrites; n += 1) {
    writing.push(writeOne());
    await sleep(1);
  }
  await Promise.all([ending, ...writing]);
}

async function write(
  gateway: Gateway,
  judge: LockJudge,
  how: FencedWrite,
  place: Place,
  who: string,
  n: number,
): Promise<void> {
  const value = registerValue(place.token, who, n);
  // Until it is answered nobody knows.
  judge.wrote(value, 'unknown');
  judge.wrote(value, await how(gateway, { lock, register }, place, value));
}

/** Ends lives of members. The moments at which it did. */
async function disturb(
  { faultEveryMs, log }: LockRun,
  random: Random,
  gateway: Gateway,
  judge: LockJudge,
  counts: Counts,
  isOver: () => boolean,
): Promise<number[]> {
  const faultsMs: number[] = [];
  let loggedMs = performance.now();
  while (!isOver()) {
    await sleep(faultEveryMs === 0 ? pauseMs : faultEveryMs * (0.5 + random.next()));
    if (performance.now() - loggedMs > logEveryMs) {
      loggedMs += logEveryMs;
      log(
        `${judge.claims.length} times held, ${judge.writes.size} writes, ${counts.faults} faults`,
      );
    }
    if (faultEveryMs === 0) continue;
    await endOneLife(gateway, random);
    faultsMs.push(performance.now());
    counts.faults += 1;
  }
  return faultsMs;
}

async function getAtLast(gateway: Gateway): Promise<Held> {
  for (;;) {
    const held = await restLocker(gateway, lock, 2, () => {});
    if (held !== null) return held;
    await sleep(pauseMs);
  }
}
