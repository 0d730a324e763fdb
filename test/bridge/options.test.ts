/** What the bridge makes of its command line. */
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { BadOptions, readOptions } from '../../src/bridge/options.ts';

const pathOf = (name: string) => new URL(`../support/certs/${name}`, import.meta.url).pathname;
const pair = ['--cert', pathOf('server.pem'), '--key', pathOf('server.key')];

function options(...args: string[]) {
  const read = readOptions(args, {} as NodeJS.ProcessEnv);
  if (read === 'help') throw new Error('no options');
  return read;
}

describe('--target', () => {
  it.each([
    ['http://127.0.0.1:2379', 'http://127.0.0.1:2379'],
    ['https://kv.example/', 'https://kv.example'],
    ['http://[::1]:2379', 'http://[::1]:2379'],
  ])('%s is a service', (text, url) => {
    expect(options('--target', text).target.url).toBe(url);
  });

  it.each([
    'http://127.0.0.1:2379/t/tenant',
    'http://127.0.0.1:2379//',
    'http://127.0.0.1:2379/?a=b',
    'http://user:password@127.0.0.1:2379',
    'ftp://127.0.0.1',
    '127.0.0.1:2379',
    '',
  ])('"%s" is none', (text) => {
    expect(() => options('--target', text)).toThrow('is no URL of a service');
  });
});

it('a wrong number, length of time or address is said', () => {
  for (const [option, text] of [
    ['--max-connections', '0'],
    ['--max-connections', 'many'],
    ['--grpc-keepalive-interval', '2'],
    ['--grpc-keepalive-interval', '0s'],
    ['--grpc-keepalive-timeout', '1000h'],
    ['--grpc-keepalive-min-time', '-1s'],
    ['--listen', '2389'],
  ] as const)
    expect(() => options(`${option}=${text}`)).toThrow(`${option} ${text} is no`);
});

it('pings and their answers are as with etcd', () => {
  expect(options().keepAlive).toEqual({
    intervalMs: 7_200_000,
    timeoutMs: 20_000,
    minTimeMs: 5_000,
  });
});

describe('certificates', () => {
  it('are taken with their key', () => {
    const { tls } = options(...pair, '--trusted-ca', pathOf('authority.pem'), '--client-cert-auth');
    expect(tls?.key).toEqual(readFileSync(pathOf('server.key')));
    expect(tls?.clientCertAuth).toBe(true);
  });

  it.each([
    ['one without its key', pair.slice(0, 2), '--cert and --key go together'],
    ['those of clients without TLS', ['--client-cert-auth'], 'go with --cert and --key'],
    ['those of clients that nobody signs', [...pair, '--client-cert-auth'], 'needs --trusted-ca'],
    ['a file that is not there', ['--cert', '/nowhere', '--key', '/nowhere'], 'ENOENT'],
    [
      'a key of another certificate',
      ['--cert', pathOf('server.pem'), '--key', pathOf('alice.key')],
      /--key .*alice.key is not the key of --cert .*server.pem/,
    ],
    [
      'a certificate that is none',
      ['--cert', pathOf('make.sh'), '--key', pathOf('server.key')],
      /--cert .*make.sh has no certificate in PEM/,
    ],
    [
      'a key that is none',
      ['--cert', pathOf('server.pem'), '--key', pathOf('server.pem')],
      /--key .*server.pem has no private key in PEM/,
    ],
    [
      'an authority that is none',
      [...pair, '--trusted-ca', pathOf('make.sh'), '--client-cert-auth'],
      /--trusted-ca .*make.sh has no certificate in PEM/,
    ],
  ])('%s is said', (_, args, why) => {
    expect(() => options(...args)).toThrow(BadOptions);
    expect(() => options(...args)).toThrow(why);
  });

  it('that are valid no more are said, and taken', () => {
    const said = vi.spyOn(console, 'error').mockReturnValue();
    options('--cert', pathOf('expired.pem'), '--key', pathOf('expired.key'));
    expect(said.mock.calls.join()).toMatch(/expired.pem is valid from .* to /);
    said.mockRestore();
  });
});
