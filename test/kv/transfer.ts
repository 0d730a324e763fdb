/** Moves a snapshot from one machine to another as the host does: a transaction a chunk. */
import { expect } from 'vitest';
import type { Chunk } from '../../src/kv/snapshot.ts';
import type { Machine } from './support.ts';

/** More chunks than any test needs: a transfer that does not end is a failure. */
const stepsMax = 5_000;

export class Transfer {
  readonly from: Machine;
  readonly to: Machine;
  readonly id: string;
  readonly chunks: Chunk[] = [];
  private readonly maxBytes: number;
  private steps = 0;

  /** The snapshot `id` must be open at `from`. */
  constructor(from: Machine, to: Machine, id: string, maxBytes = 256 * 1024) {
    this.from = from;
    this.to = to;
    this.id = id;
    this.maxBytes = maxBytes;
  }

  /** One chunk, the one that the receiver waits for; with the last one it installs. False then. */
  step(): boolean {
    const { from, to, id } = this;
    expect(this.steps++).toBeLessThan(stepsMax);
    let installed = false;
    to.sql.transaction(() => {
      expect(to.machine.beginReceive(id)).toBe(true);
      const cursor = to.machine.receiving?.cursor ?? '';
      const chunk = from.machine.readChunk(id, cursor, this.maxBytes);
      if (!chunk) throw new Error(`${id} is not open`);
      this.chunks.push(chunk);
      expect(to.machine.receiveChunk(id, cursor, chunk.data, chunk.next)).toBe('received');
      installed = chunk.next === null;
      if (installed) to.machine.install();
    });
    return !installed;
  }

  run(between: () => void = () => {}): void {
    while (this.step()) between();
  }
}

/** Clears in steps of `rows` until something can be received again. */
export function clearAll({ machine, sql }: Machine, rows = 100): void {
  while (machine.clearPending()) sql.transaction(() => machine.clearStep(rows));
  expect(machine.canReceive).toBe(true);
}
