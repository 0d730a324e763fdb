/** Random schedules of the core from seed 1 on: prints the first that breaks, and with what. */
import { runChaos } from '../raft/support/chaos.ts';

const count = Number(process.argv[2] ?? 500);

for (let seed = 1; seed <= count; seed += 1) {
  try {
    runChaos(seed);
  } catch (error) {
    console.log(`seed ${seed}: ${String(error).replaceAll('\n', ' ')}`);
    break;
  }
}
