/** GET /v1/watch as events and as lines, and the long poll (src/router/rest/watch*.ts, long-poll.ts). */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRouter } from '../../../src/router/app.ts';
import { bytes, compact, del, set, txn } from '../../kv/support.ts';
import { Group } from './group.ts';

const app = createRouter();
afterEach(() => {
  vi.useRealTimers();
});

async function get(group: Group, path: string, headers: Record<string, string> = {}) {
  return app.fetch(new Request(`http://quorate${path}`, { headers }), group.env);
}

const sse = { accept: 'text/event-stream' };

class Reader {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  constructor(response: Response) {
    expect(response.status).toBe(200);
    this.reader = (response.body as ReadableStream<Uint8Array>).getReader();
  }

  /** The next pieces, each as it was written. */
  async read(count: number): Promise<string[]> {
    const pieces: string[] = [];
    while (pieces.length < count) {
      const { value, done } = await this.reader.read();
      if (done) break;
      pieces.push(new TextDecoder().decode(value));
    }
    return pieces;
  }

  close(): Promise<void> {
    return this.reader.cancel();
  }
}

const put = (key: string, value: string) => ({
  request: { case: 'requestPut' as const, value: { key: bytes(key), value: bytes(value) } },
});

describe('GET /v1/watch as server-sent events', () => {
  it('tells where it begins, then each revision as one message with its id', async () => {
    const group = new Group();
    const response = await get(group, '/v1/watch?prefix=a', sse);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = new Reader(response);
    expect(await reader.read(2)).toEqual([
      'retry: 2000\n\n',
      'id: 1\nevent: progress\ndata: {"revision":1}\n\n',
    ]);
    group.at.apply(txn({ success: [put('a', '1'), put('ab', '2'), put('b', '3')] }));
    const [change] = await reader.read(1);
    expect(change).toMatch(/^id: 2\nevent: change\ndata: /);
    expect(JSON.parse(change?.split('data: ')[1] ?? '')).toMatchObject({
      revision: 2,
      events: [
        { type: 'put', key: 'a', value: '1', version: 1, mod_revision: 2 },
        { type: 'put', key: 'ab', value: '2' },
      ],
    });
    await reader.close();
  });

  it('goes on after Last-Event-ID, whatever the URL began with', async () => {
    const group = new Group();
    for (let n = 0; n < 4; n += 1) group.at.apply(set('a', String(n)));
    const response = await get(group, '/v1/watch?key=a&from=2', { ...sse, 'last-event-id': '3' });
    const reader = new Reader(response);
    const pieces = await reader.read(3);
    expect(pieces.map((piece) => piece.split('\n')[0])).toEqual(['retry: 2000', 'id: 4', 'id: 5']);
    await reader.close();
  });

  it('is 410 when what it asks for is compacted, with the revision that is left', async () => {
    const group = new Group();
    for (let n = 0; n < 4; n += 1) group.at.apply(set('a'));
    group.at.apply(compact(4));
    const response = await get(group, '/v1/watch?key=a&from=2', sse);
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ code: 'compacted', compact_revision: 4 });
    const reader = new Reader(await get(group, '/v1/watch?key=a&from=4', sse));
    await reader.close();
  });

  it('says `overflow` with the last revision that was sent to who does not read, and ends', async () => {
    const group = new Group();
    const reader = new Reader(await get(group, '/v1/watch?key=a', sse));
    await reader.read(2);
    for (let n = 0; n < 60; n += 1) {
      group.at.apply(set('a', 'x'.repeat(200_000)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const pieces: string[] = [];
    for (let next = await reader.read(1); next[0]; next = await reader.read(1))
      pieces.push(next[0]);
    const last = pieces.at(-2)?.split('\n')[0]?.slice(4);
    expect(pieces.at(-1)).toBe(`event: overflow\ndata: {"revision":${last}}\n\n`);
    expect(pieces.length).toBeLessThan(40);
  });

  it('says something every 15 s, which finds out who has gone', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const group = new Group();
    const reader = new Reader(await get(group, '/v1/watch?key=a', sse));
    await reader.read(2);
    await new Promise((resolve) => setImmediate(resolve));
    vi.advanceTimersByTime(15_000);
    expect(await reader.read(1)).toEqual([': ping\n\n']);
    await reader.close();
  });
});

describe('GET /v1/watch as lines', () => {
  it('is a line of JSON for each revision, with what was before where that is asked', async () => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    const response = await get(group, '/v1/watch?key=a&prev=1&from=2');
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const reader = new Reader(response);
    group.at.apply(del({ key: bytes('a') }));
    const lines = (await reader.read(2)).map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { event: 'change', revision: 2, events: [{ type: 'put', value: '1' }] },
      { event: 'change', revision: 3, events: [{ type: 'delete', previous: { value: '1' } }] },
    ]);
    await reader.close();
  });

  it('tells puts or deletes only where that is asked', async () => {
    const group = new Group();
    const reader = new Reader(await get(group, '/v1/watch?start=a&end=c&only=delete'));
    await reader.read(1);
    group.at.apply(set('b'));
    group.at.apply(del({ key: bytes('b') }));
    expect(JSON.parse((await reader.read(1))[0] ?? '')).toMatchObject({ revision: 3 });
    await reader.close();
  });
});

describe('a watch that is not understood', () => {
  it.each([
    '',
    'key=',
    'key=a&prefix=b',
    'key=a&key64=YQ',
    'key64=*',
    'start=b&end=a',
    'start=a&end=',
    'key=a&from=0',
    'key=a&from=-1',
    'key=a&from=x',
    'key=a&from=99999999999999999',
    'key=a&only=both',
    'key=a&prev=perhaps',
    'key=a&key=b',
    'key=a&limit=3',
    'key=%',
  ])('is 400: %j', async (query) => {
    const response = await get(new Group(), `/v1/watch?${query}`);
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  });

  it.each(['x', '-1', '1.5', '99999999999999999'])(
    'has %j for a Last-Event-ID: 400',
    async (id) => {
      const response = await get(new Group(), '/v1/watch?key=a', { 'last-event-id': id });
      expect(response.status).toBe(400);
    },
  );

  it('is 405 by another method', async () => {
    const request = new Request('http://quorate/v1/watch?key=a', { method: 'POST', body: '{}' });
    expect((await app.fetch(request, new Group().env)).status).toBe(405);
  });
});

describe('a GET that would wait', () => {
  const waiting = (group: Group, wait = '30') =>
    get(group, '/v1/kv/a', { 'if-none-match': '"2"', prefer: `respond-async, wait=${wait}` });

  it('is answered with the new value when there is one', async () => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    const answer = waiting(group);
    while (group.at.hub.sizes.watches === 0) await new Promise((resolve) => setImmediate(resolve));
    group.at.apply(set('b', 'x'));
    group.at.apply(set('a', '2'));
    const response = await answer;
    expect([response.status, await response.text()]).toEqual([200, '2']);
    expect(response.headers.get('etag')).toBe('"4"');
    expect(response.headers.get('preference-applied')).toBe('wait=30');
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(group.at.hub.sizes.sockets).toBe(0);
  });

  it('misses no change between the read and the watch', async () => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    const answer = waiting(group);
    // The read is answered by now, the watch is yet to come.
    await Promise.resolve();
    group.at.apply(set('a', '2'));
    expect((await answer).status).toBe(200);
  });

  it('is 304 when the time is over', async () => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    const response = await waiting(group, '1');
    expect(response.status).toBe(304);
    expect(response.headers.get('preference-applied')).toBe('wait=1');
  });

  it('is answered at once when the copy is old, and 404 when the key is gone', async () => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    group.at.apply(set('a', '2'));
    expect((await waiting(group)).status).toBe(200);
    group.at.apply(del({ key: bytes('a') }));
    expect((await waiting(group)).status).toBe(404);
  });

  it.each(['0', '-1', 'x', ''])('does not wait for %j', async (wait) => {
    const group = new Group();
    group.at.apply(set('a', '1'));
    const response = await waiting(group, wait);
    expect([response.status, response.headers.get('preference-applied')]).toEqual([304, null]);
  });
});
