/**
 * Puts this process on a simulated world's clock, so that the router itself can run in virtual
 * time: it reads the time, waits and draws its jitter through the globals replaced here.
 *
 * The world's own loop needs setImmediate alone, which stays real.
 */
import type { Cancellable, World } from './world.ts';

export function runOnClockOf(world: World): void {
  Date.now = () => Math.floor(world.now);
  Math.random = () => world.random();
  const wait = (run: () => void, ms = 0): Cancellable => world.schedule(ms, run);
  const cancel = (timer: Cancellable | undefined) => {
    if (timer !== undefined) timer.cancelled = true;
  };
  const repeat = (run: () => void, ms = 0): Cancellable => {
    const timer = { cancelled: false };
    const again = () => {
      if (timer.cancelled) return;
      world.schedule(ms, again);
      run();
    };
    world.schedule(ms, again);
    return timer;
  };
  Object.assign(globalThis, {
    ...{ setTimeout: wait, clearTimeout: cancel, setInterval: repeat, clearInterval: cancel },
  });
}
