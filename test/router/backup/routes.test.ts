/** What the router makes of what members say about snapshots: retries, ends, and the answers of /v1. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  BackupOpenedSchema,
  BackupPartSchema,
  RestoreReply_Outcome as Outcome,
  RestoreReplySchema,
  type RestoreRequest,
  RestoreRequestSchema,
} from '../../../src/api/gen/backup_pb.js';
import { createRouter } from '../../../src/router/app.ts';
import { framesOf, SnapshotWriter } from '../../../src/router/backup/format.ts';
import { forgetAll } from '../../../src/router/members/hints.ts';
import {
  type Fake,
  failure,
  fakeMembers,
  lost,
  respondWith,
  type Sent,
  success,
} from '../support/members.ts';

const app = createRouter();
const chunks = ['header', 'versions', 'records'].map((text) => new TextEncoder().encode(text));

beforeEach(() => {
  forgetAll();
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

/** Runs out the pauses between attempts. */
async function settled<T>(work: T | Promise<T>): Promise<T> {
  const done = Promise.resolve(work);
  let isOver = false;
  done.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  for (let n = 0; n < 500 && !isOver; n += 1) await vi.advanceTimersByTimeAsync(500);
  return done;
}

describe('a snapshot that the router reads', () => {
  /** A member with these chunks; `fault` may throw in place of an answer. */
  function holder(fault: (sent: Sent) => void, parts = chunks): Fake {
    return fakeMembers((sent) => {
      const { op } = sent.request;
      if (op.case === 'backupOpen') {
        const opened = create(BackupOpenedSchema, { id: 'one', place: 2, revision: 7n });
        return respondWith(toBinary(BackupOpenedSchema, opened));
      }
      fault(sent);
      if (op.case !== 'backupRead') return respondWith(new Uint8Array());
      const at = Number(op.value.cursor || '0');
      const part = create(BackupPartSchema, { open: true, chunk: parts[at] ?? new Uint8Array() });
      if (at + 1 < parts.length) part.next = String(at + 1);
      return respondWith(toBinary(BackupPartSchema, part), sent.place);
    });
  }

  const take = (fake: Fake) => app.request('/v1/snapshot', {}, fake.env);

  async function bytesOf(response: Response): Promise<Uint8Array> {
    return new Uint8Array(await settled(response.arrayBuffer()));
  }

  async function framesIn(file: Uint8Array): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const pieces = (async function* () {
      yield file;
    })();
    for await (const frame of framesOf(pieces)) frames.push(frame);
    return frames;
  }

  const ops = ({ sent }: Fake) => sent.map(({ place, request }) => `${place} ${request.op.case}`);

  it('comes from the member where it is open, and is closed there', async () => {
    const fake = holder(() => {});
    const response = await take(fake);
    expect(response.headers.get('kv-revision')).toBe('7');
    expect(await framesIn(await bytesOf(response))).toEqual(chunks);
    const reads = chunks.map(() => '2 backupRead');
    expect(ops(fake)).toEqual(['1 backupOpen', ...reads, '2 backupClose']);
  });

  it('has no frame for a chunk that is empty', async () => {
    const [first, second] = chunks as [Uint8Array, Uint8Array];
    const fake = holder(() => {}, [first, new Uint8Array(), second, new Uint8Array()]);
    expect(await framesIn(await bytesOf(await take(fake)))).toEqual([first, second]);
  });

  it('has a chunk asked for again whose answer is lost', async () => {
    let losses = 6;
    const fake = holder(({ request }) => {
      if (request.op.case === 'backupRead' && losses % 2 === 0) {
        losses -= 1;
        lost();
      }
      losses -= 1;
    });
    expect(await framesIn(await bytesOf(await take(fake)))).toEqual(chunks);
  });

  it.each([
    ['the member answers no more', 'silent'],
    ['the member belongs to no group any more', 'moved'],
    ['the member has given it up', 'closed'],
  ] as const)('breaks off when %s, and is closed', async (_, how) => {
    let reads = 0;
    const fake = fakeMembers((sent) => {
      const { op } = sent.request;
      if (op.case === 'backupOpen')
        return respondWith(
          toBinary(BackupOpenedSchema, create(BackupOpenedSchema, { id: 'one', place: 2 })),
        );
      if (op.case !== 'backupRead') return respondWith(new Uint8Array());
      reads += 1;
      if (reads > 1 && how === 'moved') return failure('NotCapable');
      if (reads > 1 && how === 'silent') return lost();
      const open = reads === 1;
      const part = create(BackupPartSchema, { open, next: '1', ...(open && { chunk: chunks[0] }) });
      return respondWith(toBinary(BackupPartSchema, part));
    });
    const response = await take(fake);
    await expect(settled(response.arrayBuffer())).rejects.toThrow();
    expect(reads).toBeLessThanOrEqual(5);
    expect(ops(fake).at(-1)).toBe('2 backupClose');
  });

  it('is not begun where no more may be open', async () => {
    const response = await take(fakeMembers(() => failure('TooManyRequests')));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: 'overloaded', retryable: true });
  });
});

describe('a snapshot that the router restores', () => {
  type Step = RestoreRequest['step'];

  /** `answer` says what place 1 answers to each step; the members do what `script` says. */
  function place1(answer: (step: Step) => Outcome, script = success) {
    const steps: string[] = [];
    const ids = new Set<string>();
    const fake = fakeMembers(script, { MEMBERS: '3' });
    fake.other = (name, url, body) => {
      expect([name, url]).toEqual(['default/1', 'http://member/restore']);
      const { id, step } = fromBinary(RestoreRequestSchema, body);
      ids.add(id);
      steps.push(step.case === 'chunk' ? `chunk ${step.value.number}` : (step.case ?? ''));
      const reply = create(RestoreReplySchema, { outcome: answer(step), revision: 9n });
      return new Response(toBinary(RestoreReplySchema, reply) as Uint8Array<ArrayBuffer>);
    };
    return { fake, steps, ids };
  }

  function file(): Uint8Array<ArrayBuffer> {
    const writer = new SnapshotWriter();
    const parts = [writer.begin(), ...chunks.map((one) => writer.frame(one)), writer.end()];
    return new Uint8Array(Buffer.concat([...parts, writer.checksum()]));
  }

  async function restore(fake: Fake, body: Uint8Array<ArrayBuffer> = file()) {
    const init = { method: 'POST', body };
    const response = await settled(app.request('/v1/restore', init, fake.env));
    return { status: response.status, ...((await response.json()) as object) };
  }

  const done = () => Outcome.DONE;

  it('goes to place 1 step by step under one id, and then its members come', async () => {
    const { fake, steps, ids } = place1(done);
    expect(await restore(fake)).toEqual({
      ...{ status: 201, group: [...ids][0], revision: 9, voters: [1, 2, 3] },
    });
    expect(steps).toEqual(['begin', 'chunk 0', 'chunk 1', 'chunk 2', 'commit']);
    const change = fake.sent.at(-1)?.request;
    expect(change?.op.value).toMatchObject({ voters: [1, 2, 3], stepwise: true });
    expect(change?.operator).toBe(true);
  });

  it('is never committed when it is not whole, and is forgotten there', async () => {
    const whole = file();
    const changed = file();
    changed[30] = (changed[30] ?? 0) ^ 1;
    for (const body of [whole.slice(0, -1), whole.slice(0, 40), changed]) {
      const { fake, steps } = place1(done);
      expect(await restore(fake, body)).toMatchObject({ status: 400, code: 'bad-snapshot' });
      expect(steps).not.toContain('commit');
      expect(steps.at(-1)).toBe('abandon');
      expect(fake.sent).toEqual([]);
    }
  });

  it('is read to its end though it is refused at once: its client would not see the answer', async () => {
    const { fake, steps } = place1(() => Outcome.BORN);
    let left = 50;
    const body = new ReadableStream({
      pull(controller) {
        left -= 1;
        if (left === 0) controller.close();
        else controller.enqueue(new Uint8Array(100_000));
      },
    });
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const response = await settled(app.request('/v1/restore', init, fake.env));
    expect(response.status).toBe(409);
    expect(left).toBe(0);
    expect(steps).toEqual(['begin']);
  });

  it('is not waited for by whoever has refused it, when it does not end', async () => {
    const { fake } = place1(() => Outcome.BORN);
    const init = { method: 'POST', body: new ReadableStream(), duplex: 'half' } as RequestInit;
    const response = await settled(app.request('/v1/restore', init, fake.env));
    expect(response.status).toBe(409);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is given up when nothing of it comes any more', async () => {
    const { fake, steps } = place1(done);
    const init = { method: 'POST', body: new ReadableStream(), duplex: 'half' } as RequestInit;
    const response = await settled(app.request('/v1/restore', init, fake.env));
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({
      code: 'request-timeout',
      outcome: 'not-applied',
    });
    expect(steps).toEqual(['begin', 'abandon']);
  });

  it('has a step sent again whose answer is lost', async () => {
    let count = 0;
    const { fake, steps } = place1(() => {
      count += 1;
      return count % 2 === 1 ? lost() : Outcome.DONE;
    });
    expect(await restore(fake)).toMatchObject({ status: 201 });
    expect(new Set(steps).size).toBe(5);
    expect(steps.length).toBe(10);
  });

  it.each([
    ['begin', Outcome.BORN, 409, 'tenant-exists'],
    ['begin', Outcome.UNREACHABLE, 503, 'not-ready'],
    ['chunk', Outcome.FORGOTTEN, 412, 'precondition-failed'],
    ['chunk', Outcome.BORN, 409, 'tenant-exists'],
    ['chunk', Outcome.UNREADABLE, 400, 'bad-snapshot'],
    ['commit', Outcome.BORN, 409, 'tenant-exists'],
    ['commit', Outcome.UNREACHABLE, 503, 'not-ready'],
    ['begin', Outcome.UNKNOWN, 500, 'internal-error'],
  ] as const)('ends when place 1 says to %s: %i', async (at, outcome, status, code) => {
    const { fake, steps } = place1((step) => (step.case === at ? outcome : Outcome.DONE));
    expect(await restore(fake)).toMatchObject({ status, code, outcome: 'not-applied' });
    expect(steps.filter((step) => step === 'commit').length).toBe(at === 'commit' ? 1 : 0);
    expect(fake.sent).toEqual([]);
  });

  it('is said to be unknown when the last step is not answered, and not before', async () => {
    const silentAt = (at: string) => place1((step) => (step.case === at ? lost() : Outcome.DONE));
    expect(await restore(silentAt('chunk').fake)).toMatchObject({
      ...{ status: 503, code: 'not-ready', outcome: 'not-applied' },
    });
    expect(await restore(silentAt('commit').fake)).toMatchObject({
      ...{ status: 504, code: 'commit-timeout', outcome: 'unknown' },
    });
  });

  it('serves with one member when the others do not come, and says so', async () => {
    const { fake } = place1(done, () => failure('MemberUnreachable'));
    const answer = await restore(fake);
    expect(answer).toMatchObject({ status: 202, voters: [1], wanted: [1, 2, 3] });
    expect(fake.sent.length).toBe(15);
  });
});
