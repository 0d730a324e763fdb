/** A member that does not answer, while clients wait for it: what is sent elsewhere, and what not. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Redirect_Reason as Reason } from '../../src/api/gen/member_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll, hintFor } from '../../src/router/members/hints.ts';
import { patienceMs } from '../../src/router/members/silence.ts';
import {
  type Fake,
  fakeMembers,
  hang,
  redirect,
  reply,
  type Sent,
  success,
} from './support/members.ts';

const app = createRouter();

beforeEach(() => {
  forgetAll();
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const put = '{"key":"YQ==","value":"MQ=="}';
const get = '{"key":"YQ=="}';

function write(fake: Fake) {
  return app.request('/v3/kv/put', { method: 'POST', body: put }, fake.env);
}

function read(fake: Fake) {
  return app.request('/v3/kv/range', { method: 'POST', body: get }, fake.env);
}

/** Place 1 is silent; once it is suspected at another place that one leads term 3. */
function hungLeader(): Fake {
  return fakeMembers((sent) => (sent.place === 1 ? hang() : success(sent)));
}

const ops = (fake: Fake) => fake.sent.map(({ place, request }) => `${place} ${request.op.case}`);

test('a write that is not answered stays where it is; a ping with a suspicion finds the leader', async () => {
  const fake = hungLeader();
  const answer = write(fake);
  await vi.advanceTimersByTimeAsync(patienceMs - 1);
  expect(ops(fake)).toEqual(['1 command']);
  await vi.advanceTimersByTimeAsync(1);
  expect(ops(fake)).toEqual(['1 command', '2 ping']);
  expect(fake.sent[1]?.request.suspectTerm).toBe(0n);
  expect(hintFor('default')).toMatchObject({ place: 2, term: 3n, suspect: false });
  // Who comes now is served at once, and the one that waits is told what is known of its write.
  expect((await write(fake)).status).toBe(200);
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await answer).status).toBe(503);
  expect(ops(fake)).toEqual(['1 command', '2 ping', '2 command']);
  expect(hintFor('default')).toMatchObject({ place: 2, suspect: false });
  expect(vi.getTimerCount()).toBe(0);
});

test('a deposed leader that answers after all is heard', async () => {
  const fake = fakeMembers(async (sent) => {
    if (sent.place === 1) await new Promise((resolve) => setTimeout(resolve, patienceMs + 400));
    return success(sent);
  });
  const answer = write(fake);
  await vi.advanceTimersByTimeAsync(patienceMs + 400);
  expect((await answer).status).toBe(200);
  expect(vi.getTimerCount()).toBe(0);
});

test('many clients that wait have one member asked, once', async () => {
  const fake = hungLeader();
  const answers = Array.from({ length: 50 }, () => write(fake));
  await vi.advanceTimersByTimeAsync(3_000);
  await Promise.all(answers);
  expect(ops(fake).filter((op) => op.endsWith('ping'))).toEqual(['2 ping']);
});

test('while nobody leads another member is asked each second, each client asking once', async () => {
  const fake = fakeMembers(() => hang());
  const answers = [write(fake), write(fake)];
  await vi.advanceTimersByTimeAsync(5_000);
  await Promise.all(answers);
  expect(ops(fake)).toEqual(['1 command', '1 command', '2 ping', '3 ping']);
  expect(vi.getTimerCount()).toBe(0);
});

test('a read is asked again where the leader was found', async () => {
  const fake = hungLeader();
  const answers = [read(fake), read(fake)];
  await vi.advanceTimersByTimeAsync(patienceMs + 200);
  for (const answer of answers) expect((await answer).status).toBe(200);
  expect(ops(fake)).toEqual(['1 range', '1 range', '2 ping', '2 range', '2 range']);
  expect(vi.getTimerCount()).toBe(0);
});

test('a leader that only this router cannot reach serves reads by a relay, and keeps its place', async () => {
  const relayed = (sent: Sent) => {
    const { outcome } = success(sent);
    return reply({ outcome, servedBy: { place: 1, role: 'leader', term: 3n } });
  };
  const fake = fakeMembers((sent) => (sent.place === 1 ? hang() : relayed(sent)));
  const [reading, writing] = [read(fake), write(fake)];
  let isOver = false;
  void Promise.resolve(writing).finally(() => {
    isOver = true;
  });
  await vi.advanceTimersByTimeAsync(patienceMs + 200);
  expect((await reading).status).toBe(200);
  expect(fake.sent.at(-1)).toMatchObject({ place: 2, request: { suspectTerm: 0n } });
  // The leader has not changed: the write waits for it, up to its deadline.
  await vi.advanceTimersByTimeAsync(2_000);
  expect(fake.sent.filter(({ request }) => request.op.case === 'command')).toHaveLength(1);
  expect(isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  expect((await writing).status).toBe(503);
});

test('a leader that answers others is not doubted for one slow request', async () => {
  const fake = fakeMembers((sent) => (sent.request.op.case === 'command' ? hang() : success(sent)));
  const late = write(fake);
  for (let second = 0; second < 9; second += 1) {
    await vi.advanceTimersByTimeAsync(500);
    expect((await read(fake)).status).toBe(200);
  }
  await vi.advanceTimersByTimeAsync(600);
  expect((await late).status).toBe(503);
  expect(ops(fake).filter((op) => op.endsWith('ping'))).toEqual([]);
});

test('a member that knows no leader changes nothing', async () => {
  const fake = fakeMembers((sent) => (sent.place === 1 ? hang() : redirect(Reason.NO_LEADER)));
  const answer = write(fake);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(hintFor('default')).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1_000);
  expect((await answer).status).toBe(503);
});
