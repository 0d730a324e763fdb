/**
 * Promises for what some later turn brings about: looked at after every turn, given up at a deadline.
 */
import type { WaitingRoom } from './waiting.ts';

export class Conditions {
  private readonly room: WaitingRoom;
  private readonly waiting = new Set<() => void>();

  constructor(room: WaitingRoom) {
    this.room = room;
  }

  /** Resolves true when `holds` does, at once or after a turn; false at the deadline. */
  wait(holds: () => boolean, deadline: number): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.room.remove(waiter);
        this.waiting.delete(look);
        resolve(true);
      };
      const waiter = {
        deadline,
        expire: () => {
          this.waiting.delete(look);
          resolve(false);
        },
      };
      this.room.add(waiter);
      this.waiting.add(look);
    });
  }

  /** After a turn. */
  look(): void {
    if (this.waiting.size > 0) for (const look of [...this.waiting]) look();
  }
}
