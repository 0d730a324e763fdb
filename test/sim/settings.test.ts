/** What a deployment sets for its members, and what becomes of values that nobody meant. */
import { describe, expect, it, test } from 'vitest';
import { defaultSettings, settingsFault, settingsOf } from '../../src/node-do/settings.ts';

const GiB = 1024 ** 3;

describe('QUOTA_BYTES', () => {
  it.each([
    [undefined, 2 * GiB],
    ['', 2 * GiB],
    ['0', 2 * GiB],
    ['-5', 2 * GiB],
    ['1e9', 2 * GiB],
    ['2GB', 2 * GiB],
    ['1000000', 1_000_000],
    [String(9 * GiB), 4 * GiB],
  ])('%s', (text, expected) => {
    const env = text === undefined ? {} : { QUOTA_BYTES: text };
    expect(settingsOf(env).quotaBytes).toBe(expected);
  });
});

const revision = (revisions: number) => ({ mode: 'revision', revisions });
const periodic = (retentionMs: number) => ({ mode: 'periodic', retentionMs });

describe('automatic compaction', () => {
  it.each([
    ['', '', null],
    ['periodic', '0', null],
    ['', '1', periodic(3_600_000)],
    ['periodic', '24', periodic(86_400_000)],
    ['periodic', '1h30m', periodic(5_400_000)],
    ['periodic', '1.5h', periodic(5_400_000)],
    ['periodic', '90s', periodic(90_000)],
    ['periodic', '1500ms', periodic(1_500)],
    ['periodic', '1ms', null],
    ['periodic', '1 h', null],
    ['periodic', '-1h', null],
    ['periodic', 'soon', null],
    ['revision', '1000', revision(1_000)],
    ['revision', '1h', null],
    ['revision', '0', null],
    ['Revision', '1000', null],
  ])('of mode "%s" with "%s"', (mode, retention, expected) => {
    const env = { AUTO_COMPACTION_MODE: mode, AUTO_COMPACTION_RETENTION: retention };
    expect(settingsOf(env).autoCompaction).toEqual(expected);
    const isMeant = expected !== null || retention === '' || retention === '0';
    expect(settingsFault(env) === null).toBe(isMeant && mode !== 'Revision');
  });
});

test('a service is not started with a quota that nobody meant', () => {
  expect(settingsFault({})).toBe(null);
  expect(settingsFault({ QUOTA_BYTES: '1000' })).toBe(null);
  for (const QUOTA_BYTES of ['0', '2GB', String(5 * GiB), '-1'])
    expect(settingsFault({ QUOTA_BYTES })).not.toBe(null);
  expect(settingsOf({})).toEqual(defaultSettings);
});
