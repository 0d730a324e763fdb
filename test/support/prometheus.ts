/**
 * A strict reader of Prometheus' text form (0.0.4): whatever the format forbids, or leaves to the reader's
 * kindness, is an error with the line in it.
 */
export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadFamily {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly ReadSample[];
}

const nameOf = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const helpLine = new RegExp(`^# HELP (${nameOf}) (\\S.*)$`);
const typeLine = new RegExp(`^# TYPE (${nameOf}) (counter|gauge|histogram)$`);
const sampleLine = new RegExp(`^(${nameOf})(?:\\{(.*)\\})? (\\S+)$`);
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=[a-zA-Z_])|$)/;
const numeral = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN)$/;

export function readMetrics(text: string): ReadonlyMap<string, ReadFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, { type: string; help: string; samples: ReadSample[] }>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let current: string | null = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const fail = (why: string) => new Error(`${why}: ${line}`);
    const [, helped, helpText] = helpLine.exec(line) ?? [];
    const [, typed, type] = typeLine.exec(line) ?? [];
    if (helped !== undefined && helpText !== undefined) {
      if (help !== null) throw fail('HELP without TYPE before');
      if (!/^(?:[^\\]|\\[\\n])*$/.test(helpText)) throw fail('a backslash that escapes nothing');
      help = { name: helped, text: helpText };
    } else if (typed !== undefined && type !== undefined) {
      if (help?.name !== typed) throw fail('TYPE without HELP');
      if (families.has(typed)) throw fail('a second TYPE');
      families.set(typed, { type, help: help.text, samples: [] });
      help = null;
      current = typed;
    } else {
      const sample = readSample(line);
      if (sample === null) throw fail('neither HELP, TYPE nor a sample');
      const family = current === null ? undefined : families.get(current);
      if (help !== null || current === null || family === undefined) throw fail('no TYPE before');
      const allowed = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      if (!allowed.some((suffix) => sample.name === current + suffix))
        throw fail('of another family');
      const identity = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(identity)) throw fail('told twice');
      seen.add(identity);
      if (family.type !== 'gauge' && !(sample.value >= 0)) throw fail('a count below 0');
      family.samples.push(sample);
    }
  }
  if (help !== null) throw new Error(`nothing follows HELP of ${help.name}`);
  for (const [name, family] of families) {
    if (family.samples.length === 0) throw new Error(`${name} has no samples`);
    if (family.type === 'histogram') checkHistogram(name, family.samples);
  }
  return families;
}

/** Of the one sample with these labels, others beside them allowed; throws unless there is exactly one. */
export function sampleValue(
  families: ReadonlyMap<string, ReadFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const found = (families.get(name)?.samples ?? []).filter((sample) =>
    Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  const [only] = found;
  if (only === undefined || found.length > 1) throw new Error(`${found.length} samples of ${name}`);
  return only.value;
}

function readSample(line: string): ReadSample | null {
  const [, name, inner, number] = sampleLine.exec(line) ?? [];
  if (name === undefined || number === undefined || !numeral.test(number)) return null;
  const labels: Record<string, string> = {};
  for (let rest = inner ?? ''; rest !== ''; ) {
    const [whole, key, value] = label.exec(rest) ?? [];
    if (whole === undefined || key === undefined || value === undefined) return null;
    if (Object.hasOwn(labels, key) || key.startsWith('__')) return null;
    labels[key] = value.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
    rest = rest.slice(whole.length);
  }
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

function checkHistogram(name: string, samples: readonly ReadSample[]): void {
  const groups = new Map<string, ReadSample[]>();
  for (const sample of samples) {
    const { le: _, ...rest } = sample.labels;
    const key = JSON.stringify(Object.entries(rest).sort());
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, group] of groups) {
    const fail = (why: string) => new Error(`${name} ${key}: ${why}`);
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels: { le = '' } }) => Number(le.replace('+Inf', 'Infinity')));
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) throw fail('the last bound is not +Inf');
    for (const [at, bucket] of buckets.entries()) {
      const before = buckets[at - 1];
      if (before === undefined) continue;
      if (!((bounds[at - 1] ?? 0) < (bounds[at] ?? 0))) throw fail('bounds do not rise');
      if (bucket.value < before.value) throw fail('a class counts less than the one below');
    }
    const count = group.filter((sample) => sample.name === `${name}_count`);
    const sum = group.filter((sample) => sample.name === `${name}_sum`);
    if (count.length !== 1 || sum.length !== 1) throw fail('no sum or count');
    if (count[0]?.value !== buckets.at(-1)?.value) throw fail('its count is not that of +Inf');
  }
}
