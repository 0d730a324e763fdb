import { pbkdf2Sync } from 'node:crypto';
import { expect, test } from 'vitest';
import { hashPassword, isPassword } from '../../../src/router/auth/passwords.ts';

test('what is kept is PBKDF2 of 100,000 rounds with a salt of its own', async () => {
  const [first, second] = [await hashPassword('pw'), await hashPassword('pw')];
  expect(first).not.toBe(second);
  const [name, rounds, salt, key] = first.split('$') as [string, string, string, string];
  expect([name, rounds]).toEqual(['pbkdf2-sha256', '100000']);
  expect(Buffer.from(salt, 'base64url')).toHaveLength(16);
  const expected = pbkdf2Sync('pw', Buffer.from(salt, 'base64url'), 100_000, 32, 'sha256');
  expect(key).toBe(expected.toString('base64url'));
});

test('only the password itself is one', async () => {
  const kept = await hashPassword('p\u00e4ss');
  const given = ['p\u00e4ss', 'p\u00e4s', 'p\u00e4ss ', '', 'P\u00e4ss'];
  expect(await Promise.all(given.map((one) => isPassword(one, kept)))).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  expect(await isPassword('', await hashPassword(''))).toBe(true);
});

test('nothing is the password of nobody, nor of what another program has kept', async () => {
  for (const kept of ['', '$2a$10$abc', 'pbkdf2-sha256$x$a$b', 'pbkdf2-sha256$1$AAAA$'])
    expect(await isPassword('', kept)).toBe(false);
});
