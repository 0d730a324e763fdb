/** The RPCs of etcd's maintenance service, but for the stream of a snapshot. */
import { create } from '@bufbuild/protobuf';
import {
  AlarmRequest_AlarmAction,
  AlarmRequestSchema,
  AlarmResponseSchema,
  DefragmentRequestSchema,
  DefragmentResponseSchema,
  DowngradeRequest_DowngradeAction,
  DowngradeRequestSchema,
  DowngradeResponseSchema,
  HashKVRequestSchema,
  HashKVResponseSchema,
  HashRequestSchema,
  HashResponseSchema,
  MoveLeaderRequestSchema,
  MoveLeaderResponseSchema,
  StatusRequestSchema,
  StatusResponseSchema,
} from '../../api/gen/maintenance_pb.js';
import { type MaintenanceQuery, MaintenanceQuerySchema } from '../../api/gen/member_pb.js';
import type { AskKind } from '../members/call.ts';
import { type Method, method, type Plan, planWrite } from './methods.ts';

/** etcd tells these who is not root in the words of its auth package, without a code. */
const wordsOfAuth = { wordsOfAuth: true } as const;
/** All there is may have to be read. */
const long = { ...wordsOfAuth, isLong: true } as const;

export const maintenanceMethods: readonly (readonly [path: string, Method])[] = [
  [
    'maintenance/status',
    {
      ...method(StatusRequestSchema, StatusResponseSchema, (value) =>
        ofMember({ case: 'status', value }),
      ),
      isForLeader: true,
    },
  ],
  [
    'maintenance/hash',
    {
      ...method(HashRequestSchema, HashResponseSchema, (value) =>
        ofMember({ case: 'hash', value }),
      ),
      ...long,
    },
  ],
  [
    'maintenance/hashkv',
    {
      ...method(HashKVRequestSchema, HashKVResponseSchema, (value) =>
        ofMember({ case: 'hashKv', value }),
      ),
      ...long,
    },
  ],
  [
    'maintenance/defragment',
    {
      ...method(DefragmentRequestSchema, DefragmentResponseSchema, (value) =>
        ofMember({ case: 'defragment', value }),
      ),
      ...wordsOfAuth,
    },
  ],
  [
    'maintenance/alarm',
    method(AlarmRequestSchema, AlarmResponseSchema, (value) =>
      value.action === AlarmRequest_AlarmAction.GET
        ? planQuery('read', { case: 'alarms', value })
        : planWrite({ case: 'alarm', value }, () => null),
    ),
  ],
  [
    'maintenance/transfer-leadership',
    method(MoveLeaderRequestSchema, MoveLeaderResponseSchema, (value) =>
      planQuery('write', { case: 'moveLeader', value }),
    ),
  ],
  [
    'maintenance/downgrade',
    method(DowngradeRequestSchema, DowngradeResponseSchema, (value) => {
      const { ENABLE, CANCEL } = DowngradeRequest_DowngradeAction;
      return value.action === ENABLE || value.action === CANCEL
        ? planWrite({ case: 'downgrade', value }, () => null)
        : planQuery('read', { case: 'downgrade', value });
    }),
  ],
];

/** Whichever member is asked tells it of itself. */
function ofMember(query: MaintenanceQuery['query']): Plan {
  return planQuery('serializable', query);
}

function planQuery(kind: AskKind, query: MaintenanceQuery['query']): Plan {
  const value = create(MaintenanceQuerySchema, { query } as never);
  return { kind, op: { case: 'maintenance', value } };
}
