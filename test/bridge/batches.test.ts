/** Which unary calls of the bridge share a request to the service, and that nobody waits long for company. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { GrpcCode } from '../../src/api/errors.ts';
import {
  type BatchAnswer,
  BatchAnswerSchema,
  BatchAnswersSchema,
  BatchRequestSchema,
} from '../../src/api/gen/batch_pb.js';
import { PutRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { Batches } from '../../src/bridge/batches.ts';
import { CallFailed, outcomeUnknown } from '../../src/bridge/status.ts';
import type { Asking, Upstream } from '../../src/bridge/upstream.ts';

const request = toBinary(PutRequestSchema, create(PutRequestSchema, { key: new Uint8Array([97]) }));

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Request {
  readonly calls: readonly string[];
  readonly timeouts: readonly number[];
  readonly asking: Asking;
  /** Ends the answer; without an error: as it should end. */
  readonly end: (error?: Error) => void;
  readonly answer: (...answers: [call: number, BatchAnswer['outcome']][]) => void;
}

const ok: BatchAnswer['outcome'] = { case: 'response', value: new Uint8Array([1]) };
const no: BatchAnswer['outcome'] = {
  case: 'error',
  value: '{"error":"etcdserver: no","code":5,"message":"etcdserver: no"}',
};

/** A service that answers when it is told to: calls that came alone, and requests of several. */
function service() {
  const alone: string[] = [];
  const requests: Request[] = [];
  const upstream = {
    call: async (rpc: string) => {
      alone.push(rpc);
      return new Uint8Array([2]);
    },
    async *stream(_: string, body: Uint8Array, asking: Asking) {
      const { calls } = fromBinary(BatchRequestSchema, body);
      const pieces: (Uint8Array | Error | null)[] = [];
      let wake = () => {};
      const add = (piece: Uint8Array | Error | null) => {
        pieces.push(piece);
        wake();
      };
      requests.push({
        calls: calls.map(({ rpc }) => rpc),
        timeouts: calls.map(({ timeoutMs }) => timeoutMs),
        asking,
        end: (error) => add(error ?? null),
        answer: (...answers) => {
          const all = answers.map(([call, outcome]) =>
            create(BatchAnswerSchema, { call, outcome }),
          );
          add(toBinary(BatchAnswersSchema, create(BatchAnswersSchema, { answers: all })));
        },
      });
      for (;;) {
        while (pieces.length === 0)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        const piece = pieces.shift();
        if (piece instanceof Error) throw piece;
        if (!piece) return;
        yield piece;
      }
    },
  };
  const batches = new Batches(upstream as unknown as Upstream);
  const ask = (more: Partial<Asking> = {}, rpc = 'kv/put', body = request) => {
    const outcome = { said: undefined as string | undefined };
    batches.call(rpc, body, asking(more)).then(
      (response) => {
        outcome.said = `${response[0]}`;
      },
      (error: CallFailed) => {
        outcome.said = `${error.code} ${error.message}`;
      },
    );
    return outcome;
  };
  return { ask, alone, requests };
}

const asking = (more: Partial<Asking>): Asking => ({
  userToken: '',
  certifiedUser: '',
  dialled: null,
  clientAddress: '',
  requiresLeader: false,
  deadline: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
  ...more,
});

const soon = () => vi.advanceTimersByTimeAsync(1);

describe('calls', () => {
  test('that come alone go alone, at once', async () => {
    const { ask, alone, requests } = service();
    const one = ask();
    await soon();
    expect([one.said, alone, requests.length]).toEqual(['2', ['kv/put'], 0]);
  });

  test('that come together go together, and each gets its own answer', async () => {
    const { ask, alone, requests } = service();
    const told = [ask(), ask(), ask({}, 'kv/range')];
    await soon();
    expect([alone, requests[0]?.calls]).toEqual([[], ['kv/put', 'kv/put', 'kv/range']]);
    requests[0]?.answer([2, ok]);
    await soon();
    expect(told.map(({ said }) => said)).toEqual([undefined, undefined, '1']);
    requests[0]?.answer([1, no], [0, ok]);
    await soon();
    expect(told.map(({ said }) => said)).toEqual(['1', '5 etcdserver: no', '1']);
  });

  test('that may have large answers, or are large, have no company', async () => {
    const { ask, alone, requests } = service();
    for (const _ of [1, 2]) {
      ask({}, 'maintenance/status', new Uint8Array());
      ask({}, 'kv/put', new Uint8Array(65_537));
    }
    await soon();
    expect([alone.length, requests.length]).toEqual([4, 0]);
  });

  test('of other users, or that want a leader, are other requests', async () => {
    const { ask, requests } = service();
    const kinds = [{}, { userToken: 'a.1' }, { certifiedUser: 'eve' }, { requiresLeader: true }];
    for (const kind of [...kinds, ...kinds]) ask(kind);
    await soon();
    const asked = requests.map(
      ({ calls, asking: { userToken, certifiedUser, requiresLeader } }) => [
        calls.length,
        { userToken, certifiedUser, requiresLeader },
      ],
    );
    const nobody = { userToken: '', certifiedUser: '', requiresLeader: false };
    expect(asked).toEqual(kinds.map((kind) => [2, { ...nobody, ...kind }]));
  });

  test('tell what is left of their deadlines', async () => {
    const { ask, requests } = service();
    ask({ deadline: Date.now() + 700 });
    ask();
    const late = ask({ deadline: Date.now() });
    await soon();
    expect(requests[0]?.timeouts).toEqual([700, 0]);
    expect(late.said).toBe('4 context deadline exceeded');
  });
});

describe('while four requests are under way', () => {
  const busy = async () => {
    const all = service();
    for (let n = 0; n < 4; n++) {
      all.ask();
      all.ask();
      await soon();
    }
    return all;
  };

  test('others wait, and go together when one of them ends', async () => {
    const { ask, requests } = await busy();
    for (let n = 0; n < 5; n++) ask();
    await soon();
    expect(requests.length).toBe(4);
    requests[2]?.answer([0, ok], [1, ok]);
    requests[2]?.end();
    await soon();
    expect(requests[4]?.calls.length).toBe(5);
  });

  test('nobody waits longer than twenty milliseconds for one that does not end', async () => {
    const { ask, requests } = await busy();
    for (let n = 0; n < 5; n++) ask();
    await vi.advanceTimersByTimeAsync(20);
    expect(requests[4]?.calls.length).toBe(5);
  });

  test('whoever is cancelled while it waits is not sent', async () => {
    const { ask, requests } = await busy();
    const gone = new AbortController();
    const told = ask({ signal: gone.signal });
    const late = ask({ signal: gone.signal, deadline: Date.now() + 5 });
    ask();
    ask();
    await vi.advanceTimersByTimeAsync(6);
    gone.abort();
    await vi.advanceTimersByTimeAsync(20);
    expect([told.said, late.said]).toEqual(['1 context canceled', '4 context deadline exceeded']);
    expect(requests[4]?.calls.length).toBe(2);
  });
});

describe('an answer', () => {
  test('that breaks off leaves the outcome of the others unknown', async () => {
    for (const error of [undefined, outcomeUnknown(), new Error('no idea')]) {
      const { ask, requests } = service();
      const told = [ask(), ask()];
      await soon();
      requests[0]?.answer([1, ok]);
      requests[0]?.end(error);
      await soon();
      const unknown = '14 etcdserver: request timed out, possibly due to connection lost';
      expect(told.map(({ said }) => said)).toEqual([unknown, '1']);
    }
  });

  test('of a service that knows no batches is followed by the calls one by one, from then on', async () => {
    const { ask, alone, requests } = service();
    const told = [ask(), ask()];
    await soon();
    requests[0]?.end(new CallFailed(GrpcCode.NotFound, 'Not Found'));
    await soon();
    expect(told.map(({ said }) => said)).toEqual(['2', '2']);
    ask();
    ask();
    await soon();
    expect([alone.length, requests.length]).toEqual([4, 1]);
    await vi.advanceTimersByTimeAsync(300_000);
    ask();
    ask();
    await soon();
    expect(requests.length).toBe(2);
  });

  test('that says so after it has answered one of them is the end of the others', async () => {
    const { ask, alone, requests } = service();
    const told = [ask(), ask()];
    await soon();
    requests[0]?.answer([0, ok]);
    requests[0]?.end(new CallFailed(GrpcCode.NotFound, 'Not Found'));
    await soon();
    expect([told.map(({ said }) => said), alone]).toEqual([['1', '5 Not Found'], []]);
  });

  test('that refuses them all is the answer to each', async () => {
    const { ask, requests } = service();
    const told = [ask(), ask()];
    await soon();
    requests[0]?.end(new CallFailed(GrpcCode.Unauthenticated, 'etcdserver: invalid auth token'));
    await soon();
    const refusal = '16 etcdserver: invalid auth token';
    expect(told.map(({ said }) => said)).toEqual([refusal, refusal]);
  });
});
