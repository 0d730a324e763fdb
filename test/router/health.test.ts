/** What /health and /readyz say under alarms, as etcd 3.5 does. */
import { create, toBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { AlarmResponseSchema, AlarmType } from '../../src/api/gen/maintenance_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { fakeMembers, respondWith } from './support/members.ts';

const app = createRouter();

beforeEach(() => forgetAll());

async function ask(path: string, ...types: AlarmType[]) {
  const alarms = types.map((alarm) => ({ memberID: 1n, alarm }));
  const response = toBinary(AlarmResponseSchema, create(AlarmResponseSchema, { alarms }));
  const fake = fakeMembers(({ place }) => respondWith(response, place));
  const answer = await app.request(path, {}, fake.env);
  return { status: answer.status, text: await answer.text(), asked: fake.sent.length };
}

const { NOSPACE, CORRUPT } = AlarmType;
const well = { status: 200, text: '{"health":"true","reason":""}' };
const alarmed = (name: string) => ({
  status: 503,
  text: `{"health":"false","reason":"ALARM ${name}"}\n`,
});

describe('/health', () => {
  test.each([
    ['/health', [], well],
    ['/health', [NOSPACE], alarmed('NOSPACE')],
    ['/health', [CORRUPT], alarmed('CORRUPT')],
    ['/health', [NOSPACE, CORRUPT], alarmed('NOSPACE')],
    ['/health?serializable=true', [NOSPACE], alarmed('NOSPACE')],
    ['/health?exclude=NOSPACE', [NOSPACE, NOSPACE], well],
    ['/health?exclude=NOSPACE', [NOSPACE, CORRUPT], alarmed('CORRUPT')],
    ['/health?exclude=NOSPACE&exclude=CORRUPT', [NOSPACE, CORRUPT], well],
    ['/health?exclude=', [NOSPACE], alarmed('NOSPACE')],
  ] as const)('%s under %s', async (path, types, expected) => {
    expect(await ask(path, ...types)).toEqual({ ...expected, asked: 1 });
  });
});

describe('/readyz', () => {
  test('is not ready while data are corrupt, and asks no more for telling why', async () => {
    const { status, text, asked } = await ask('/readyz', CORRUPT);
    expect(status).toBe(503);
    expect(text).toContain('[-]data_corruption failed: alarm activated: CORRUPT\n');
    expect(text).toContain('[+]linearizable_read ok\n');
    expect(asked).toBe(2);
  });

  test('is ready without space, and where that check is excluded', async () => {
    expect(await ask('/readyz', NOSPACE)).toMatchObject({ status: 200, text: 'ok\n' });
    const excluded = await ask('/readyz?exclude=data_corruption', CORRUPT);
    expect(excluded.status).toBe(200);
    expect((await ask('/readyz/data_corruption', CORRUPT)).status).toBe(503);
    expect((await ask('/livez', CORRUPT)).status).toBe(200);
  });
});
