/** How fast passwords may be tried (src/node-do/auth/attempts.ts). */
import { expect, test } from 'vitest';
import { Attempts } from '../../src/node-do/auth/attempts.ts';

const allowed = (count: number, take: (at: number) => boolean): number =>
  Array.from({ length: count }, (_, at) => take(at)).filter(Boolean).length;

test('a client tries five passwords of a user at once, then one in two seconds, up to five again', () => {
  const attempts = new Attempts();
  expect(allowed(9, () => attempts.take('u', 'c', 0))).toBe(5);
  expect(allowed(2, () => attempts.take('u', 'c', 1_999))).toBe(0);
  expect(allowed(2, () => attempts.take('u', 'c', 2_000))).toBe(1);
  expect(allowed(9, () => attempts.take('u', 'c', 1_000_000))).toBe(5);
});

test('neither other users nor other clients are held up by it', () => {
  const attempts = new Attempts();
  allowed(9, () => attempts.take('u', 'c', 0));
  expect([attempts.take('v', 'c', 0), attempts.take('u', 'd', 0)]).toEqual([true, true]);
});

test('the right password clears the account', () => {
  const attempts = new Attempts();
  allowed(5, () => attempts.take('u', 'c', 0));
  attempts.forget('u', 'c');
  expect(attempts.take('u', 'c', 0)).toBe(true);
});

test('who tries many names is slowed down too', () => {
  const attempts = new Attempts();
  expect(allowed(200, (at) => attempts.take(`u${at}`, 'c', 0))).toBe(50);
  expect(allowed(200, (at) => attempts.take(`v${at}`, 'c', 1_000))).toBe(10);
  expect(attempts.take('u', 'd', 1_000)).toBe(true);
});

test('a clock that is set back gives no attempts away', () => {
  const attempts = new Attempts();
  allowed(5, () => attempts.take('u', 'c', 1_000_000));
  expect(attempts.take('u', 'c', 0)).toBe(false);
  expect(attempts.take('u', 'c', 1_999)).toBe(false);
});

test('what is remembered is bounded', () => {
  const attempts = new Attempts();
  for (let at = 0; at < 30_000; at += 1) attempts.take('u', `${at}`, 0);
  expect(attempts.size).toBeLessThanOrEqual(10_000);
});
