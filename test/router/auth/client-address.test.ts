/** Whose attempts at passwords count together, by the headers of a request. */
import { describe, expect, it } from 'vitest';
import { clientAddressOf } from '../../../src/router/auth/client-address.ts';
import type { RouterEnv } from '../../../src/router/env.ts';

const env = { API_TOKEN: 's3cret' } as unknown as RouterEnv;
const open = { OPEN_DEFAULT: 'true' } as unknown as RouterEnv;
const secret = { authorization: 'Bearer s3cret' };
const said = { 'quorate-client-address': '192.0.2.7' };
const cloudflare = { 'cf-connecting-ip': '203.0.113.5' };

function request(headers: Record<string, string>, clientIp?: string): Request {
  const made = new Request('http://quorate/', { headers });
  return clientIp === undefined ? made : Object.assign(made, { cf: { clientIp } });
}

describe('a client is', () => {
  it.each([
    ['who connects', {}, '198.51.100.1:4711', '198.51.100.1'],
    ['who connects over IPv6', {}, '[2001:db8::1]:4711', '[2001:db8::1]'],
    ['who connects, whatever it says', said, '198.51.100.1:4711', '198.51.100.1'],
    [
      'who connects, whatever it says as Cloudflare would',
      cloudflare,
      '198.51.100.1:4711',
      '198.51.100.1',
    ],
    ['whom Cloudflare names', cloudflare, undefined, '203.0.113.5'],
    [
      'whom Cloudflare names, whatever it says',
      { ...said, ...cloudflare },
      undefined,
      '203.0.113.5',
    ],
    ['whom a bridge with the secret names', { ...secret, ...said }, '127.0.0.1:4711', '192.0.2.7'],
    [
      'whom it names, on Cloudflare too',
      { ...secret, ...said, ...cloudflare },
      undefined,
      '192.0.2.7',
    ],
    [
      'the bridge, when it names nobody',
      { ...secret, 'quorate-client-address': '' },
      '127.0.0.1:4711',
      '127.0.0.1',
    ],
    [
      'the bridge, when what it names is no address',
      { ...secret, 'quorate-client-address': 'x'.repeat(65) },
      '127.0.0.1:4711',
      '127.0.0.1',
    ],
    ['nobody that could be told', {}, undefined, ''],
  ] as const)('%s', (_, headers, clientIp, expected) => {
    expect(clientAddressOf(request(headers, clientIp), env)).toBe(expected);
  });

  it('who connects, where there is no secret', () => {
    for (const shown of ['', 'Bearer ', 'Bearer undefined']) {
      const asked = request({ ...said, authorization: shown }, '198.51.100.1:4711');
      expect(clientAddressOf(asked, open)).toBe('198.51.100.1');
    }
  });
});
