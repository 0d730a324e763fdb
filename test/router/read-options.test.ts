/** What a reader may ask for beside the data, how it travels, and what the answer says of it. */
import { create, toBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Redirect_Reason, type Server } from '../../src/api/gen/member_pb.js';
import { RangeResponseSchema } from '../../src/api/gen/rpc_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll, remember } from '../../src/router/members/hints.ts';
import { forgetTimes } from '../../src/router/members/nearest.ts';
import {
  failure,
  fakeMembers,
  lost,
  places,
  redirect,
  reply,
  type Script,
  type Sent,
} from './support/members.ts';

const app = createRouter();

beforeEach(() => {
  forgetAll();
  forgetTimes();
  vi.useRealTimers();
});

const found = toBinary(
  RangeResponseSchema,
  create(RangeResponseSchema, {
    header: { revision: 7n },
    kvs: [{ key: new Uint8Array([97]), value: new Uint8Array([120]), modRevision: 5n }],
    count: 1n,
  }),
);

const served = (place: number, more: Partial<Omit<Server, '$typeName' | '$unknown'>> = {}) =>
  reply({
    outcome: { case: 'response', value: found },
    servedBy: { place, role: place === 1 ? 'leader' : 'follower', term: 3n, ...more },
  });

const anybody: Script = ({ place }) => served(place);

async function get(path: string, script: Script = anybody, headers: Record<string, string> = {}) {
  const fake = fakeMembers(script);
  const answer = await app.request(path, { headers }, fake.env);
  const text = await answer.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, headers: answer.headers, json, sent: fake.sent, fake };
}

const only = (sent: readonly Sent[]) => {
  expect(sent).toHaveLength(1);
  return (sent[0] as Sent).request;
};

describe('options of a read', () => {
  test.each([
    '/v1/kv/a?',
    '/v1/kv?prefix=&',
    '/v1/kv?prefix=&count_only=1&',
    '/v1/kv?prefix=&delimiter=/&',
  ])('%s: all of them reach the member', async (path) => {
    const query = 'consistency=serializable&max_staleness=2s&min_revision=6';
    const { status, sent } = await get(path + query);
    expect(status).toBe(200);
    const request = sent[0]?.request;
    expect(request).toMatchObject({ serializable: true, readHere: false, maxStalenessMs: 2_000 });
    expect(request?.minRevision).toBe(6n);
  });

  test('without any of them nothing is asked for', async () => {
    const request = only((await get('/v1/kv/a')).sent);
    expect(request).toMatchObject({ serializable: false, readHere: false, minRevision: 0n });
    expect(request.maxStalenessMs).toBeUndefined();
  });

  test('headers say the same as the query, and must not contradict it', async () => {
    const headers = { 'kv-consistency': 'serializable', 'kv-min-revision': '6' };
    const { sent } = await get(
      '/v1/kv/a?consistency=serializable&min_revision=6',
      anybody,
      headers,
    );
    expect(only(sent)).toMatchObject({ serializable: true, minRevision: 6n });
    for (const query of ['consistency=linearizable', 'min_revision=5']) {
      const bad = await get(`/v1/kv/a?${query}`, anybody, headers);
      expect([bad.status, bad.json.code, bad.sent.length]).toEqual([400, 'bad-request', 0]);
    }
  });

  test.each([
    'max_staleness=2s',
    'consistency=serializable&max_staleness=0s',
    'consistency=serializable&max_staleness=-1s',
    'consistency=serializable&max_staleness=2h',
    'consistency=serializable&max_staleness=1441m',
    'consistency=serializable&max_staleness=',
    'consistency=eventual',
    'consistency=',
    'via=farthest',
    'via=',
    'via=nearest&via=nearest',
    'min_revision=0',
    'min_revision=-1',
    'min_revision=1e3',
    'min_revision=9007199254740992',
    'min_revision=',
  ])('?%s is a bad request', async (query) => {
    for (const path of ['/v1/kv/a?', '/v1/kv?prefix=&']) {
      const bad = await get(path + query);
      expect([bad.status, bad.json.code, bad.sent.length]).toEqual([400, 'bad-request', 0]);
    }
  });

  test.each([
    ['kv-min-revision', 'x'],
    ['kv-min-revision', '"42"'],
    ['kv-min-revision', '0'],
    ['kv-consistency', 'strong'],
  ])('%s: %s is a bad request', async (name, value) => {
    const bad = await get('/v1/kv/a', anybody, { [name]: value });
    expect([bad.status, bad.json.code, bad.sent.length]).toEqual([400, 'bad-request', 0]);
  });

  test('are no options of a write', async () => {
    const fake = fakeMembers(anybody);
    for (const query of ['via=nearest', 'min_revision=1', 'max_staleness=1s']) {
      const answer = await app.request(`/v1/kv/a?${query}`, { method: 'PUT' }, fake.env);
      expect(answer.status).toBe(400);
    }
    expect(fake.sent).toEqual([]);
  });

  test('a later page of a list waits for the revision that the first one has fixed', async () => {
    const page = create(RangeResponseSchema, {
      ...{ header: { revision: 7n }, more: true, count: 2n },
      kvs: [{ key: new Uint8Array([97]), modRevision: 5n }],
    });
    const script: Script = ({ place }) => {
      const value = toBinary(RangeResponseSchema, page);
      return reply({
        outcome: { case: 'response', value },
        servedBy: { place, role: 'leader', term: 3n },
      });
    };
    const first = await get('/v1/kv?prefix=&limit=1', script);
    const query = `prefix=&limit=1&consistency=serializable&cursor=${first.json.next_cursor}`;
    const next = await get(`/v1/kv?${query}`, script);
    expect(only(next.sent).minRevision).toBe(7n);
  });
});

describe('the answer', () => {
  test('says how old a serializable read may be, if the member knows', async () => {
    const known: Script = ({ place }) => served(place, { stalenessMs: 40n });
    const serializable = '/v1/kv/a?consistency=serializable';
    expect((await get(serializable, known)).headers.get('kv-staleness-ms')).toBe('40');
    expect((await get(serializable)).headers.has('kv-staleness-ms')).toBe(false);
  });

  test('times only what was measured', async () => {
    const quorum: Script = ({ place }) => served(place, { quorumMs: 12.345 });
    const timed = await get('/v1/kv/a', quorum);
    expect(timed.headers.get('server-timing')).toMatch(
      /^edge;dur=\d+, leader;dur=\d+, quorum;dur=12.35$/,
    );
    const own = await get('/v1/kv/a?via=nearest&consistency=serializable', ({ place }) =>
      served(place, { role: 'follower' }),
    );
    expect(own.headers.get('server-timing')).toMatch(/^edge;dur=\d+, member;dur=\d+$/);
  });

  test.each([
    ['TooStale', 503, 'too-stale'],
    ['FutureRev', 400, 'future-revision'],
  ] as const)('%s of the member is %i %s', async (error, status, code) => {
    const query = 'consistency=serializable&max_staleness=1s&min_revision=9';
    const refused = await get(`/v1/kv/a?${query}`, () => failure(error));
    expect([refused.status, refused.json.code]).toEqual([status, code]);
    expect(refused.headers.get('kv-consistency')).toBe('serializable');
  });

  test('says below which revision history is gone', async () => {
    const script: Script = () =>
      reply({
        outcome: { case: 'failure', value: { error: 'Compacted', compactRevision: 6n } },
      });
    const gone = await get('/v1/kv/a?revision=3', script);
    expect([gone.status, gone.json]).toMatchObject([410, { compact_revision: 6 }]);
  });
});

describe('via=nearest', () => {
  test('asks each member once, then the one that answered soonest', async () => {
    vi.useFakeTimers();
    const fake = fakeMembers(({ place }) => {
      vi.setSystemTime(Date.now() + (place === 2 ? 5 : 80));
      return served(place, { places: [1, 2, 3] });
    });
    const ask = () => app.request('/v1/kv/a?via=nearest', {}, fake.env);
    for (let n = 0; n < 5; n += 1) expect((await ask()).status).toBe(200);
    expect(places(fake)).toEqual([1, 2, 3, 2, 2]);
    expect(fake.sent.every(({ request }) => request.readHere && !request.serializable)).toBe(true);
    // Times get old: what was slow may be quick by now.
    vi.setSystemTime(Date.now() + 60_001);
    for (let n = 0; n < 4; n += 1) await ask();
    expect(places(fake).slice(5)).toEqual([1, 2, 3, 2]);
  });

  test('learns the members from whoever answers, learners too', async () => {
    const fake = fakeMembers(({ place }) =>
      served(place, { places: [3, 4], role: place === 4 ? 'learner' : 'follower' }),
    );
    const ask = () => app.request('/v1/kv/a?via=nearest', {}, fake.env);
    const by: (string | null)[] = [];
    for (let n = 0; n < 3; n += 1) by.push((await ask()).headers.get('kv-served-by'));
    expect(by).toEqual(['follower;place=1', 'follower;place=3', 'learner;place=4']);
  });

  test.each<[string, Script]>([
    ['is lost', () => lost()],
    ['knows no leader', () => redirect(Redirect_Reason.NO_LEADER)],
    ['belongs to no group', () => redirect(Redirect_Reason.NOT_BORN)],
    ['is of older code', () => failure('NotCapable')],
    ['cannot show to be new', () => failure('TooStale')],
  ])(
    'goes on to the leader when the nearest %s, and leaves it alone for a while',
    async (_, script) => {
      remember('default', { place: 2, term: 3n, places: [1, 2, 3], suspect: false, avoid: null });
      const fake = fakeMembers((sent) => (sent.place === 1 ? script(sent) : served(sent.place)));
      const ask = () => app.request('/v1/kv/a?via=nearest', {}, fake.env);
      expect((await ask()).status).toBe(200);
      expect(places(fake)).toEqual([1, 2]);
      expect(fake.sent.map(({ request }) => request.readHere)).toEqual([true, false]);
      await ask();
      expect(places(fake).slice(2)).not.toContain(1);
    },
  );

  test('changes nothing of what is believed about the leader', async () => {
    remember('default', { place: 3, term: 3n, places: [1, 2, 3], suspect: false, avoid: null });
    const { fake } = await get('/v1/kv/a?via=nearest');
    await app.request('/v1/kv/a', {}, fake.env);
    expect(places(fake)).toEqual([1, 3]);
  });

  test('ends with what is the same everywhere', async () => {
    const gone = await get('/v1/kv/a?via=nearest&revision=3', () => failure('Compacted'));
    expect([gone.status, places(gone.fake)]).toEqual([410, [1]]);
  });

  test('leaves a member that does not answer in time to ask the leader', async () => {
    vi.useFakeTimers();
    remember('default', { place: 2, term: 3n, places: [1, 2, 3], suspect: false, avoid: null });
    const fake = fakeMembers((sent) =>
      sent.place === 1 ? new Promise(() => {}) : served(sent.place),
    );
    const asked = app.request('/v1/kv/a?via=nearest&timeout=4s', {}, fake.env);
    await vi.advanceTimersByTimeAsync(2_100);
    expect((await asked).status).toBe(200);
    expect(places(fake)).toEqual([1, 2]);
  });
});
