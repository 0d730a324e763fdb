/**
 * At which log indexes the snapshots were fixed that are open here: what one of them sees must not go. One
 * may be on its way to another member while others are on theirs to clients.
 */
export class OpenSnapshots {
  private readonly indexes = new Map<number, number>();
  private newest: number | null = null;

  get any(): boolean {
    return this.newest !== null;
  }

  /** Whether one of them sees what is there since the entry at `since`, and has not gone until now. */
  sees(since: number): boolean {
    return this.newest !== null && since <= this.newest;
  }

  /** `slot` tells them apart; null: none is open in it. */
  set(slot: number, index: number | null): void {
    if (index === null) this.indexes.delete(slot);
    else this.indexes.set(slot, index);
    this.newest = this.indexes.size === 0 ? null : Math.max(...this.indexes.values());
  }
}
