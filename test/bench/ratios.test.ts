/** The ratios of `npm run bench`. */
import { describe, expect, it } from 'vitest';
import type { ContenderName } from '../../bench/contender.ts';
import { ratiosOf } from '../../bench/ratios.ts';

const speeds: Partial<Record<ContenderName, number>> = {
  quorate: 600,
  plain: 800,
  etcd: 2_400,
  bridge: 300,
  'etcd-grpc': 6_000,
  canned: 9_000,
};
const speedOf = (name: ContenderName) => speeds[name] ?? null;

describe('a ratio', () => {
  it('of the bridge is to the gRPC of etcd, and to the JSON of the service behind it', () => {
    expect(ratiosOf('bridge', speedOf)).toEqual({
      ratioToPlain: null,
      ratioToEtcd: null,
      ratioToEtcdGrpc: 0.05,
      ratioToOwnJson: 0.5,
    });
    expect(ratiosOf('etcd-grpc', speedOf)).toMatchObject({ ratioToOwnJson: 2.5 });
  });

  it('of what speaks JSON is to what speaks JSON', () => {
    expect(ratiosOf('quorate', speedOf)).toEqual({
      ratioToPlain: 0.75,
      ratioToEtcd: 0.25,
      ratioToEtcdGrpc: null,
      ratioToOwnJson: null,
    });
  });

  it('to what was not measured, or answered nothing, is none', () => {
    const alone = (name: ContenderName) => (name === 'bridge' ? 300 : null);
    expect(ratiosOf('bridge', alone)).toMatchObject({
      ratioToEtcdGrpc: null,
      ratioToOwnJson: null,
    });
    const silent = (name: ContenderName) => (name === 'bridge' ? 300 : 0);
    expect(ratiosOf('bridge', silent)).toMatchObject({ ratioToEtcdGrpc: null });
  });
});
