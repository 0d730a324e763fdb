/** Snapshots of tenants as files, for black-box tests: taken, restored, and looked into without the service. */
import { createReadStream, createWriteStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { fromBinary } from '@bufbuild/protobuf';
import { BirthRecordSchema } from '../../src/api/gen/peer_pb.js';
import { drain } from '../../src/kv/range.ts';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { framesOf } from '../../src/router/backup/format.ts';
import { NodeSql } from './node-sql.ts';

/** `url`: up to and with the tenant. The revision of what is in the file. */
export async function takeSnapshot(url: string, file: string): Promise<number> {
  const response = await fetch(`${url}/v1/snapshot`);
  if (!response.ok || response.body === null)
    throw new Error(`no snapshot: ${response.status} ${await response.text()}`);
  const body = response.body as unknown as NodeReadableStream;
  await pipeline(Readable.fromWeb(body), createWriteStream(file));
  return Number(response.headers.get('kv-revision'));
}

export interface RestoreAnswer {
  readonly status: number;
  readonly body: {
    readonly group?: string;
    readonly revision?: number;
    readonly voters?: readonly number[];
    readonly code?: string;
    readonly detail?: string;
  };
}

export async function restoreSnapshot(url: string, file: string): Promise<RestoreAnswer> {
  const body = Readable.toWeb(createReadStream(file)) as unknown as ReadableStream;
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
  const response = await fetch(`${url}/v1/restore`, init);
  return { status: response.status, body: (await response.json()) as RestoreAnswer['body'] };
}

/** The logical hash of the state that a file holds; `scratch`: a path for a database. */
export async function hashOfFile(file: string, scratch: string): Promise<string> {
  const sql = new NodeSql(scratch);
  StateMachine.create(sql);
  const machine = StateMachine.open(sql);
  machine.beginReceive('file');
  let number = 0;
  for await (const frame of framesOf(createReadStream(file))) {
    const cursor = number === 0 ? '' : String(number);
    number += 1;
    const receipt = sql.transaction(() =>
      machine.receiveChunk('file', cursor, frame, String(number)),
    );
    if (receipt !== 'received') throw new Error(`chunk ${number}: ${receipt}`);
  }
  sql.transaction(() => {
    machine.completeReceive();
    machine.install();
  });
  const hash = drain(machine.logicalHash());
  sql.close();
  return hash;
}

export interface StoredState {
  readonly revision: number;
  readonly hash: string;
}

/** What the members of a group have on disk. The service must have ended. */
export function storedStates(dataDir: string, groupId: string): StoredState[] {
  const folder = join(dataDir, 'objects', 'quorate-raft-node');
  const states: StoredState[] = [];
  for (const name of readdirSync(folder).filter((one) => /^[0-9a-f]{64}\.sqlite$/.test(one))) {
    const sql = new NodeSql(join(folder, name));
    if (groupOf(sql) === groupId) {
      const machine = StateMachine.open(sql);
      states.push({ revision: machine.revision, hash: drain(machine.logicalHash()) });
    }
    sql.close();
  }
  return states;
}

function groupOf(sql: NodeSql): string | null {
  const known = sql.first("SELECT 1 FROM sqlite_master WHERE name = 'raft_identity'");
  const birth = known && sql.first('SELECT birth FROM raft_identity')?.[0];
  return birth instanceof Uint8Array ? fromBinary(BirthRecordSchema, birth).groupId : null;
}
