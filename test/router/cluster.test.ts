/** What the router adds to etcd's calls about members: client URLs, time, and where places are created. */
import { create, toBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { MemberListResponseSchema } from '../../src/api/gen/cluster_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { memberStub } from '../../src/router/members/call.ts';
import { beginIsolate } from '../support/isolate.ts';
import { failure, fakeMembers, respondWith } from './support/members.ts';

const app = createRouter();

beforeEach(beginIsolate);

const listed = toBinary(
  MemberListResponseSchema,
  create(MemberListResponseSchema, {
    header: { clusterId: 1n, memberId: 2n, raftTerm: 3n },
    members: [
      { ID: 2n, name: 'place-1', peerURLs: ['http://place-1:2380'] },
      { ID: 3n, peerURLs: ['http://10.0.0.1:2380'], isLearner: true },
    ],
  }),
);

async function list(url: string, headers: Record<string, string> = {}, body = '{}') {
  const fake = fakeMembers(() => respondWith(listed));
  const answer = await app.request(url, { method: 'POST', body, headers }, fake.env);
  const { members } = (await answer.json()) as { members: { clientURLs?: string[] }[] };
  return { fake, urls: members.map(({ clientURLs = [] }) => clientURLs) };
}

const path = '/v3/cluster/member/list';

describe('the client URLs of members', () => {
  test.each<[string, Record<string, string>, string]>([
    [`http://kv.example:2379${path}`, {}, 'http://kv.example:2379'],
    [`https://kv.example${path}?x=1`, {}, 'https://kv.example'],
    [`https://kv.example/t/acme${path}`, {}, 'https://kv.example/t/acme'],
    [`http://kv.example/t/default${path}`, {}, 'http://kv.example/t/default'],
    [`http://kv.example${path}`, { 'x-forwarded-proto': 'https' }, 'https://kv.example'],
    [`http://kv.example${path}`, { 'x-forwarded-proto': 'javascript' }, 'http://kv.example'],
  ])('are where the request came to: %s %j', async (url, headers, expected) => {
    // One that has not started has none: nobody is to dial it.
    expect((await list(url, headers)).urls).toEqual([[expected], []]);
  });
});

describe('a call about members', () => {
  test('asks any member for the list, or a quorum if it is to be linearizable', async () => {
    const serializable = async (body: string) =>
      (await list(`http://kv${path}`, {}, body)).fake.sent[0]?.request.serializable;
    expect(await serializable('')).toBe(true);
    expect(await serializable('{"linearizable":true}')).toBe(false);
  });

  test('has half a minute if it is a change, or what the client says', async () => {
    const timeoutOf = async (headers: Record<string, string>) => {
      const fake = fakeMembers(() => failure('MemberNotFound'));
      const init = { method: 'POST', body: '{"ID":"7"}', headers };
      const answer = await app.request('/v3/cluster/member/remove', init, fake.env);
      expect(answer.status).toBe(404);
      expect(fake.sent[0]?.request.mayPropose).toBe(true);
      return fake.sent[0]?.request.timeoutMs ?? 0;
    };
    expect(await timeoutOf({})).toBeGreaterThan(25_000);
    expect(await timeoutOf({ 'grpc-timeout': '2S' })).toBeLessThan(2_000);
  });

  test('is told that the last voter stays with etcd’s own status', async () => {
    const fake = fakeMembers(() => failure('MemberNotEnoughStarted'));
    const init = { method: 'POST', body: '{"ID":"7"}' };
    const answer = await app.request('/v3/cluster/member/remove', init, fake.env);
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ code: 2 });
  });
});

test('a place is created where LOCATION_HINTS says', () => {
  const options: unknown[] = [];
  const RAFT_NODE = {
    idFromName: (name: string) => name,
    get: (_: string, option: unknown) => options.push(option),
  } as unknown as DurableObjectNamespace;
  for (const place of [1, 2]) memberStub({ RAFT_NODE, LOCATION_HINTS: '2=enam' }, 'a', place);
  expect(options).toEqual([
    { retry: { maxRetries: 0 } },
    { retry: { maxRetries: 0 }, locationHint: 'enam' },
  ]);
});
