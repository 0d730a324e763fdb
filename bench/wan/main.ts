/**
 * `npm run bench:wan`: what a group spread over the world takes for writes and reads, in virtual
 * time, next to the least that its round-trip times allow; and how long the loss of its leader
 * lasts. Members, core, state machine and router are the real ones, the network is simulated.
 * Depends on the seeds alone. docs/benchmarks.md says what each table means.
 */
import { parseArgs } from 'node:util';
import type { GroupOptions } from './group.ts';
import { type LowRateResult, measureAtLowRate, measureUnderLoad, operations } from './latency.ts';
import { placements } from './placements.ts';
import { type Loss, measureRecovery, type Recovery } from './recovery.ts';
import {
  boundsTable,
  type Loaded,
  loadTable,
  ratiosTable,
  recoveryTable,
  regionsText,
} from './tables.ts';

const seed = 1;
const lossProbability = 0.01;
const commitMs = 5;
const clients = 64;
const losses: readonly Loss[] = ['error', 'silence'];

interface Sizes {
  /** Requests of a region and operation. Without loss they hardly differ. */
  readonly perRegion: number;
  readonly perRegionWithLoss: number;
  /** Repetitions of a recovery, each with another seed. */
  readonly seeds: number;
}

const fullSizes: Sizes = { perRegion: 10, perRegionWithLoss: 100, seeds: 5 };
const quickSizes: Sizes = { perRegion: 3, perRegionWithLoss: 30, seeds: 1 };

async function run(sizes: Sizes): Promise<void> {
  console.log(`Regions and the Azure regions that stand for them: ${regionsText()}.`);
  section('Lower bound of a write, and of a read at the leader, in ms, by region of the client');
  console.log(boundsTable(placements));
  section('Ratio to the bound, nothing lost, commits cost nothing');
  console.log(await ratios({ seed }, sizes.perRegion));
  section(
    `Ratio to the bound with ${commitMs} ms a commit (a write's bound: + ${2 * commitMs} ms)`,
  );
  console.log(await ratios({ seed, commitMs }, sizes.perRegion));
  section(`Ratio to the bound, ${lossProbability * 100} % of the messages between members lost`);
  console.log(await ratios({ seed, lossProbability }, sizes.perRegionWithLoss));
  section(`${clients} clients, spread over the regions, one request at a time each`);
  console.log(loadTable(await underLoad()));
  section('From the loss of the leader to the next acknowledged write, in ms');
  console.log(recoveryTable(await recoveries(sizes.seeds)));
}

function section(title: string): void {
  console.log(`\n### ${title}\n`);
}

async function ratios(options: GroupOptions, perRegion: number): Promise<string> {
  const measured: LowRateResult[] = [];
  for (const placement of placements)
    measured.push(await measureAtLowRate(placement, options, perRegion));
  return ratiosTable(measured);
}

async function underLoad(): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  for (const placement of placements)
    for (const operation of operations) {
      const result = await measureUnderLoad(placement, { seed }, operation, clients);
      loaded.push({ placement, result });
    }
  return loaded;
}

async function recoveries(seeds: number): Promise<Recovery[]> {
  const measured: Recovery[] = [];
  for (const placement of placements)
    for (const loss of losses)
      for (const count of [1, clients])
        measured.push(await measureRecovery(placement, loss, count, seeds));
  return measured;
}

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
await run(values.quick ? quickSizes : fullSizes);
