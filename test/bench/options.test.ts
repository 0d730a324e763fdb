/** The command line of `npm run bench`. */
import { describe, expect, it } from 'vitest';
import { type Options, parseOptions } from '../../bench/options.ts';

const parsed = (...args: string[]) => parseOptions(args) as Options;

describe('the options of npm run bench', () => {
  it('without any measure JSON and gRPC, but not the load generator alone', () => {
    expect(parsed().only).toEqual(['quorate', 'plain', 'etcd', 'bridge', 'etcd-grpc']);
    expect(parsed().clients).toEqual([1, 16, 64, 256]);
    expect(parsed().grpcConnections).toBeNull();
  });

  it('--no-grpc leaves out what speaks gRPC, named or not', () => {
    expect(parsed('--no-grpc').only).toEqual(['quorate', 'plain', 'etcd']);
    expect(parsed('--no-grpc', '--only', 'bridge,etcd').only).toEqual(['etcd']);
    expect(parsed('--no-grpc').ledger).toBe(true);
  });

  it('--grpc-only keeps what the ratios of gRPC need, and is about throughput only', () => {
    const options = parsed('--grpc-only');
    expect(options.only).toEqual(['quorate', 'bridge', 'etcd-grpc', 'canned']);
    expect(options).toMatchObject({ ledger: false, watchers: [], clients: [1, 16, 64, 256] });
  });

  it('start no bridge for a part that asks nothing by gRPC', () => {
    expect(parsed('--fan-out-only').only).not.toContain('bridge');
    expect(parsed('--ledger-only').only).toEqual(['quorate']);
  });

  it('--only names any contender, and nothing else', () => {
    expect(parsed('--only', 'etcd-grpc,canned').only).toEqual(['etcd-grpc', 'canned']);
    expect(() => parsed('--only', 'grpc')).toThrow('"grpc" is none of');
  });

  it('--grpc-connections is a number above 0', () => {
    expect(parsed('--grpc-connections', '1').grpcConnections).toBe(1);
    expect(() => parsed('--grpc-connections', '0')).toThrow('must be more than 0');
  });
});
