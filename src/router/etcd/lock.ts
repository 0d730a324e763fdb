/** /v3/lock: etcd's Lock service. What blocks waits in the Worker, on a watch. */
import { create } from '@bufbuild/protobuf';
import { checkDelete } from '../../api/checks.ts';
import { DeleteRangeRequestSchema, DeleteRangeResponseSchema } from '../../api/gen/rpc_pb.js';
import {
  LockRequestSchema,
  LockResponseSchema,
  UnlockRequestSchema,
  UnlockResponseSchema,
} from '../../api/gen/v3lock_pb.js';
import { ask } from '../locks/caller.ts';
import { prefixOf } from '../locks/keys.ts';
import { acquire, headerOf } from '../locks/queue.ts';
import { withSession } from '../locks/session.ts';
import { service } from './lock-service.ts';
import { planWrite } from './methods.ts';
import { answer } from './request.ts';

const value = new Uint8Array();

export const lock = service(LockRequestSchema, async (caller, { name, lease: brought }, call) => {
  const { key, header } = await withSession(caller, brought, (lease) =>
    acquire(caller, { prefix: prefixOf(name), lease, value }),
  );
  return answer(call, LockResponseSchema, { header, key });
});

/** As etcd: it deletes the key, whoever has it, and whether it is there or not. */
export const unlock = service(UnlockRequestSchema, async (caller, { key }, call) => {
  const request = create(DeleteRangeRequestSchema, { key });
  const plan = planWrite({ case: 'deleteRange', value: request }, () => checkDelete(request));
  const header = headerOf(await ask(caller, plan, DeleteRangeResponseSchema));
  return answer(call, UnlockResponseSchema, { header });
});
