/** /v3/watch: what the gateway says of watches, and to requests that are none (src/router/etcd/watch*.ts). */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRouter } from '../../../src/router/app.ts';
import { bytes, del, set } from '../../kv/support.ts';
import { Group } from './group.ts';

const app = createRouter();

afterEach(() => vi.useRealTimers());
const key = (text: string) => btoa(text);

class Client {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly status: number;
  private constructor(response: Response) {
    this.status = response.status;
    this.reader = (response.body as ReadableStream<Uint8Array>).getReader();
  }

  static async open(group: Group, ...asked: (object | string)[]): Promise<Client> {
    const body = asked.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('');
    const request = new Request('http://quorate/v3/watch', { method: 'POST', body });
    return new Client(await app.fetch(request, group.env));
  }

  /** The messages of the next chunks, one a chunk, without what every header says. */
  async read(count: number): Promise<object[]> {
    const messages: object[] = [];
    while (messages.length < count) {
      const { value, done } = await this.reader.read();
      if (done) break;
      const text = new TextDecoder().decode(value);
      expect(text.endsWith('\n')).toBe(true);
      const { result } = JSON.parse(text);
      const { revision, ...rest } = { revision: result.header.revision, ...result };
      rest.header = undefined;
      messages.push(JSON.parse(JSON.stringify({ at: revision, ...rest })));
    }
    return messages;
  }

  close(): Promise<void> {
    return this.reader.cancel();
  }
}

const create = (name: string, more: object = {}) => ({
  create_request: { key: key(name), ...more },
});

describe('a stream of etcd', () => {
  it('answers in the order of the requests, refusals among them', async () => {
    const group = new Group();
    const client = await Client.open(
      group,
      create('z', { range_end: key('a') }),
      create('a', { watch_id: '1' }),
      create('a', { watch_id: 1 }),
      create('a'),
      create('a'),
      create('a', { start_revision: -1 }),
      { cancel_request: { watch_id: 99 } },
      { progress_request: {} },
    );
    const refused = { at: '1', watch_id: '-1', created: true, canceled: true };
    expect(await client.read(7)).toEqual([
      { ...refused, cancel_reason: 'mvcc: watcher range is empty' },
      { at: '1', watch_id: '1', created: true },
      { ...refused, cancel_reason: 'mvcc: duplicate watch ID provided on the WatchStream' },
      { at: '1', created: true },
      { at: '1', watch_id: '2', created: true },
      { ...refused, cancel_reason: 'etcdserver: mvcc: required revision has been compacted' },
      { at: '1', watch_id: '-1' },
    ]);
    await client.close();
  });

  it('never splits a revision, and splits a large one where `fragment` allows it', async () => {
    const group = new Group();
    for (const name of 'abc') group.at.apply(set(name, name.repeat(900_000)));
    const asked = { range_end: key('z'), prev_kv: true };
    const whole = await Client.open(group, create('a', asked));
    const split = await Client.open(group, create('a', { ...asked, fragment: true }));
    for (const client of [whole, split]) await client.read(1);
    group.at.apply(del({ key: bytes('a'), rangeEnd: bytes('z') }));
    const shape = (messages: object[]) =>
      (messages as { fragment?: boolean; events: object[] }[]).map(({ fragment, events }) => [
        fragment ?? false,
        events.length,
      ]);
    expect(shape(await whole.read(1))).toEqual([[false, 3]]);
    expect(shape(await split.read(2))).toEqual([
      [true, 2],
      [false, 1],
    ]);
    await Promise.all([whole.close(), split.close()]);
  });

  it('says no progress below the revision that a watch waits for', async () => {
    const group = new Group();
    const client = await Client.open(group, create('a', { start_revision: 4 }), {
      progress_request: {},
    });
    await client.read(1);
    group.at.apply(set('a'));
    group.at.apply(set('a'));
    group.at.apply(set('a'));
    expect(await client.read(1)).toMatchObject([
      { at: '4', events: [{ kv: { mod_revision: '4' } }] },
    ]);
    await client.close();
  });

  it('ends its watches when the client goes', async () => {
    const group = new Group();
    const client = await Client.open(group, create('a'));
    await client.read(1);
    await client.close();
    for (let n = 0; n < 4; n += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(group.at.hub.sizes).toEqual({ sockets: 0, watches: 0 });
  });

  it('takes no more than 10,000 watches, and says so', async () => {
    const group = new Group();
    const many = Array.from({ length: 10_001 }, () => create('a'));
    const client = await Client.open(group, ...many);
    const messages = await client.read(10_001);
    expect(messages.at(-1)).toMatchObject({
      canceled: true,
      cancel_reason: 'quorate: too many watches on one stream',
    });
    expect(group.at.hub.sizes.watches).toBe(10_000);
    await client.close();
  });
});

describe('what follows good requests and is none', () => {
  it.each(['{"create_re', 'nope', '[]', '}', '{"create_request":{"key":5}}'])(
    '%s is not looked at, nor what follows it',
    async (garbage) => {
      const group = new Group();
      const client = await Client.open(group, create('a'), garbage, create('a'), create('a'));
      expect(await client.read(1)).toEqual([{ at: '1', created: true }]);
      group.at.apply(set('a'));
      expect(await client.read(1)).toMatchObject([{ at: '2', events: [{}] }]);
      expect(group.at.hub.sizes.watches).toBe(1);
      await client.close();
    },
  );
});

describe('many requests at once', () => {
  it('for progress cost two questions, and end with an answer', async () => {
    const group = new Group();
    const asked = Array.from({ length: 1_000 }, () => ({ progress_request: {} }));
    const client = await Client.open(group, create('a'), ...asked);
    const progress = { at: '1', watch_id: '-1' };
    expect(await client.read(3)).toEqual([{ at: '1', created: true }, progress, progress]);
    group.at.apply(set('a'));
    expect(await client.read(1)).toMatchObject([{ at: '2', events: [{}] }]);
    await client.close();
  });

  it('that are refused cost one question, and each has its answer in its place', async () => {
    const group = new Group();
    const bad = create('z', { range_end: key('a') });
    const many = Array.from({ length: 1_000 }, () => bad);
    const client = await Client.open(group, ...many, create('a'), ...many, create('a'));
    const messages = await client.read(2_002);
    const created = messages.flatMap((message, at) => ('canceled' in message ? [] : [at]));
    expect(created).toEqual([1_000, 2_001]);
    await client.close();
  });
});

describe('a request that is no watch', () => {
  it.each<[string, string, number]>([
    ['broken JSON', '{bad', 400],
    ['an array', '[]', 400],
    ['a cut message', '{"create_request":{"key":"YQ==', 400],
    ['a key that is a number', '{"create_request":{"key":7}}', 400],
    ['a key that is no base64', '{"create_request":{"key":"*"}}', 400],
    ['a revision that is text', '{"create_request":{"key":"YQ==","start_revision":"x"}}', 400],
    ['a revision out of range', '{"create_request":{"start_revision":"9223372036854775808"}}', 400],
    ['a fraction as an id', '{"create_request":{"watch_id":1.5}}', 400],
    ['an unknown filter', '{"create_request":{"filters":["NOPE"]}}', 400],
    ['filters that are no list', '{"create_request":{"filters":"NOPUT"}}', 400],
    ['a flag that is text', '{"create_request":{"prev_kv":"true"}}', 400],
    ['two requests in one', '{"create_request":{},"cancel_request":{}}', 400],
    ['a body of ten megabytes', `{"create_request":{"key":"${'A'.repeat(10_000_000)}"}}`, 429],
    ['a message of five', `{"create_request":{"key":"${'A'.repeat(5_000_000)}"}}`, 429],
    [
      'a message of five after a good one',
      `{}{"create_request":{"key":"${'A'.repeat(5e6)}"}}`,
      429,
    ],
    ['more requests than a body may have', '{}'.repeat(20_001), 429],
  ])('%s is refused at once', async (_, body, status) => {
    const request = new Request('http://quorate/v3/watch', { method: 'POST', body });
    const response = await app.fetch(request, new Group().env);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ message: expect.any(String) });
  });

  it.each(['GET', 'PUT', 'DELETE'])('%s is not offered', async (method) => {
    const request = new Request('http://quorate/v3/watch', { method });
    expect((await app.fetch(request, new Group().env)).status).toBe(501);
  });

  it('with a deadline that passes is told so', async () => {
    const group = new Group();
    for (const place of [1, 2, 3, 4, 5]) group.down.add(place);
    const request = new Request('http://quorate/v3/watch', {
      method: 'POST',
      body: JSON.stringify(create('a')),
      headers: { 'grpc-timeout': '50m' },
    });
    const response = await app.fetch(request, group.env);
    expect(response.status).toBe(504);
  });
});

describe('a stream that will be told nothing more', () => {
  it.each([
    ['all of its watches were refused', [create('a', { start_revision: -5 })], 1],
    ['all of its watches were canceled', [create('a'), { cancel_request: { watch_id: 0 } }], 2],
  ])('ends after ten seconds: %s', async (_, asked, answers) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const group = new Group();
    const client = await Client.open(group, ...asked);
    expect((await client.read(answers)).length).toBe(answers);
    await vi.advanceTimersByTimeAsync(10_000);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(group.at.hub.sizes.sockets).toBe(0);
    expect(await client.read(1)).toEqual([]);
  });

  it('does not end while a watch is alive', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const group = new Group();
    const client = await Client.open(group, create('a', { start_revision: -5 }), create('a'));
    expect((await client.read(2)).length).toBe(2);
    await vi.advanceTimersByTimeAsync(60_000);
    group.at.apply(set('a'));
    expect((await client.read(1)).length).toBe(1);
    await client.close();
  });

  it('and asks for nothing is refused after ten seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const request = new Request('http://quorate/v3/watch', { method: 'POST', body: '{}' });
    const answer = app.fetch(request, new Group().env);
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await answer).status).toBe(503);
  });
});
