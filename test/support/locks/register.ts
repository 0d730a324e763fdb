/** Writes of the register that the lock protects, each fenced by a token, in the two ways there are. */
import type { Gateway } from '../gateway.ts';
import type { WriteOutcome } from './judge.ts';
import type { Place } from './lockers.ts';
import { answered } from './session.ts';

export type FencedWrite = (
  gateway: Gateway,
  where: { readonly lock: string; readonly register: string },
  place: Place,
  value: string,
) => Promise<WriteOutcome>;

/** KV-Fence: whoever has the token needs to know nothing else. */
export const writeWithFence: FencedWrite = async (
  gateway,
  { lock, register },
  { token },
  value,
) => {
  const headers = { 'kv-fence': `${lock}=${token}` };
  const answer = await answered(gateway.send('PUT', `/v1/kv/${register}`, value, headers));
  if (answer?.status === 200 || answer?.status === 201) return 'done';
  return answer?.status === 412 ? 'refused' : 'unknown';
};

/** As etcd's concurrency package: in one transaction with a compare of the own key's create revision. */
export const writeAsOwner: FencedWrite = async (gateway, { register }, { key, token }, value) => {
  const body = {
    compare: [{ key: btoa(key), target: 'CREATE', result: 'EQUAL', create_revision: token }],
    success: [{ request_put: { key: btoa(register), value: btoa(value) } }],
  };
  const answer = await answered(gateway.send('POST', '/v3/kv/txn', JSON.stringify(body)));
  if (answer?.status !== 200) return 'unknown';
  return (JSON.parse(answer.text) as { succeeded?: boolean }).succeeded ? 'done' : 'refused';
};
