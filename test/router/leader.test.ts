/** Finding the leader: what is sent where, and above all what is not sent again. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Redirect_Reason as Reason } from '../../src/api/gen/member_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll, hintFor, remember } from '../../src/router/members/hints.ts';
import {
  type Fake,
  failure,
  fakeMembers,
  hang,
  lost,
  places,
  redirect,
  success,
} from './support/members.ts';

const app = createRouter();
const put = '{"key":"YQ==","value":"MQ=="}';
const get = '{"key":"YQ=="}';

beforeEach(() => forgetAll());

function write(fake: Fake, headers: Record<string, string> = {}) {
  return app.request('/v3/kv/put', { method: 'POST', body: put, headers }, fake.env);
}

function read(fake: Fake, headers: Record<string, string> = {}, body = get) {
  return app.request('/v3/kv/range', { method: 'POST', body, headers }, fake.env);
}

test('a write whose connection broke is never sent again, and its client is told so', async () => {
  const fake = fakeMembers(() => lost());
  const answer = await write(fake);
  expect(fake.sent).toHaveLength(1);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({
    code: 14,
    message: 'etcdserver: request timed out, possibly due to connection lost',
  });
});

test('the write after one of unknown outcome goes to another member, with a suspicion', async () => {
  const fake = fakeMembers((sent) => (sent.place === 1 ? lost() : success(sent)));
  await write(fake);
  expect((await write(fake)).status).toBe(200);
  expect(places(fake)).toEqual([1, 2]);
  expect(fake.sent[0]?.request.suspectTerm).toBeUndefined();
  expect(fake.sent[1]?.request.suspectTerm).toBe(0n);
  expect(fake.sent[1]?.request.mayPropose).toBe(true);
});

test('a write that a member says nobody proposed is asked again', async () => {
  const fake = fakeMembers((sent) =>
    fake.sent.length < 3 ? redirect(Reason.NO_LEADER, 0, { term: 4n }) : success(sent),
  );
  expect((await write(fake)).status).toBe(200);
  expect(fake.sent).toHaveLength(3);
  expect(fake.sent.map(({ request }) => request.suspectTerm)).toEqual([undefined, 4n, 4n]);
});

test('a read whose connection broke is asked of the other members, with a suspicion', async () => {
  const fake = fakeMembers((sent) => (sent.place === 3 ? success(sent) : lost()));
  expect((await read(fake)).status).toBe(200);
  expect(places(fake)).toEqual([1, 2, 3]);
  expect(fake.sent.map(({ request }) => request.suspectTerm)).toEqual([undefined, 0n, 0n]);
});

test('a redirect that names the leader is followed, and remembered', async () => {
  const fake = fakeMembers((sent) =>
    sent.place === 2 ? success(sent) : redirect(Reason.NOT_LEADER, 2),
  );
  expect((await write(fake)).status).toBe(200);
  expect((await write(fake)).status).toBe(200);
  expect(places(fake)).toEqual([1, 2, 2]);
});

test('a member that was never born sends on to place 1', async () => {
  const fake = fakeMembers((sent) =>
    sent.place === 1 ? success(sent) : redirect(Reason.NOT_BORN),
  );
  remember('default', { place: 2, term: 0n, places: [], suspect: false, avoid: null });
  expect((await read(fake)).status).toBe(200);
  expect(places(fake)).toEqual([2, 1]);
});

/** Place `wiped` led and lost its storage; the others believe in it until they are told to check. */
function groupWithout(wiped: number, standIn: number): Fake {
  let elected = 0;
  const group = { places: [1, 2, 3], term: 4n };
  return fakeMembers((sent) => {
    const { place, request } = sent;
    // Only place 1 can learn of the group: it asks the others before it gives birth to another.
    if (place === wiped) return redirect(Reason.NOT_BORN, 0, place === 1 ? group : {});
    if (place === elected) return success(sent);
    if (elected > 0) return redirect(Reason.NOT_LEADER, elected, group);
    if (request.suspectTerm === undefined) return redirect(Reason.NOT_LEADER, wiped, group);
    elected = standIn;
    return elected === place
      ? success(sent)
      : redirect(Reason.NOT_LEADER, elected, { ...group, confirmed: true });
  });
}

describe('a leader that lost its storage', () => {
  test.each([
    ['place 1, the next one campaigns', 1, 2, [1, 2, 2]],
    ['place 1, another one wins', 1, 3, [1, 2, 2, 3]],
    ['place 2', 2, 3, [1, 2, 3]],
    ['place 3', 3, 1, [1, 3, 1]],
  ])('%s: the others elect a new one, and it is found at once', async (_, wiped, standIn, path) => {
    const fake = groupWithout(wiped, standIn);
    expect((await write(fake)).status).toBe(200);
    expect(places(fake)).toEqual(path);
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual([...path, standIn]);
  });

  test.each([2, 3])('place %i, still hinted at: found just as well', async (wiped) => {
    const fake = groupWithout(0, 0);
    fake.script = (sent) =>
      sent.place === wiped ? success(sent) : redirect(Reason.NOT_LEADER, wiped);
    await write(fake);
    fake.sent.length = 0;
    fake.script = groupWithout(wiped, 1).script;
    expect((await write(fake)).status).toBe(200);
    expect(places(fake)).toEqual([wiped, 1, 1]);
  });

  test('the others cannot elect anybody: the search ends all the same', async () => {
    const fake = fakeMembers(({ place }) =>
      place === 1
        ? redirect(Reason.NOT_BORN, 0, { places: [1, 2, 3] })
        : redirect(Reason.NOT_LEADER, 1, { places: [1, 2, 3] }),
    );
    expect(await (await write(fake)).json()).toMatchObject({ message: 'etcdserver: no leader' });
    expect(places(fake).filter((place) => place === 1)).toHaveLength(1);
    expect(new Set(places(fake))).toEqual(new Set([1, 2, 3]));
    // Eight attempts, and the step from place 1 to a member that it named.
    expect(fake.sent.length).toBeLessThanOrEqual(9);
  });
});

/** The group had these members one after the other; each place that it has left names the next. */
function movedGroup(...memberships: number[][]): Fake {
  return fakeMembers((sent) => {
    const at = memberships.findIndex((members) => members.includes(sent.place));
    const next = memberships[at + 1];
    if (next !== undefined) return redirect(Reason.NOT_BORN, 0, { places: next });
    return at < 0 ? redirect(Reason.NOT_BORN) : success(sent);
  });
}

describe('a group that has moved', () => {
  const one = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => [from + index]);

  test('from place to place is found at the end of its trail, and from then on at once', async () => {
    const fake = movedGroup(...one(1, 12));
    expect((await write(fake)).status).toBe(200);
    expect(places(fake)).toEqual(one(1, 12).flat());
    fake.sent.length = 0;
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual([12]);
  });

  test('as a whole is found by one step for each move', async () => {
    const trail = [1, 4, 7, 10, 13, 16, 19, 22, 25, 28];
    const fake = movedGroup(...trail.map((place) => [place, place + 1, place + 2]));
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual(trail);
    expect(hintFor('default')?.places).toEqual([28, 29, 30]);
  });

  test('is looked for where a member has just said it is, not where it was before', async () => {
    remember('default', { place: 4, term: 3n, places: [4, 5, 6], suspect: false, avoid: null });
    const fake = movedGroup([1, 2, 3], [4, 5, 6], [7, 8, 9]);
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual([4, 7]);
  });

  test.each([
    ['is wiped', () => redirect(Reason.NOT_BORN)],
    ['names older members', () => redirect(Reason.NOT_BORN, 0, { places: [7, 4] })],
    ['cannot be reached', () => lost()],
  ])('is looked for at the other new members when the first one %s', async (_, answer) => {
    remember('default', { place: 4, term: 3n, places: [4, 5, 6], suspect: false, avoid: null });
    const fake = movedGroup([1, 2, 3], [4, 5, 6], [7, 8, 9]);
    const { script } = fake;
    fake.script = (sent) => (sent.place === 7 ? answer() : script(sent));
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual([4, 7, 8]);
  });

  test('is looked for behind the place that it has left, so that short requests come to all in turn', async () => {
    const remembered = { term: 3n, places: [1, 2, 3, 5], suspect: true, avoid: null };
    // Simulated seed 1000042304: 1 waits for a leader as long as a request does, 6 alone can win.
    const visited: number[] = [];
    for (const place of [1, 2, 3, 5]) {
      remember('default', { place, ...remembered });
      const fake = fakeMembers((sent) =>
        sent.place === 5 ? redirect(Reason.NOT_BORN, 0, { places: [1, 2, 3, 6] }) : success(sent),
      );
      expect((await write(fake)).status).toBe(200);
      visited.push(...places(fake));
    }
    expect(visited).toEqual([1, 2, 3, 5, 6]);
  });

  test('too far for one request is found by the next one, from where that one stopped', async () => {
    const fake = movedGroup(...one(1, 40));
    expect((await read(fake)).status).toBe(503);
    expect(places(fake)).toEqual(one(1, 24).flat());
    fake.sent.length = 0;
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual(one(25, 40).flat());
  });

  test('is found through members that have left it and do not know it yet', async () => {
    const trail = [1, 3, 5, 7, 9, 11, 13, 15, 17];
    const fake = movedGroup(...trail.map((place) => [place, place + 1]));
    const { script } = fake;
    // Each knows its successors, and takes the former leader for the leader still.
    fake.script = (sent) => {
      const { place } = sent;
      if (place === 17) return script(sent);
      return redirect(Reason.NOT_LEADER, place + 1, { places: [place + 2, place + 3] });
    };
    expect((await read(fake)).status).toBe(200);
    expect(places(fake)).toEqual(trail);
  });

  test('in a circle, as far as anybody knows, is given up after a bounded number of calls', async () => {
    const fake = fakeMembers(({ place }) =>
      redirect(Reason.NOT_BORN, 0, { places: place === 1 ? [2, 3] : [1] }),
    );
    expect((await read(fake)).status).toBe(503);
    expect(fake.sent.length).toBeLessThanOrEqual(12);
  });

  test('does not lead a request back that is behind another one', async () => {
    const fake = movedGroup([1], [2], [3], [4]);
    const { script } = fake;
    const ahead = { place: 4, term: 3n, places: [4], suspect: false, avoid: null };
    fake.script = (sent) => {
      if (sent.place === 2) remember('default', ahead);
      return sent.place === 3 ? lost() : script(sent);
    };
    await write(fake);
    expect(hintFor('default')).toEqual(ahead);
  });
});

test('a serializable read finds the one member that holds data', async () => {
  const fake = fakeMembers((sent) =>
    sent.place === 3
      ? success(sent)
      : redirect(Reason.NOT_BORN, 0, sent.place === 1 ? { places: [1, 2, 3] } : {}),
  );
  const answer = await read(fake, {}, '{"key":"YQ==","serializable":true}');
  expect(answer.status).toBe(200);
  expect(places(fake)).toEqual([1, 2, 3]);
});

test('a member that just said it does not lead is not believed to on hearsay, but on proof', async () => {
  const hearsay = fakeMembers((sent) =>
    sent.place === 1
      ? redirect(Reason.NOT_LEADER, 2)
      : sent.request.suspectTerm === undefined
        ? redirect(Reason.NOT_LEADER, 1)
        : success(sent),
  );
  expect((await write(hearsay)).status).toBe(200);
  expect(places(hearsay)).toEqual([1, 2, 2]);
  forgetAll();
  const proof = fakeMembers((sent) =>
    sent.place === 2
      ? redirect(Reason.NOT_LEADER, 1, { confirmed: true })
      : proof.sent.length === 1
        ? redirect(Reason.NOT_LEADER, 2)
        : success(sent),
  );
  expect((await write(proof)).status).toBe(200);
  expect(places(proof)).toEqual([1, 2, 1]);
});

test('a new tenant is founded by place 1, whoever is asked first and however long it takes', async () => {
  const fake = fakeMembers((sent) => {
    if (sent.place !== 1) return redirect(Reason.NOT_BORN);
    return fake.sent.length < 4 ? redirect(Reason.NO_LEADER) : success(sent);
  });
  remember('default', { place: 2, term: 0n, places: [], suspect: false, avoid: null });
  expect((await write(fake)).status).toBe(200);
  expect(places(fake).slice(0, 2)).toEqual([2, 1]);
  expect(places(fake).at(-1)).toBe(1);
});

test('members that send the router in a circle are left after a bounded number of attempts', async () => {
  const fake = fakeMembers((sent) => redirect(Reason.NOT_LEADER, sent.place === 1 ? 2 : 1));
  const answer = await write(fake);
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(await answer.json()).toMatchObject({ code: 14, message: 'etcdserver: no leader' });
  expect(fake.sent.length).toBeLessThanOrEqual(8);
});

test('a redirect never leads back to a member that was just out of reach, unless it is confirmed', async () => {
  const fake = fakeMembers((sent) =>
    sent.place === 1
      ? lost()
      : sent.place === 2
        ? redirect(Reason.NOT_LEADER, 1, { places: [1, 2, 3] })
        : success(sent),
  );
  expect((await read(fake)).status).toBe(200);
  expect(places(fake).filter((place) => place === 1)).toHaveLength(1);
});

test('overload is not a lost write: it certainly did not arrive, and is not made worse', async () => {
  const fake = fakeMembers(() => lost({ overloaded: true }));
  const answer = await write(fake);
  expect(fake.sent).toHaveLength(1);
  expect(answer.status).toBe(429);
  expect(await answer.json()).toMatchObject({ code: 8, message: 'etcdserver: too many requests' });
});

test('overload that the member itself reports proves nothing about the write', async () => {
  const fake = fakeMembers(() => lost({ overloaded: true, remote: true }));
  const answer = await write(fake);
  expect(fake.sent).toHaveLength(1);
  expect(await answer.json()).toMatchObject({ code: 14 });
});

test('an outcome that the member does not know reaches the client as unknown', async () => {
  const fake = fakeMembers(() => failure('OutcomeUnknown', true));
  const v3 = await write(fake);
  expect(await v3.json()).toMatchObject({
    message: 'etcdserver: request timed out, possibly due to connection lost',
  });
  const v1 = await app.request('/v1/kv/a', { method: 'PUT', body: 'x' }, fake.env);
  expect(v1.status).toBe(504);
  expect(await v1.json()).toMatchObject({
    code: 'commit-timeout',
    outcome: 'unknown',
    retryable: false,
  });
  expect(fake.sent).toHaveLength(2);
});

test('a member that cannot serve for reasons of its own does not keep the group from serving', async () => {
  const fake = fakeMembers((sent) => (sent.place === 1 ? failure('NotCapable') : success(sent)));
  expect((await write(fake)).status).toBe(200);
  expect((await read(fake)).status).toBe(200);
  expect(places(fake)).toEqual([1, 2, 2]);
});

test('when every member says the same, the client hears it', async () => {
  const fake = fakeMembers(() => failure('NotCapable'));
  expect(await (await write(fake)).json()).toMatchObject({ message: 'etcdserver: not capable' });
  expect(new Set(places(fake))).toEqual(new Set([1, 2, 3]));
});

test('a failure of the request itself is final', async () => {
  const fake = fakeMembers(() => failure('Compacted'));
  expect((await read(fake)).status).toBe(400);
  expect(fake.sent).toHaveLength(1);
});

test('a failure with a name of newer code is not passed on as a success or a 500', async () => {
  const fake = fakeMembers(() => failure('SomethingNew'));
  expect((await read(fake)).status).toBe(503);
});

test('a member that answers nothing sensible counts as out of reach', async () => {
  const fake = fakeMembers((sent) => success(sent));
  fake.env.RAFT_NODE.get = (() => ({
    fetch: async () => new Response('what?', { status: 500 }),
  })) as never;
  const answer = await write(fake);
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: 14 });
});

test('a busy leader has the whole deadline to answer a read', async () => {
  const fake = fakeMembers(async (sent) => {
    await new Promise((resolve) => setTimeout(resolve, 900));
    return success(sent);
  });
  expect((await read(fake, { 'grpc-timeout': '1200m' })).status).toBe(200);
  expect((await read(fake, { 'grpc-timeout': '1200m' })).status).toBe(200);
  expect(places(fake)).toEqual([1, 1]);
});

test.each([
  ['linearizable', get, [undefined, 0n]],
  ['serializable', '{"key":"YQ==","serializable":true}', [undefined, undefined]],
])(
  'a hung member costs one %s read its deadline; the next goes elsewhere',
  async (_, body, terms) => {
    const fake = fakeMembers((sent) => (sent.place === 1 ? hang() : success(sent)));
    const late = await read(fake, { 'grpc-timeout': '300m' }, body);
    expect(late.status).toBe(504);
    expect(await late.json()).toMatchObject({ code: 4, message: 'context deadline exceeded' });
    expect((await read(fake, {}, body)).status).toBe(200);
    expect(places(fake)).toEqual([1, 2]);
    expect(fake.sent.map(({ request }) => request.suspectTerm)).toEqual(terms);
  },
);

test("a read that runs into the service's own deadline timed out, whoever counted", async () => {
  vi.useFakeTimers();
  try {
    for (const script of [hang, () => failure('Timeout')]) {
      forgetAll();
      const fake = fakeMembers(script);
      const answer = read(fake);
      await vi.advanceTimersByTimeAsync(5_000);
      expect((await answer).status).toBe(503);
      expect(await (await answer).json()).toMatchObject({
        code: 14,
        message: 'etcdserver: request timed out',
      });
      expect(fake.sent.filter(({ request }) => request.op.case === 'range')).toHaveLength(1);
    }
  } finally {
    vi.useRealTimers();
  }
});

test('a hung leader leaves a write unknown at its deadline, and only then', async () => {
  const fake = fakeMembers(() => hang());
  const began = Date.now();
  const answer = await write(fake, { 'grpc-timeout': '300m' });
  expect(Date.now() - began).toBeGreaterThanOrEqual(290);
  expect(answer.status).toBe(504);
  expect(await answer.json()).toMatchObject({ code: 4, message: 'context deadline exceeded' });
  expect(fake.sent).toHaveLength(1);
});

test('a member that ignores the abort cannot hold a request beyond its deadline', async () => {
  const fake = fakeMembers(() => new Promise(() => {}));
  const answer = await read(fake, { 'grpc-timeout': '200m' });
  expect(answer.status).toBe(504);
});

test('a deadline that no request can meet is over before anybody is asked', async () => {
  const fake = fakeMembers((sent) => success(sent));
  const answer = await read(fake, { 'grpc-timeout': '1n' });
  expect(answer.status).toBe(504);
  expect(fake.sent).toHaveLength(0);
});

test('a serializable read goes to another member without a suspicion', async () => {
  const fake = fakeMembers((sent) => (sent.place === 1 ? lost() : success(sent)));
  const answer = await read(fake, {}, '{"key":"YQ==","serializable":true}');
  expect(answer.status).toBe(200);
  expect(places(fake)).toEqual([1, 2]);
  expect(fake.sent.map(({ request }) => request.suspectTerm)).toEqual([undefined, undefined]);
  expect(fake.sent.every(({ request }) => request.serializable)).toBe(true);
});

test('a leader that is only reached through another member stays unaddressed for a while', async () => {
  const fake = fakeMembers((sent) => {
    if (sent.place === 1) return lost();
    const relayed = success(sent);
    return { ...relayed, servedBy: { ...relayed.servedBy, place: 1 } } as typeof relayed;
  });
  await read(fake);
  await write(fake);
  await write(fake);
  expect(places(fake)).toEqual([1, 2, 2, 2]);
});

test('a request carries what is left of its deadline and the size of a new group', async () => {
  const fake = fakeMembers((sent) => success(sent), { MEMBERS: '5' });
  await write(fake, { 'grpc-timeout': '3S' });
  const request = fake.sent[0]?.request;
  expect(request?.groupSize).toBe(5);
  expect(request?.timeoutMs).toBeLessThanOrEqual(3_000);
  expect(request?.timeoutMs).toBeGreaterThan(2_500);
});

test('a size that no group has falls back to three', async () => {
  const fake = fakeMembers((sent) => success(sent), { MEMBERS: '4' });
  await write(fake);
  expect(fake.sent[0]?.request.groupSize).toBe(3);
});

test('a member that lags does not hide the members that are known already', async () => {
  remember('default', { place: 3, term: 3n, places: [3, 7], suspect: true, avoid: null });
  const fake = fakeMembers((sent) => {
    if (sent.place === 7) return success(sent);
    if (sent.place === 3) return redirect(Reason.NO_LEADER, 0, { term: 3n, places: [1, 2, 3] });
    return lost();
  });
  expect((await read(fake)).status).toBe(200);
  expect(places(fake).at(-1)).toBe(7);
});
