/** What a reader needs to know about the machine before reading the numbers. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, type } from 'node:os';
import { join } from 'node:path';
import { versionOf } from './children.ts';
import type { Form } from './contender.ts';
import { percentile } from './statistics.ts';
import { workerdPath } from './workerd.ts';

const fsyncCount = 200;
const fsyncBlockBytes = 4096;

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  readonly workerd: string;
  readonly loadGenerators: Readonly<Record<Form, string>>;
  /** Before the bench starts anything: what else the machine is doing. */
  readonly loadAverage: number;
  readonly fsyncP50Ms: number;
  readonly fsyncP99Ms: number;
}

export function machineFacts(
  directory: string,
  generators: Readonly<Record<Form, { readonly name: string }>>,
): MachineFacts {
  const fsyncMs = probeFsync(directory);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    system: `${type()} ${release()}`,
    node: process.version,
    workerd: versionOf(workerdPath)?.replace(/^workerd /, '') ?? 'unknown',
    loadGenerators: { json: generators.json.name, grpc: generators.grpc.name },
    loadAverage: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    fsyncP50Ms: percentile(fsyncMs, 50),
    fsyncP99Ms: percentile(fsyncMs, 99),
  };
}

/** Time of each of 200 appends of 4 KiB with an fsync, on the disk that all contenders write to. */
function probeFsync(directory: string): number[] {
  const path = join(directory, 'fsync.probe');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(fsyncBlockBytes, 1);
  const times: number[] = [];
  for (let n = 0; n < fsyncCount; n++) {
    const begin = performance.now();
    writeSync(file, block);
    fsyncSync(file);
    times.push(performance.now() - begin);
  }
  closeSync(file);
  rmSync(path);
  return times;
}
