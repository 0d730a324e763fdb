/**
 * Random schedules: whatever the network and the lives of members do, Raft's invariants hold
 * (support/checks.ts), and once a quorum is healed one request is enough to make it work again.
 *
 * A seed means something only together with support/chaos.ts as it was, so what one of them finds
 * becomes a scenario. So far: a follower forgotten on the repair list (replication.test.ts), a check
 * refused for want of room (reads.test.ts).
 *
 * By hand: RAFT_SEEDS=100000 RAFT_FIRST=1 npx vitest run --project unit test/raft/random.test.ts
 */
import { describe, expect, it } from 'vitest';
import { numberFromEnvironment } from '../support/settings.ts';
import { runChaos } from './support/chaos.ts';

const first = numberFromEnvironment('RAFT_FIRST', 1);
const count = numberFromEnvironment('RAFT_SEEDS', 500);

describe('random schedules', () => {
  it('keep every invariant, and recover once a quorum is healed', { timeout: 0 }, () => {
    for (let seed = first; seed < first + count; seed += 1) {
      try {
        runChaos(seed);
      } catch (error) {
        throw new Error(`replay with RAFT_FIRST=${seed} RAFT_SEEDS=1`, { cause: error });
      }
    }
    expect(count).toBeGreaterThan(0);
  });
});
