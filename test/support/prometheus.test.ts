/** The reader that the page of metrics is held to is strict. */
import { expect, test } from 'vitest';
import { readMetrics, sampleValue } from './prometheus.ts';

const counter = '# HELP a_total Help.\n# TYPE a_total counter\n';
const histogram = '# HELP h Help.\n# TYPE h histogram\n';

test('reads labels with everything that is escaped in them', () => {
  const read = readMetrics(`${counter}a_total{x="\\\\ \\" \\n,}{"} 1\na_total 2.5e+21\n`);
  expect(read.get('a_total')?.samples.map(({ labels, value }) => [labels, value])).toEqual([
    [{ x: '\\ " \n,}{' }, 1],
    [{}, 2.5e21],
  ]);
  expect(sampleValue(read, 'a_total', { x: '\\ " \n,}{' })).toBe(1);
});

test.each([
  ['an end within a line', `${counter}a_total 1`],
  ['a blank line', `${counter}a_total 1\n\n`],
  ['a sample without a family', 'a_total 1\n'],
  ['TYPE without HELP', '# TYPE a_total counter\na_total 1\n'],
  ['a family twice', `${counter}a_total 1\n${counter}a_total{x="1"} 1\n`],
  ['a sample of another family', `${counter}b_total 1\n`],
  ['a sample twice', `${counter}a_total{x="1",y="2"} 1\na_total{y="2",x="1"} 1\n`],
  ['a label twice', `${counter}a_total{x="1",x="2"} 1\n`],
  ['a quote that is not escaped', `${counter}a_total{x="""} 1\n`],
  ['a backslash that is not escaped', `${counter}a_total{x="\\d"} 1\n`],
  ['a comma at the end', `${counter}a_total{x="1",} 1\n`],
  ['no number', `${counter}a_total undefined\n`],
  ['a count below 0', `${counter}a_total -1\n`],
  ['a name with a dash', '# HELP a-b Help.\n# TYPE a-b gauge\na-b 1\n'],
  ['a family without samples', counter],
  ['a histogram without +Inf', `${histogram}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`],
  [
    'classes that fall',
    `${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`,
  ],
  ['another count', `${histogram}h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 2\n`],
])('refuses %s', (_, text) => {
  expect(() => readMetrics(text)).toThrow();
});
