/** Random steps that are taken by the state machine and by the model of it, side by side. */
import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect } from 'vitest';
import { isReadOnlyTxn } from '../../src/api/checks.ts';
import { CommandSchema, LeaseExpireSchema } from '../../src/api/gen/command_pb.js';
import {
  CompactionRequestSchema,
  DeleteRangeResponseSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeResponseSchema,
  PutResponseSchema,
  type RangeRequest,
  RangeRequestSchema,
  RangeResponseSchema,
  TxnResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import { drain } from '../../src/kv/range.ts';
import {
  anyDelete,
  anyExpiry,
  anyGrant,
  anyPlainPut,
  anyPut,
  anyRange,
  anyRevoke,
  anyTxn,
} from './generate.ts';
import { type Model, Refused } from './model.ts';
import { expire, type Machine, zero } from './support.ts';

const leaseSteps = [
  { weight: 4, arbitrary: anyGrant.map((value) => ({ case: 'leaseGrant' as const, value })) },
  { weight: 1, arbitrary: anyRevoke.map((value) => ({ case: 'leaseRevoke' as const, value })) },
  { weight: 2, arbitrary: anyExpiry.map((value) => ({ case: 'leaseExpire' as const, value })) },
  {
    weight: 2,
    arbitrary: fc
      .array(anyPlainPut, { minLength: 2, maxLength: 4 })
      .map((value) => ({ case: 'puts' as const, value })),
  },
];

/** What may happen to a member: a request, physical compaction, a new life. */
export const anyStep = fc.oneof(
  { weight: 6, arbitrary: anyPut.map((value) => ({ case: 'put' as const, value })) },
  { weight: 2, arbitrary: anyDelete.map((value) => ({ case: 'deleteRange' as const, value })) },
  { weight: 6, arbitrary: anyTxn(2).map((value) => ({ case: 'txn' as const, value })) },
  { weight: 4, arbitrary: anyRange.map((value) => ({ case: 'range' as const, value })) },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 0, max: 6 })
      .map((behind) => ({ case: 'compact' as const, behind })),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 4 }).map((rows) => ({ case: 'purge' as const, rows })),
  },
  { weight: 1, arbitrary: fc.constant({ case: 'reopen' as const }) },
  ...leaseSteps,
);

/** The same, with compactions that nearly always drop something. */
export const anyStepOrCompaction = fc.oneof(
  { weight: 5, arbitrary: anyStep },
  {
    weight: 1,
    arbitrary: fc.nat({ max: 2 }).map((behind) => ({ case: 'compact' as const, behind })),
  },
);

/** Without transactions, whose many ways to change too much the model does not know. */
export const anyLeaseStep = fc.oneof(
  { weight: 8, arbitrary: anyPut.map((value) => ({ case: 'put' as const, value })) },
  { weight: 1, arbitrary: anyDelete.map((value) => ({ case: 'deleteRange' as const, value })) },
  { weight: 1, arbitrary: fc.constant({ case: 'compact' as const, behind: 0 }) },
  { weight: 1, arbitrary: fc.constant({ case: 'reopen' as const }) },
  ...leaseSteps,
);

export type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

/** The answer as text: JSON of the response, or the name of the error. */
const attempt = (answer: () => string): string => {
  try {
    return answer();
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
};

function rangeOf(machine: Machine, request: RangeRequest): string {
  const result = drain(machine.machine.range(request));
  return result.ok ? toJsonString(RangeResponseSchema, result.response) : result.error;
}

const responseSchemas = {
  leaseGrant: LeaseGrantResponseSchema,
  leaseRevoke: LeaseRevokeResponseSchema,
  put: PutResponseSchema,
  deleteRange: DeleteRangeResponseSchema,
  txn: TxnResponseSchema,
};

/** What the machine answers, and what it should. */
export function runStep(
  step: Step,
  machine: Machine,
  model: Model,
): [real: string, expected: string] {
  model.index = BigInt(machine.machine.appliedIndex + 1);
  switch (step.case) {
    case 'put':
    case 'leaseGrant':
    case 'leaseRevoke':
    case 'deleteRange':
    case 'txn': {
      const schema = responseSchemas[step.case] as typeof TxnResponseSchema;
      const ask = model[step.case] as (request: unknown) => never;
      const expected = attempt(() => toJsonString(schema, ask.call(model, step.value)));
      if (step.case === 'txn' && isReadOnlyTxn(step.value)) {
        const read = drain(machine.machine.readTxn(step.value));
        return [read.ok ? toJsonString(schema, read.response) : read.error, expected];
      }
      const command = toBinary(CommandSchema, create(CommandSchema, { op: step }));
      const [result] = machine.apply(command);
      if (!result?.ok) return [result?.error ?? '', expected];
      return [toJsonString(schema, result.response.value as never), expected];
    }
    case 'leaseExpire': {
      const { id, isCurrent } = step.value;
      const granted = Number(model.lease(id)?.grant ?? 0n) + (isCurrent ? 0 : 1);
      const left = model.leaseExpire(create(LeaseExpireSchema, { id, grant: BigInt(granted) }));
      const real = machine.ok('leaseExpire', expire(id, granted));
      return [JSON.stringify(real), JSON.stringify({ left })];
    }
    case 'puts': {
      const commands = step.value.map((value) =>
        toBinary(CommandSchema, create(CommandSchema, { op: { case: 'put', value } })),
      );
      for (const request of step.value) model.put(request);
      const last = machine.apply(...commands).at(-1);
      return [last?.ok ? last.response.case : '', 'put'];
    }
    case 'range':
      return [
        rangeOf(machine, step.value),
        attempt(() => toJsonString(RangeResponseSchema, model.range(step.value))),
      ];
    case 'compact': {
      const revision = model.revision - BigInt(step.behind);
      const value = create(CompactionRequestSchema, { revision });
      const command = create(CommandSchema, { op: { case: 'compact', value } });
      const real = machine.error(toBinary(CommandSchema, command));
      const expected = attempt(() => {
        model.compact(revision);
        return 'ok';
      });
      return [real, expected];
    }
    case 'purge':
      machine.machine.compactStep(step.rows);
      machine.machine.saveProgress();
      return ['', ''];
    case 'reopen':
      machine.reopen();
      return ['', ''];
    default:
      return step satisfies never;
  }
}

/** Leases and their keys, and every revision of both, compacted ones too. */
export function expectEqualHistory(machine: Machine, model: Model): void {
  const leases = machine.machine.leasePage(null, 100);
  const byId = (a: { id: bigint }, b: { id: bigint }): number => (a.id < b.id ? -1 : 1);
  expect(leases.toSorted(byId)).toEqual(
    model.leases
      .map(({ id, ttl, grant }) => ({ id, ttl: Number(ttl), grant: Number(grant) }))
      .toSorted(byId),
  );
  for (const { id } of leases) {
    const keys = drain(machine.machine.leaseKeys(id)).map((key) =>
      Buffer.from(key).toString('hex'),
    );
    expect(keys).toEqual(model.leaseKeys(id));
  }
  for (let revision = 1n; revision <= model.revision; revision += 1n) {
    const request = create(RangeRequestSchema, { key: zero, rangeEnd: zero, revision });
    expect(rangeOf(machine, request)).toBe(
      attempt(() => toJsonString(RangeResponseSchema, model.range(request))),
    );
  }
}
