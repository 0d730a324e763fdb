/**
 * Hashes of the state, each in many short turns. One at a time: each of them reads all there is, and
 * two of them would hold up clients twice as long without being sooner done together.
 */
import type { Platform } from './platform.ts';

/** How many wait, with the one under way. */
const hashesMax = 8;

export type Hashed<T> =
  | { readonly type: 'done'; readonly value: T }
  | { readonly type: 'overloaded' }
  /** Nobody waits for it any more. */
  | { readonly type: 'given up' };

export class Hashing {
  private readonly platform: Platform;
  private count = 0;
  private last: Promise<unknown> = Promise.resolve();

  constructor(platform: Platform) {
    this.platform = platform;
  }

  /** `begin` is called when it is its turn; `mayGoOn` is asked before each page. */
  run<T>(begin: () => Generator<void, T>, mayGoOn: () => boolean): Promise<Hashed<T>> {
    if (this.count >= hashesMax) return Promise.resolve({ type: 'overloaded' });
    this.count += 1;
    const done = this.last.then(() => this.drive(begin, mayGoOn));
    this.last = done
      .catch(() => {})
      .finally(() => {
        this.count -= 1;
      });
    return done;
  }

  private async drive<T>(
    begin: () => Generator<void, T>,
    mayGoOn: () => boolean,
  ): Promise<Hashed<T>> {
    if (!mayGoOn()) return { type: 'given up' };
    const pages = begin();
    for (;;) {
      const page = pages.next();
      if (page.done) return { type: 'done', value: page.value };
      await this.platform.yieldTurn();
      if (!mayGoOn()) return { type: 'given up' };
    }
  }
}
