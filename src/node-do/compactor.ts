/**
 * Physical compaction: rows that a compaction has dropped, or an installed snapshot has replaced, go
 * in bounded steps, each a transaction in an event of its own, so that no turn gets longer. What is
 * left when a life ends the next one does.
 */
import type { StateMachine } from '../kv/state-machine.ts';
import type { Counters } from './counters.ts';
import type { Platform } from './platform.ts';

const rowsPerStep = 1_000;

export class Compactor {
  private readonly platform: Platform;
  private readonly machine: StateMachine;
  private readonly counters: Counters;
  private readonly waiters: (() => void)[] = [];
  private running = false;

  constructor(platform: Platform, machine: StateMachine, counters: Counters) {
    this.platform = platform;
    this.machine = machine;
    this.counters = counters;
  }

  private get isPending(): boolean {
    return this.machine.compactionPending() || this.machine.clearPending();
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** Begins if there is anything to do; `mayGoOn` is asked before each step, `onEnd` told of the last. */
  start(mayGoOn: () => boolean, onEnd: () => void): void {
    if (this.running || !this.isPending) return;
    this.running = true;
    this.run(mayGoOn)
      .finally(() => {
        this.running = false;
      })
      .then(onEnd)
      // A turn that threw has ended this life and said why.
      .catch(() => {});
  }

  /** Resolves when nothing is left to delete. */
  finished(): Promise<void> {
    if (!this.machine.compactionPending()) return Promise.resolve();
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  private async run(mayGoOn: () => boolean): Promise<void> {
    while (this.isPending) {
      await this.platform.yieldTurn();
      if (!mayGoOn()) return;
      try {
        this.platform.transaction(() => {
          if (this.machine.clearPending()) this.machine.clearStep(rowsPerStep);
          else {
            this.machine.compactStep(rowsPerStep);
            this.machine.saveProgress();
          }
        });
      } catch (error) {
        // The state machine in memory may be ahead of its rows.
        this.platform.abort(`compaction: ${String(error)}`);
        return;
      }
      this.counters.commits += 1;
    }
    for (const resolve of this.waiters.splice(0)) resolve();
  }
}
