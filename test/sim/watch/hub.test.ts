/** Whom a member tells of what (src/node-do/watch-hub.ts): the rules one by one. */
import { describe, expect, it } from 'vitest';
import { bytes, compact, del, Machine, set, txn } from '../../kv/support.ts';
import { type FakeSocket, HubOn, heard } from './hub-client.ts';

const put = (key: string, value: string) => ({
  request: { case: 'requestPut' as const, value: { key: bytes(key), value: bytes(value) } },
});
const large = (letter: string) => letter.repeat(200_000);

function start(): HubOn {
  const at = new HubOn(new Machine());
  at.apply(set('a', '1'));
  at.apply(set('b', '2'));
  return at;
}

/** A watch whose creation has been read away. */
function watching(at: HubOn, key: string, more: Parameters<HubOn['watch']>[3] = {}): FakeSocket {
  const socket = at.open();
  at.watch(socket, 0, key, more);
  socket.take();
  return socket;
}

describe('a watch from now on', () => {
  it('is told of its key, with the revision after its creation first', () => {
    const at = start();
    const socket = at.open();
    at.watch(socket, 5, 'a');
    at.apply(set('a', '3'), set('b', '4'), set('a', '5'));
    expect(heard(socket)).toEqual(['hello', 'created 5 at 3', 'live 5: +a=3@4 +a=5@6']);
  });

  it.each([
    ['a', '', '+a=x@4'],
    ['a', 'c', '+a=x@4 +b=x@4'],
    ['b', '\0', '+b=x@4 +c=x@4'],
    ['', '\0', '+a=x@4 +b=x@4 +c=x@4'],
    ['b', 'c', '+b=x@4'],
  ])('covers what etcd means by %j to %j, one message for one transaction', (key, end, events) => {
    const at = start();
    const socket = watching(at, key, { end });
    at.apply(txn({ success: [put('a', 'x'), put('b', 'x'), put('c', 'x')] }));
    expect(heard(socket)).toEqual([`live 0: ${events}`]);
  });

  it.each([
    ['in one entry of 5,000 changes', 5_000, ''],
    ['in one entry of 1,000 kB', 5, large('x')],
  ])('is told of a whole revision, however many pages it has: %s', (_, count, value) => {
    const at = start();
    const socket = watching(at, 'k', { end: 'l' });
    const keys = Array.from({ length: count }, (__, n) => `k${n}`);
    const success = keys.map((key) => put(key, value));
    if (value === '') for (const key of keys) at.machine.apply(set(key));
    at.hub.advance();
    socket.take();
    at.apply(value === '' ? del({ key: bytes('k'), rangeEnd: bytes('l') }) : txn({ success }));
    const [told = '', ...more] = heard(socket);
    expect([told.split(' ').length - 2, more]).toEqual([count, []]);
  });

  it('with a filter hears nothing at all of what the filter takes out', () => {
    const at = start();
    const puts = watching(at, 'a', { noDelete: true });
    const deletes = watching(at, 'a', { noPut: true, prevKv: true });
    at.apply(set('a', '3'));
    at.apply(del({ key: bytes('a') }));
    expect(heard(puts)).toEqual(['live 0: +a=3@4']);
    expect(heard(deletes)).toEqual(['live 0: -a@5 was 3']);
  });

  it('gets the same bytes as everybody who watches alike', () => {
    const at = start();
    const sockets = [1, 2, 3].map(() => watching(at, 'a'));
    at.apply(set('a', '3'));
    expect(new Set(sockets.map(({ raw }) => raw[0])).size).toBe(1);
  });

  it('hears nothing after it was canceled, and the cancel is answered', () => {
    const at = start();
    const socket = watching(at, 'a');
    at.ask(socket, { case: 'cancel', value: 0 });
    at.apply(set('a', '3'));
    at.ask(socket, { case: 'cancel', value: 9 });
    expect(heard(socket)).toEqual([
      'canceled 0, compacted undefined',
      'canceled 9, compacted undefined',
    ]);
    expect(at.hub.sizes).toEqual({ sockets: 1, watches: 0 });
  });
});

describe('a watch from a revision', () => {
  it('in the past is told of the history and then of what happens, each once', () => {
    const at = start();
    const socket = watching(at, 'a', { from: 1n, end: 'c' });
    const late = at.open();
    at.watch(late, 0, 'a', { from: 3n, end: 'c' });
    at.apply(set('a', '3'));
    expect(heard(late)).toEqual([
      'hello',
      'created 0 at 3',
      'page 0 to 3: +b=2@3',
      'live 0: +a=3@4',
    ]);
    expect(heard(socket)).toEqual(['live 0: +a=3@4']);
  });

  it('yet to come waits for it, and answers no progress before', () => {
    const at = start();
    const socket = watching(at, 'a', { from: 6n });
    at.ask(socket, { case: 'progress', value: true });
    at.apply(set('a', '3'));
    at.apply(set('a', '4'));
    expect(heard(socket)).toEqual(['progress 5']);
    at.apply(set('a', '5'));
    expect(heard(socket)).toEqual(['live 0: +a=5@6']);
  });

  it('that is compacted is created, and then canceled with the revision that is left', () => {
    const at = start();
    for (let n = 0; n < 5; n += 1) at.apply(set('a', String(n)));
    at.apply(compact(5));
    const socket = at.open();
    at.watch(socket, 0, 'a', { from: 4n });
    at.watch(socket, 1, 'a', { from: 5n });
    expect(heard(socket)).toEqual([
      'hello',
      'created 0 at 8',
      'canceled 0, compacted 5',
      'created 1 at 8',
      'page 1 to 8: +a=1@5 +a=2@6 +a=3@7 +a=4@8',
    ]);
  });

  it('reads a page, waits until it was taken, and is synchronised when it has reached now', async () => {
    const at = start();
    for (const letter of 'cdef') at.apply(set('a', large(letter)));
    const socket = at.open();
    at.watch(socket, 0, 'a', { from: 1n });
    await at.settle();
    const first = socket.take().at(-1)?.tell;
    expect(first?.case === 'events' && first.value).toMatchObject({ more: true, through: 5n });
    at.apply(set('a', 'last'));
    await at.settle();
    expect(socket.raw).toEqual([]);
    at.ask(socket, { case: 'more', value: 0 });
    await at.settle();
    at.apply(set('a', 'now'));
    const tells = socket.take().map(({ tell }) => tell.case === 'events' && tell.value);
    expect(tells.map((one) => one && [one.live, one.more, one.through, one.events.length])).toEqual(
      [[false, true, 7n, 2]],
    );
    at.ask(socket, { case: 'more', value: 0 });
    at.apply(set('a', 'then'));
    expect(heard(socket)).toEqual(['page 0 to 9: +a=last@8 +a=now@9', 'live 0: +a=then@10']);
  });

  it('is never told that it has all of a revision of which the next page has more', async () => {
    const at = start();
    const keys = 2_500;
    at.apply(...Array.from({ length: keys }, (_, n) => set(`k${n}`)));
    at.apply(del({ key: bytes('k'), rangeEnd: bytes('l') }));
    const revision = BigInt(at.machine.machine.revision);
    const socket = watching(at, 'nothing');
    at.watch(socket, 1, 'k', { end: 'l', from: revision });
    await at.settle();
    const pages = socket.take().flatMap(({ tell }) => (tell.case === 'events' ? [tell.value] : []));
    expect(pages.map(({ through }) => through - revision)).toEqual([-1n, 0n]);
    expect(pages.reduce((sum, { events }) => sum + events.length, 0)).toBe(keys);
  });

  it('that is overtaken by a compaction while it reads is told so', async () => {
    const at = start();
    for (const letter of 'cdef') at.apply(set('a', large(letter)));
    const socket = watching(at, 'a', { from: 1n });
    await at.settle();
    at.apply(compact(7));
    at.ask(socket, { case: 'more', value: 0 });
    expect(heard(socket)).toEqual(['canceled 0, compacted 7']);
  });
});

describe('progress', () => {
  it('is answered when all watches of the socket are synchronised, not before', async () => {
    const at = start();
    for (const letter of 'cdef') at.apply(set('a', large(letter)));
    const socket = at.open();
    at.watch(socket, 0, 'b');
    at.watch(socket, 1, 'a', { from: 1n });
    at.ask(socket, { case: 'progress', value: true });
    await at.settle();
    expect(heard(socket).filter((line) => line.startsWith('progress'))).toEqual([]);
    at.ask(socket, { case: 'more', value: 1 });
    await at.settle();
    at.ask(socket, { case: 'more', value: 1 });
    await at.settle();
    expect(heard(socket).at(-1)).toBe('progress 7');
  });

  it('is told by itself before a compaction takes what an idle watch would go on from', () => {
    const at = start();
    const socket = watching(at, 'z');
    at.apply(set('a', '3'));
    at.apply(compact(4));
    expect(heard(socket)).toEqual(['notice 4']);
  });
});

describe('an object that hibernates', () => {
  it('goes on with its synchronised watches as if nothing had been', () => {
    const at = start();
    const socket = watching(at, 'a', { end: 'c', prevKv: true });
    at.apply(set('a', '3'));
    socket.take();
    at.hibernate();
    at.apply(set('b', '4'));
    expect(heard(socket)).toEqual(['live 0: +b=4@5 was 2']);
  });

  it('goes on in the history where a watch was, and waits where it waited', async () => {
    const at = start();
    for (const letter of 'cdef') at.apply(set('a', large(letter)));
    const socket = watching(at, 'a', { from: 1n });
    await at.settle();
    socket.take();
    at.hibernate();
    await at.settle();
    expect(socket.raw).toEqual([]);
    at.ask(socket, { case: 'more', value: 0 });
    await at.settle();
    expect(
      socket.take().map(({ tell }) => tell.case === 'events' && tell.value.events.length),
    ).toEqual([2]);
  });

  it('closes a socket with more watches than it could keep', () => {
    const at = start();
    const few = watching(at, 'a');
    const many = at.open();
    for (let slot = 0; slot < 300; slot += 1) at.watch(many, slot, `k${slot}`);
    const long = watching(at, 'x'.repeat(17_000));
    at.hibernate();
    expect([few.closed, many.closed, long.closed]).toEqual([
      null,
      expect.stringContaining('1012'),
      expect.stringContaining('1012'),
    ]);
    expect(at.hub.sizes).toEqual({ sockets: 1, watches: 1 });
  });
});

describe('one socket', () => {
  it.each([
    ['no message of ours', Uint8Array.of(0xff, 0xff)],
    ['an empty message', new Uint8Array()],
    ['text', null],
  ])('that sends %s is closed, and no other is touched', (_, data) => {
    const at = start();
    const good = watching(at, 'a');
    const bad = watching(at, 'a');
    at.hub.hear(bad, data);
    at.apply(set('a', '3'));
    expect([bad.closed, good.closed]).toEqual(['1007 not understood', null]);
    expect(heard(good)).toEqual(['live 0: +a=3@4']);
  });

  it('that names one slot twice is closed', () => {
    const at = start();
    const socket = watching(at, 'a');
    at.watch(socket, 0, 'b');
    expect(socket.closed).toContain('1007');
  });

  it('that was closed by the other end is forgotten, found out by sending at the latest', () => {
    const at = start();
    const [told, silent] = [watching(at, 'a'), watching(at, 'a')];
    at.hub.closed(told);
    silent.closed = 'gone';
    at.apply(set('a', '3'));
    expect(at.hub.sizes).toEqual({ sockets: 0, watches: 0 });
  });

  it('is never sent more than 16 MiB in one turn: it comes back for the rest', () => {
    const at = start();
    const greedy = at.open();
    for (let slot = 0; slot < 100; slot += 1) at.watch(greedy, slot, 'a');
    const modest = watching(at, 'a');
    at.apply(set('a', large('x')));
    expect(greedy.closed).toContain('1012');
    expect(modest.closed).toBeNull();
    expect(modest.raw.length).toBe(1);
  });

  it('does not hold up a turn that makes more than 16 MiB of events: all come back', () => {
    const at = start();
    const socket = watching(at, 'k', { end: '\0', prevKv: true });
    for (let n = 0; n < 100; n += 1) at.apply(set(`k${n}`, large('x')));
    socket.take();
    at.apply(del({ key: bytes('k'), rangeEnd: bytes('\0') }));
    expect(socket.closed).toContain('1012');
    const again = at.open();
    at.watch(again, 0, 'a');
    at.apply(set('a', '3'));
    expect(heard(again).at(-1)).toBe('live 0: +a=3@105');
  });

  it('ends when the state is replaced, and when the member is one no more', () => {
    const at = start();
    const first = watching(at, 'a');
    at.hub.resync();
    const second = watching(at, 'a');
    at.hub.end();
    expect([first.closed, second.closed]).toEqual([
      '1012 the state was replaced',
      '1012 no member of the group any more',
    ]);
  });
});
