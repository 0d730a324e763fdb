/** What a leader says of leases whose time never passes: for the tests of routes. */
import { create, toBinary } from '@bufbuild/protobuf';
import { LeaseKeepAliveRepliesSchema, type MemberRequest } from '../../../src/api/gen/member_pb.js';
import {
  LeaseKeepAliveResponseSchema,
  LeaseLeasesResponseSchema,
  LeaseTimeToLiveResponseSchema,
  ResponseHeaderSchema,
} from '../../../src/api/gen/rpc_pb.js';
import { drain } from '../../../src/kv/range.ts';
import type { StateMachine } from '../../../src/kv/state-machine.ts';

/** null: the request is not about leases. */
export function leaseResponse(machine: StateMachine, op: MemberRequest['op']): Uint8Array | null {
  const header = create(ResponseHeaderSchema, { revision: BigInt(machine.revision) });
  const ttlOf = (id: bigint) => BigInt(machine.lease(id)?.ttl ?? 0);
  switch (op.case) {
    case 'leaseKeepAlive': {
      const responses = op.value.ids.map((ID) =>
        create(LeaseKeepAliveResponseSchema, { header, ID, TTL: ttlOf(ID) }),
      );
      return toBinary(
        LeaseKeepAliveRepliesSchema,
        create(LeaseKeepAliveRepliesSchema, { responses }),
      );
    }
    case 'leaseTimeToLive': {
      const { ID } = op.value;
      const ttl = ttlOf(ID);
      const keys = op.value.keys && ttl > 0n ? drain(machine.leaseKeys(ID)) : [];
      const more = ttl > 0n ? { TTL: ttl, grantedTTL: ttl, keys } : { TTL: -1n };
      const response = create(LeaseTimeToLiveResponseSchema, { header, ID, ...more });
      return toBinary(LeaseTimeToLiveResponseSchema, response);
    }
    case 'leaseLeases': {
      const leases = machine.leasePage(null, 1_000).map(({ id }) => ({ ID: id }));
      return toBinary(
        LeaseLeasesResponseSchema,
        create(LeaseLeasesResponseSchema, { header, leases }),
      );
    }
    default:
      return null;
  }
}
