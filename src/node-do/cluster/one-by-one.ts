/** Requests that look at something and then change it go one after another; a bounded number wait. */
const waitingMax = 16;

export class OneByOne {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** null: too many wait already. */
  run<T>(work: () => Promise<T>): Promise<T> | null {
    if (this.waiting >= waitingMax) return null;
    this.waiting += 1;
    const done = this.last.then(work).finally(() => {
      this.waiting -= 1;
    });
    this.last = done.catch(() => {});
    return done;
  }
}
