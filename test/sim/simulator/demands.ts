/** What the group has to do once the disturbance is over, within bounds of virtual time. */
import { put } from '../../support/history/history.ts';
import type { Client } from './clients.ts';
import { outcomeOf, requestOf } from './requests.ts';
import type { Simulation } from './simulation.ts';

export const writeWithinMs = 30_000;
/** The longest wait of the core that is not renewed, and a keep-alive alarm. */
const restWithinMs = 180_000;

export function writeSomething(simulation: Simulation, client: Client): boolean {
  let done = false;
  const attempt = async (): Promise<void> => {
    for (let time = 1; ; time += 1) {
      const call = put('z', `last ${time}`);
      const pending = simulation.history.begin(client.number, call);
      const outcome = await client.ask('write', requestOf(call), 2_000);
      if (outcome === 'unknown') pending.unknown();
      else if (outcome === 'failed') pending.failed();
      else {
        pending.answer(outcomeOf(call, outcome, (...ids) => simulation.serverOf(...ids)));
        done = true;
        return;
      }
    }
  };
  void attempt();
  simulation.pass(writeWithinMs, () => done);
  if (!done) simulation.fail('liveness: a quorum that is well acknowledged no write');
  return simulation.violation === null;
}

export function comesToRest(simulation: Simulation, who: string): boolean {
  simulation.pass(restWithinMs, () => simulation.isAtRest);
  if (!simulation.isAtRest) simulation.fail(`liveness: ${who} came not to rest`);
  return simulation.violation === null;
}
