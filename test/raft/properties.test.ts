/**
 * The list of properties (properties.md) is complete, and what it names is there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

/** Numbers in the original list that carry no property: they test etcd's own interfaces. */
const leftOut = [
  30, 35, 39, 43, 47, 51, 56, 61, 65, 69, 73, 77, 81, 84, 86, 90, 94, 98, 102, 109, 113, 117, 121,
  125, 129, 133, 137, 145, 149, 155, 159, 163, 165, 166, 175, 176, 179, 180, 181, 183, 188, 192,
  198, 202, 206, 225, 229, 230, 234, 238, 241, 243, 246, 250,
];
const lastRow = 258;
const faults = 35;

const folder = import.meta.dirname;
const table = readFileSync(join(folder, 'properties.md'), 'utf8');

interface Row {
  readonly name: string;
  readonly items: readonly string[];
}

/** A row's first cell is its number, its last one says where the property is asserted. */
function rowsOf(text: string): Row[] {
  return [...text.matchAll(/^\| ((?:fault )?\d+) \|.*\| ([^|]+) \|$/gm)].map(
    ([, name = '', items = '']) => ({ name, items: items.split('<br>') }),
  );
}

/** Null when the item holds; else what is wrong with it. */
function faultOf(item: string): string | null {
  const [, word = '', rest = ''] = /^([^ ]+?): (.+)$/.exec(item) ?? [];
  if (word === 'n/a') return null;
  const path = join(folder, `${word}.test.ts`);
  if (word === '' || !existsSync(path)) return `no file ${word}.test.ts`;
  return hasTest(readFileSync(path, 'utf8'), rest) ? null : 'no such test';
}

/** `title` is that of a test, after the one of the describe() around it if there is one. */
function hasTest(source: string, title: string): boolean {
  const [first = '', second] = title.split(' > ');
  if (second === undefined) return indexOfTitle(source, '(?:it|test)', first) >= 0;
  const from = indexOfTitle(source, 'describe', first);
  // Formatted by the linter: a describe() at the top level ends with the next `});` in column 0.
  const block = source.slice(from).split('\n});')[0] ?? '';
  return from >= 0 && indexOfTitle(block, '(?:it|test)', second) >= 0;
}

function indexOfTitle(source: string, call: string, title: string): number {
  const literal = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  // Directly, or as it.each(...)('title').
  const pattern = `\\b${call}(?:\\((?:'|\\s+')|\\.each[^]*?\\)\\((?:'|\\s+'))${literal}'`;
  return source.search(new RegExp(pattern));
}

describe('the list of properties', () => {
  const rows = rowsOf(table);

  it('has every row of the original once', () => {
    const numbers = Array.from({ length: lastRow }, (_, at) => at + 1);
    const expected = [
      ...numbers.filter((number) => !leftOut.includes(number)).map(String),
      ...Array.from({ length: faults }, (_, at) => `fault ${at + 1}`),
    ];
    expect(rows.map(({ name }) => name)).toEqual(expected);
  });

  it('names only tests that exist, or says why there is none', () => {
    const wrong = rows.flatMap(({ name, items }) =>
      items.map((item) => ({ name, item, fault: faultOf(item) })).filter(({ fault }) => fault),
    );
    expect(wrong).toEqual([]);
  });

  it.each([
    ['properties: the list of properties > has every row of the original once', null],
    ['properties: the list of properties > names only tests that are nice', 'no such test'],
    ['properties: the list of properties > has every row of the original', 'no such test'],
    ['properties: a list of properties > has every row of the original once', 'no such test'],
    ['commit: an entry > never moves the commit index back', 'no such test'],
    ['votes: an entry > is not committed by a learner', 'no such test'],
    ['nowhere: an entry > is not committed by a learner', 'no file nowhere.test.ts'],
    ['commit', 'no file .test.ts'],
    ['pending: later', 'no file pending.test.ts'],
    ['n/a: because', null],
  ])('finds what is wrong: %s', (item, fault) => {
    expect(faultOf(item)).toBe(fault);
  });
});
