/** Simulated clusters from seed 1 on (test/sim): prints the first that breaks, and with what. */
import { inMacrotask, runSeed } from '../sim/simulator/run.ts';

const count = Number(process.argv[2] ?? 100);

for (let seed = 1; seed <= count; seed += 1) {
  const { violation } = await inMacrotask(() => runSeed(seed));
  if (violation === null) continue;
  console.log(`seed ${seed}: ${violation.replaceAll('\n', ' ')}`);
  break;
}
