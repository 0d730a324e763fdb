/**
 * At most one service uses a data directory: two workerd processes on the same databases would be
 * two lives of each member at once.
 *
 * Two things are checked. The lock is an exclusive SQLite transaction on a file of its own, that
 * is, a lock of the kernel: it ends with the process that holds it, however that ends, so that
 * nothing stale is left by `kill -9`. And a note names the workerd that was started last: if that
 * very process lives on although its keeper is gone, the directory is still in use.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { identifyProcess, isAlive, type ProcessIdentity } from './processes.ts';

/** A service that has just been told to end needs a moment; who comes then waits instead of failing. */
const lockWaitMs = 2_000;
/** The guard of a killed keeper ends its workerd within milliseconds; wait that long for it. */
const orphanWaitMs = 3_000;
const orphanPollMs = 20;

export class DataInUseError extends Error {
  override readonly name = 'DataInUseError';
}

export interface DataLock {
  /** Notes which process uses the data from now on. */
  noteWorkerd(pid: number): void;
  /** Call it when that process has ended. */
  release(): void;
}

export async function lockData(dataDirectory: string): Promise<DataLock> {
  mkdirSync(dataDirectory, { recursive: true });
  const lock = openLock(dataDirectory);
  const note = join(dataDirectory, 'workerd.json');
  try {
    await waitForOrphan(note, dataDirectory);
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    noteWorkerd(pid) {
      writeFileSync(note, JSON.stringify(identifyProcess(pid)));
    },
    release() {
      rmSync(note, { force: true });
      lock.close();
    },
  };
}

function openLock(dataDirectory: string): DatabaseSync {
  const database = new DatabaseSync(join(dataDirectory, 'serve.lock'));
  try {
    database.exec(`PRAGMA busy_timeout = ${lockWaitMs}; BEGIN EXCLUSIVE;`);
    return database;
  } catch (cause) {
    database.close();
    throw new DataInUseError(
      `another Quorate is using the data directory ${dataDirectory}; stop it, or set DATA_DIR`,
      { cause },
    );
  }
}

async function waitForOrphan(note: string, dataDirectory: string): Promise<void> {
  const orphan = readNote(note);
  if (orphan === null) return;
  const deadline = Date.now() + orphanWaitMs;
  while (isAlive(orphan)) {
    if (Date.now() > deadline) {
      throw new DataInUseError(
        `a workerd without its keeper (process ${orphan.pid}) is using the data directory ` +
          `${dataDirectory}; end it first`,
      );
    }
    await sleep(orphanPollMs);
  }
}

/** Null when no workerd was noted, or the note was cut off by a crash of the machine. */
function readNote(note: string): ProcessIdentity | null {
  try {
    return JSON.parse(readFileSync(note, 'utf8')) as ProcessIdentity | null;
  } catch {
    return null;
  }
}
