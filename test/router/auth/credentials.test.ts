/** Who a request is of, by its headers. */
import { describe, expect, it } from 'vitest';
import { credentialsOf, nobody, operator } from '../../../src/router/auth/credentials.ts';
import type { RouterEnv } from '../../../src/router/env.ts';

const env = { API_TOKEN: 's3cret', OPEN_DEFAULT: 'true' } as unknown as RouterEnv;
const open = { OPEN_DEFAULT: 'true' } as unknown as RouterEnv;
const secret = { authorization: 'Bearer s3cret' };
const named = { 'quorate-user': 'root' };
const ofToken = { operator: false, token: 't', user: '' };

describe('a request is', () => {
  it.each([
    ['the operator’s, with the secret', secret, operator],
    ['nobody’s, with nothing', {}, nobody],
    ['of its token', { 'grpc-metadata-token': 't' }, ofToken],
    ['of the token beside the secret', { ...secret, 'grpc-metadata-token': 't' }, ofToken],
    [
      'nobody’s, with an empty token beside the secret',
      { ...secret, 'grpc-metadata-token': '' },
      nobody,
    ],
    [
      'of the user that is named beside the secret',
      { ...secret, ...named },
      { ...nobody, user: 'root' },
    ],
    [
      'of that user with an empty token too',
      { ...secret, ...named, 'grpc-metadata-token': '' },
      { ...nobody, user: 'root' },
    ],
    [
      'of its token, whatever user is named',
      { ...secret, ...named, 'grpc-metadata-token': 't' },
      ofToken,
    ],
    ['nobody’s, when a user is named without the secret', named, nobody],
    [
      'of what is shown, when that is not the secret',
      { ...named, authorization: 'x' },
      { operator: false, token: 'x', user: '' },
    ],
  ])('%s', (_, headers, expected) => {
    const request = new Request('http://quorate/', { headers: headers as Record<string, string> });
    expect(credentialsOf(request, env)).toEqual(expected);
  });

  it('nobody’s, when a user is named where there is no secret', () => {
    for (const shown of ['', 'Bearer ', 'Bearer undefined']) {
      const request = new Request('http://quorate/', {
        headers: { ...named, authorization: shown },
      });
      expect(credentialsOf(request, open)).toMatchObject({ operator: false, user: '' });
    }
  });
});
