/** Short ways to write entries and requests in tests of the state machine. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { CommandSchema, LeaseExpireSchema } from '../../src/api/gen/command_pb.js';
import {
  CompactionRequestSchema,
  DeleteRangeRequestSchema,
  LeaseGrantRequestSchema,
  LeaseRevokeRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  type RangeResponse,
  TxnRequestSchema,
} from '../../src/api/gen/rpc_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { drain } from '../../src/kv/range.ts';
import {
  type CommandResponse,
  type CommandResult,
  StateMachine,
} from '../../src/kv/state-machine.ts';
import type { Limits } from '../../src/kv/store.ts';
import { tableSets } from '../../src/kv/table-sets.ts';
import { NodeSql } from '../support/node-sql.ts';

export type RangeInit = MessageInitShape<typeof RangeRequestSchema>;

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);

export const put = (init: MessageInitShape<typeof PutRequestSchema>): Uint8Array =>
  toBinary(
    CommandSchema,
    create(CommandSchema, { op: { case: 'put', value: create(PutRequestSchema, init) } }),
  );

export const del = (init: MessageInitShape<typeof DeleteRangeRequestSchema>): Uint8Array =>
  toBinary(
    CommandSchema,
    create(CommandSchema, {
      op: { case: 'deleteRange', value: create(DeleteRangeRequestSchema, init) },
    }),
  );

export const txn = (init: MessageInitShape<typeof TxnRequestSchema>): Uint8Array =>
  toBinary(
    CommandSchema,
    create(CommandSchema, { op: { case: 'txn', value: create(TxnRequestSchema, init) } }),
  );

export const grant = (id: bigint, ttl = 60n): Uint8Array => {
  const value = create(LeaseGrantRequestSchema, { ID: id, TTL: ttl });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'leaseGrant', value } }));
};

export const revoke = (id: bigint): Uint8Array => {
  const value = create(LeaseRevokeRequestSchema, { ID: id });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'leaseRevoke', value } }));
};

/** `granted`: the log index of the grant that it names. */
export const expire = (id: bigint, granted: number): Uint8Array => {
  const value = create(LeaseExpireSchema, { id, grant: BigInt(granted) });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'leaseExpire', value } }));
};

export const compact = (revision: number): Uint8Array =>
  toBinary(
    CommandSchema,
    create(CommandSchema, {
      op: {
        case: 'compact',
        value: create(CompactionRequestSchema, { revision: BigInt(revision) }),
      },
    }),
  );

/** A put of two texts. */
export const set = (key: string, value = ''): Uint8Array =>
  put({ key: bytes(key), value: bytes(value) });

/** A state machine on a database in memory, one entry per call of `apply`. */
export class Machine {
  readonly sql: NodeSql;
  machine: StateMachine;
  /** The data of every entry applied through this object. */
  readonly entries: Uint8Array[] = [];
  /** What each of them has answered. */
  readonly results: (readonly CommandResult[])[] = [];
  private readonly limits: Partial<Limits>;

  /** On `sql` as it is, if it holds a state. */
  constructor(limits: Partial<Limits> = {}, sql = new NodeSql()) {
    this.sql = sql;
    this.limits = limits;
    if (!StateMachine.exists(sql)) StateMachine.create(sql);
    this.machine = StateMachine.open(this.sql, limits);
  }

  /** All commands in one entry. */
  apply(...commands: Uint8Array[]): CommandResult[] {
    return this.applyEntry(encodeBatch(commands));
  }

  /** One entry as another machine has applied it. */
  applyEntry(data: Uint8Array): CommandResult[] {
    const applied = this.machine.apply(this.machine.appliedIndex + 1, data);
    if (!applied.ok) throw new Error(`unknown rules version ${applied.unknownVersion}`);
    this.machine.saveProgress();
    this.entries.push(data);
    this.results.push(applied.results);
    return [...applied.results];
  }

  /** The response of one command, which must succeed. */
  ok<Case extends CommandResponse['case']>(
    kind: Case,
    command: Uint8Array,
  ): Extract<CommandResponse, { case: Case }>['value'] {
    const [result] = this.apply(command);
    if (!result?.ok) throw new Error(`refused: ${result?.error}`);
    if (result.response.case !== kind) throw new Error(`is a ${result.response.case}`);
    return result.response.value as never;
  }

  /** The name of the error of one command, or 'ok'. */
  error(command: Uint8Array): string {
    const [result] = this.apply(command);
    return result?.ok ? 'ok' : (result?.error ?? 'no result');
  }

  range(init: RangeInit): RangeResponse {
    const result = drain(this.machine.range(create(RangeRequestSchema, init)));
    if (!result.ok) throw new Error(`refused: ${result.error}`);
    return result.response;
  }

  rangeError(init: RangeInit): string {
    const result = drain(this.machine.range(create(RangeRequestSchema, init)));
    return result.ok ? 'ok' : result.error;
  }

  /** `key=value` of every key, in order. */
  contents(revision = 0): string[] {
    const { kvs } = this.range({ key: zero, rangeEnd: zero, revision: BigInt(revision) });
    return kvs.map(({ key, value }) => `${text(key)}=${text(value)}`);
  }

  /** Runs physical compaction to its end in steps of `rows`. */
  compactAll(rows = 1000): number {
    let deleted = 0;
    while (this.machine.compactionPending()) deleted += this.machine.compactStep(rows);
    this.machine.saveProgress();
    return deleted;
  }

  leaseKeys(id: bigint): string[] {
    return drain(this.machine.leaseKeys(id)).map(text);
  }

  hash(): string {
    return drain(this.machine.logicalHash());
  }

  /** As after an eviction: all that was only in memory is gone. */
  reopen(): void {
    this.machine = StateMachine.open(this.sql, this.limits);
  }

  /** Every row of every table, as text. */
  dump(): string[] {
    const sets = tableSets.flatMap((tables) => Object.values(tables));
    const tables = [...sets, 'kv_meta', 'kv_snapshot', 'kv_reception'];
    return tables.flatMap((table) =>
      this.sql.all(`SELECT * FROM ${table}`).map((row) => `${table} ${row.join(' ')}`),
    );
  }
}

/** The key "\0", which as a range end means "to the end". */
export const zero = new Uint8Array([0]);
