/**
 * Keys, values and request bodies: the same for every contender and every load generator. Bodies
 * are made once and written one a line, so that the generator only cycles through a list.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Operation = 'put' | 'get';

export const operations: readonly Operation[] = ['put', 'get'];

export const keyCount = 10_000;
export const valueBytes = 256;

export const operationPath = { put: '/v3/kv/put', get: '/v3/kv/range' } as const;

export interface Workload {
  /** One JSON body a line, in random order of the keys. */
  readonly files: Readonly<Record<Operation, string>>;
  readonly bodies: Readonly<Record<Operation, readonly string[]>>;
}

export function makeWorkload(directory: string): Workload {
  const order = shuffled(keyCount);
  const bodies = {
    put: order.map((n) => JSON.stringify({ key: keyOf(n), value: randomValue() })),
    get: shuffled(keyCount).map((n) => JSON.stringify({ key: keyOf(n) })),
  };
  const files = { put: join(directory, 'put.bodies'), get: join(directory, 'get.bodies') };
  for (const operation of operations) {
    writeFileSync(files[operation], `${bodies[operation].join('\n')}\n`);
  }
  return { files, bodies };
}

export function keyOf(n: number): string {
  return Buffer.from(`bench/${String(n).padStart(8, '0')}`).toString('base64');
}

export function randomValue(): string {
  return randomBytes(valueBytes).toString('base64');
}

function shuffled(count: number): number[] {
  const numbers = Array.from({ length: count }, (_, n) => n);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [numbers[last], numbers[other]] = [numbers[other] as number, numbers[last] as number];
  }
  return numbers;
}
