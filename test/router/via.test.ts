/** Reads that are sent to a follower, from either surface, and what the answer says of who served them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Redirect_Reason } from '../../src/api/gen/member_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll, remember } from '../../src/router/members/hints.ts';
import { forgetTimes } from '../../src/router/members/nearest.ts';
import { type Fake, fakeMembers, places, redirect, reply, success } from './support/members.ts';

const app = createRouter();

beforeEach(() => {
  forgetAll();
  forgetTimes();
  remember('default', { place: 2, term: 3n, places: [1, 2, 3], suspect: false, avoid: null });
});

/** Member 2 leads. */
function open(): Fake {
  return fakeMembers((sent) => {
    const role = sent.place === 2 ? 'leader' : 'follower';
    const { outcome } = success(sent);
    return reply({ outcome, servedBy: { place: sent.place, role, term: 3n } });
  });
}

async function post(path: string, body: string, via: string | null, fake = open()) {
  const headers: HeadersInit = via === null ? {} : { 'kv-via': via };
  const answer = await app.request(path, { method: 'POST', body, headers }, fake.env);
  return { answer, fake, servedBy: answer.headers.get('kv-served-by') };
}

const range = '{"key":"YQ=="}';
const readTxn = '{"success":[{"request_range":{"key":"YQ=="}}]}';
const put = '{"key":"YQ==","value":"Yg=="}';

describe('KV-Via on /v3', () => {
  test('sends a range and a transaction that only reads to those that do not lead', async () => {
    const fake = open();
    for (let n = 0; n < 6; n += 1) await post('/v3/kv/range', range, 'follower', fake);
    expect(new Set(places(fake))).toEqual(new Set([1, 3]));
    expect(fake.sent.every(({ request }) => request.readHere)).toBe(true);
    expect((await post('/v3/kv/range', range, 'follower')).servedBy).toMatch(/^follower;place=/);
    expect((await post('/v3/kv/txn', readTxn, 'follower')).servedBy).toMatch(/^follower;place=/);
  });

  test.each([
    ['/v3/kv/put', put],
    ['/v3/kv/txn', `{"success":[{"request_put":${put}}]}`],
    ['/v3/lease/timetolive', '{"ID":"7"}'],
  ])('leaves %s to the leader', async (path, body) => {
    const { fake, servedBy } = await post(path, body, 'follower');
    expect([places(fake), servedBy]).toEqual([[2], 'leader;place=2']);
    expect(fake.sent[0]?.request.readHere).toBe(false);
  });

  test('is not needed: without it the leader serves, and the answer has no header of ours', async () => {
    const { fake, servedBy } = await post('/v3/kv/range', range, null);
    expect([places(fake), servedBy]).toEqual([[2], null]);
  });

  test('asks the place that it names, and nobody else', async () => {
    for (const place of [1, 2, 3]) {
      const { fake, servedBy } = await post('/v3/maintenance/status', '{}', `place=${place}`);
      expect([places(fake), servedBy?.split('=')[1]]).toEqual([[place], String(place)]);
    }
    const silent = fakeMembers(() => redirect(Redirect_Reason.NOT_BORN));
    const { answer } = await post('/v3/maintenance/status', '{}', 'place=9', silent);
    expect([answer.status, places(silent)]).toEqual([503, [9]]);
  });

  test('with another word is refused', async () => {
    const { answer, fake } = await post('/v3/kv/range', range, 'place=0');
    expect([answer.status, await answer.json(), places(fake)]).toMatchObject([
      400,
      { code: 3, message: 'KV-Via must be one of leader, nearest, follower, or place=1 and so on' },
      [],
    ]);
  });
});

describe('via=follower on /v1', () => {
  test('leaves out the leader, as far as it is known', async () => {
    const fake = open();
    for (let n = 0; n < 6; n += 1) await app.request('/v1/kv/a?via=follower', {}, fake.env);
    expect(new Set(places(fake))).toEqual(new Set([1, 3]));
  });

  test('ends at the leader when there is nobody else', async () => {
    remember('default', { place: 2, term: 3n, places: [2], suspect: false, avoid: null });
    const fake = open();
    await app.request('/v1/kv/a?via=follower', {}, fake.env);
    expect(places(fake)).toEqual([2]);
  });
});
