/** The decision against a naive model: every key of a small key space is looked at one by one. */
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  type Permission,
  PermissionSchema,
  Permission_Type as Type,
} from '../../../src/api/gen/auth_pb.js';
import { grantsOf, intervalOf, isGrantable } from '../../../src/kv/auth/grants.ts';
import { Random } from '../../support/random.ts';

/** All keys of up to three letters of two; every interval between any of them holds some of these. */
const letters = [0, 1];
const keys = [1, 2, 3].flatMap((length) => wordsOf(length));

function wordsOf(length: number): Uint8Array[] {
  if (length === 0) return [new Uint8Array()];
  return wordsOf(length - 1).flatMap((word) =>
    letters.map((letter) => new Uint8Array([...word, letter])),
  );
}

const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);
const isEnd = ({ length, 0: first }: Uint8Array): boolean => length === 1 && first === 0;

/** Whether `key` is in what this key and end name. */
function holds(range: { key: Uint8Array; rangeEnd: Uint8Array }, key: Uint8Array): boolean {
  const { rangeEnd } = range;
  if (rangeEnd.length === 0) return compare(key, range.key) === 0;
  return compare(key, range.key) >= 0 && (isEnd(rangeEnd) || compare(key, rangeEnd) < 0);
}

test('100,000 random users, roles, ranges and requests', () => {
  const random = new Random(1);
  const anyKey = (): Uint8Array => random.pick(keys);
  const anyEnd = (): Uint8Array => (random.next() < 0.4 ? new Uint8Array() : random.pick(keys));
  const outcomes = { allowed: 0, denied: 0, joined: 0 };
  for (let round = 0; round < 10_000; round += 1) {
    const roles = Array.from({ length: random.integer(0, 3) }, () =>
      Array.from({ length: random.integer(1, 4) }, () =>
        create(PermissionSchema, {
          permType: random.pick([Type.READ, Type.WRITE, Type.READWRITE, 7 as Type]),
          key: anyKey(),
          rangeEnd: anyEnd(),
        }),
      ).filter(isGrantable),
    );
    const permissions: Permission[] = roles.flat();
    const grants = grantsOf(permissions);
    for (let request = 0; request < 10; request += 1) {
      const range = { key: anyKey(), rangeEnd: anyEnd() };
      const [begin, end] = intervalOf(range.key, range.rangeEnd);
      for (const access of ['read', 'write'] as const) {
        const types = [access === 'read' ? Type.READ : Type.WRITE, Type.READWRITE];
        const counting = permissions.filter(({ permType }) => types.includes(permType));
        // Longer keys than any bound tell an interval's end from that of the key space.
        const asked = [...keys, new Uint8Array([1, 1, 1, 1])].filter((key) => holds(range, key));
        const granted = (key: Uint8Array): boolean => counting.some((one) => holds(one, key));
        const isAllowed = grants[access].covers(begin, end);
        // Of an empty interval its begin counts.
        const naive = asked.length > 0 ? asked.every(granted) : granted(range.key);
        // Between two of the keys there may be others, which the model does not see.
        if (isAllowed !== naive) expect(finer(range, counting)).toBe(isAllowed);
        outcomes[isAllowed ? 'allowed' : 'denied'] += 1;
        const one = counting.some((permission) => asked.every((key) => holds(permission, key)));
        if (isAllowed && !one) outcomes.joined += 1;
      }
    }
  }
  expect(outcomes.allowed).toBeGreaterThan(10_000);
  expect(outcomes.denied).toBeGreaterThan(10_000);
  expect(outcomes.joined).toBeGreaterThan(100);
});

/** The same with the keys right behind and inside of all bounds: a key and "\0", and a key and "\xff". */
function finer(
  range: { key: Uint8Array; rangeEnd: Uint8Array },
  counting: readonly Permission[],
): boolean {
  const more = keys.flatMap((key) => [
    key,
    new Uint8Array([...key, 0]),
    new Uint8Array([...key, 255]),
  ]);
  const asked = more.filter((key) => holds(range, key));
  const granted = (key: Uint8Array): boolean => counting.some((one) => holds(one, key));
  return asked.length > 0 ? asked.every(granted) : granted(range.key);
}
