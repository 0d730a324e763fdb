/** etcd's downgrade job, as an announcement that is kept. */
import { describe, expect, test } from 'vitest';
import { DowngradeRequest_DowngradeAction as Action } from '../../src/api/gen/maintenance_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { downgrade } from './maintenance.ts';
import { Machine } from './support.ts';

const announce = (version: string): Uint8Array => downgrade({ action: Action.ENABLE, version });
const cancel = downgrade({ action: Action.CANCEL });

describe('a downgrade', () => {
  test.each([
    ['3.4', null],
    ['3.4.0', null],
    ['3.4.23', null],
    ['3.4.0-rc.1', null],
    ['3.5', 'InvalidDowngradeTargetVersion'],
    ['3.6', 'InvalidDowngradeTargetVersion'],
    ['3.3', 'InvalidDowngradeTargetVersion'],
    ['2.4', 'InvalidDowngradeTargetVersion'],
    ['', 'WrongDowngradeVersionFormat'],
    ['abc', 'WrongDowngradeVersionFormat'],
    ['3', 'WrongDowngradeVersionFormat'],
    ['3.', 'WrongDowngradeVersionFormat'],
    ['v3.4', 'WrongDowngradeVersionFormat'],
    ['3.4.0.0', 'WrongDowngradeVersionFormat'],
    ['3.4\n', 'WrongDowngradeVersionFormat'],
  ])('to "%s"', (version, refusal) => {
    const machine = new Machine();
    expect(machine.machine.downgradeRefusal(version)).toBe(refusal);
    expect(machine.error(announce(version))).toBe(refusal ?? 'ok');
  });

  test('is announced once, and can be taken back', () => {
    const machine = new Machine();
    expect(machine.error(cancel)).toBe('NoInflightDowngrade');
    expect(machine.ok('downgrade', announce('3.4')).version).toBe('3.5.0');
    machine.reopen();
    expect(machine.machine.downgradeRefusal('3.4')).toBe('DowngradeInProcess');
    expect(machine.error(announce('3.4'))).toBe('DowngradeInProcess');
    expect(machine.ok('downgrade', cancel).version).toBe('3.5.0');
    expect(machine.error(cancel)).toBe('NoInflightDowngrade');
    expect(machine.machine.downgradeRefusal('3.4')).toBe(null);
  });

  test('is unknown to older rules', () => {
    const machine = new Machine();
    machine.applyEntry(encodeBatch([announce('3.4')], 3));
    expect(machine.results.at(-1)).toEqual([{ ok: false, error: 'NotCapable' }]);
  });
});
