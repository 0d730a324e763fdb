/** docs/metrics.md tells every metric that there is, and why there is none for the rest of etcd's. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { newCounters } from '../../../src/node-do/counters.ts';
import { createRouter } from '../../../src/router/app.ts';
import { readMetrics } from '../../support/prometheus.ts';
import { fakeMembers, success } from '../support/members.ts';
import { memberStatusOf } from '../support/metrics.ts';
import { etcdNames } from './etcd-names.ts';

const page = readFileSync('docs/metrics.md', 'utf8');
const namePattern = /`((?:etcd|grpc|quorate|process|go|os|promhttp)_[a-z0-9_*]+)`/g;

async function told(): Promise<string[]> {
  const fake = fakeMembers(success);
  fake.other = (name) => Response.json(memberStatusOf(name, newCounters()));
  const app = createRouter();
  await app.request('/v3/kv/range', { method: 'POST', body: '{"key":"YQ=="}' }, fake.env);
  const answer = await app.request('/metrics', {}, fake.env);
  return [...readMetrics(await answer.text()).keys()];
}

function namesIn(section: RegExp): string[] {
  const [, text = ''] = section.exec(page) ?? [];
  return [...text.matchAll(namePattern)].map(([, name = '']) => name);
}

const offered = [
  ...namesIn(/## etcd's names([\s\S]*?)Not offered:/),
  ...namesIn(/## Others([\s\S]*)$/),
];
const missing = namesIn(/Not offered:([\s\S]*?)## Others/);
const isMissing = (name: string) =>
  missing.some((pattern) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name));

test('every metric of the page is documented, and every documented one is there', async () => {
  expect([...new Set(offered)].sort()).toEqual((await told()).sort());
});

test.each(etcdNames)('%s of etcd is told, or it is said why not', (name) => {
  expect([offered.includes(name), isMissing(name)].filter(Boolean)).toHaveLength(1);
});
