/** Writers, watchers of every kind, and members that die at random; what the watchers were told is judged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { endOneLife } from '../faults.ts';
import { Gateway } from '../gateway.ts';
import { Random } from '../random.ts';
import { Judge, Ledger } from './judge.ts';
import { eventsWatcher, httpWatcher, type Range, socketWatcher, type Watcher } from './watchers.ts';

export interface WatchRun {
  readonly url: string;
  readonly watchers: number;
  /** Events that all watchers together are to be told, at least. */
  readonly events: number;
  readonly seed: number;
  /** Milliseconds between two faults; 0: none. */
  readonly faultEveryMs: number;
  readonly log: (text: string) => void;
}

export interface WatchReport {
  readonly violations: readonly string[];
  readonly revisions: number;
  readonly acknowledged: number;
  readonly events: number;
  readonly faults: number;
  readonly cuts: number;
  readonly progress: number;
}

const keys = ['w/0', 'w/1', 'w/2', 'w/3'];
/** Nobody watches it. Before the others in their revision it fills the page in which a member reads that. */
const bulk = ['bulk', 'x'.repeat(300_000)] as const;
const bulkEvery = 50;
const writers = 8;
const catchUpMs = 60_000;
const logEveryMs = 10_000;
const progressEveryMs = 200;

export async function runWatches(run: WatchRun): Promise<WatchReport> {
  const ledger = new Ledger();
  const random = new Random(run.seed);
  const gateway = new Gateway(run.url);
  const first = await gateway.putAll(keys.map((key) => [key, 'first']));
  if (!first.acknowledged) throw new Error(`the first write failed: ${first.reason}`);
  ledger.acknowledge(first.revision, 'first');
  const watchers: Watcher[] = [];
  const counts = { faults: 0, cuts: 0 };
  let working = true;
  const told = () => watchers.reduce((sum, { judge }) => sum + judge.events, 0);
  const writing = Array.from({ length: writers }, async (_, writer) => {
    for (let n = 0; working; n += 1) {
      const name = `${writer}-${n}`;
      const before = n % bulkEvery === 0 ? [bulk] : [];
      const outcome = await gateway.putAll([...before, ...keys.map((key) => [key, name] as const)]);
      if (outcome.acknowledged) ledger.acknowledge(outcome.revision, name);
    }
  });
  const disturbing = disturb(run, random, watchers, gateway, counts, () => working);
  // They come while it is written, so some begin in the past and have to catch up.
  for (let n = 0; n < run.watchers; n += 1)
    watchers.push(await startWatcher(run, n, first.revision, ledger));
  for (let logged = 0; told() < run.events && ledger.violations.length === 0; logged += 100) {
    await sleep(100);
    if (logged % logEveryMs === 0) run.log(`${told()} events told, ${counts.faults} faults`);
  }
  working = false;
  await Promise.all([...writing, disturbing]);
  await settle(gateway, watchers, ledger);
  for (const watcher of watchers) watcher.close();
  gateway.close();
  return {
    violations: ledger.violations,
    revisions: ledger.lastRevision,
    acknowledged: ledger.acknowledged,
    events: told(),
    progress: watchers.reduce((sum, { judge }) => sum + judge.progressHeard, 0),
    ...counts,
  };
}

function startWatcher(run: WatchRun, n: number, revision: number, ledger: Ledger) {
  const kinds = [httpWatcher, socketWatcher, eventsWatcher];
  const start = kinds[n % kinds.length] as typeof httpWatcher;
  const isWide = n % 2 === 0;
  const from = n % 5 === 4 ? null : revision;
  const key = keys[n % keys.length] as string;
  const range: Range = isWide ? { key: 'w/', end: 'w0', from } : { key, end: null, from };
  const judge = new Judge(`${start.name} ${n}`, isWide ? keys : [key], from, ledger);
  return start(run.url, range, judge, (what) => ledger.complain(`${judge.name}: ${what}`));
}

/** Ends lives of members, cuts connections of those who come back, asks for progress. */
async function disturb(
  { faultEveryMs }: WatchRun,
  random: Random,
  watchers: readonly Watcher[],
  gateway: Gateway,
  counts: { faults: number; cuts: number },
  working: () => boolean,
): Promise<void> {
  for (let ms = progressEveryMs; working(); ms += progressEveryMs) {
    await sleep(progressEveryMs);
    for (const watcher of watchers) if (random.next() < 0.3) watcher.askProgress?.();
    const cuttable = watchers.filter(({ cut }) => cut !== undefined);
    if (cuttable.length > 0 && random.next() < 0.3) {
      random.pick(cuttable).cut?.();
      counts.cuts += 1;
    }
    if (faultEveryMs === 0 || ms % faultEveryMs >= progressEveryMs) continue;
    await endOneLife(gateway, random);
    counts.faults += 1;
  }
}

/** One more write, that all have to be told of; then each has to have been told everything. */
async function settle(gateway: Gateway, watchers: readonly Watcher[], ledger: Ledger) {
  let last = await gateway.putAll(keys.map((key) => [key, 'last-0']));
  for (let n = 1; !last.acknowledged && n < 20; n += 1) {
    await sleep(200);
    last = await gateway.putAll(keys.map((key) => [key, `last-${n}`]));
    if (last.acknowledged) ledger.acknowledge(last.revision, `last-${n}`);
  }
  if (!last.acknowledged) throw new Error(`the last write failed: ${last.reason}`);
  const until = Date.now() + catchUpMs;
  const { revision } = last;
  while (watchers.some(({ judge }) => judge.last < revision) && Date.now() < until) await sleep(50);
  for (const { judge } of watchers) judge.end(revision);
}
