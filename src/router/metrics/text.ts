/** Prometheus' text form, version 0.0.4. */
export type Labels = Readonly<Record<string, string | number>>;

export type Sample = readonly [labels: Labels, value: number];

/** One histogram: how many fell into each class, the last of which has no upper bound. */
export interface Distribution {
  readonly labels: Labels;
  /** One more than bounds. */
  readonly classes: readonly number[];
  readonly sum: number;
}

/** Nothing at all without samples. */
export function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly Sample[],
): string {
  if (samples.length === 0) return '';
  return head(name, type, help) + samples.map((sample) => line(name, ...sample)).join('');
}

export function histogram(
  name: string,
  help: string,
  bounds: readonly number[],
  distributions: readonly Distribution[],
): string {
  if (distributions.length === 0) return '';
  const lines = distributions.map(({ labels, classes, sum }) => {
    let below = 0;
    const buckets = classes.map((count, at) => {
      below += count;
      const le = at < bounds.length ? String(bounds[at]) : '+Inf';
      return line(`${name}_bucket`, { ...labels, le }, below);
    });
    const ends = [line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, below)];
    return [...buckets, ...ends].join('');
  });
  return head(name, 'histogram', help) + lines.join('');
}

function head(name: string, type: string, help: string): string {
  const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return `# HELP ${name} ${text}\n# TYPE ${name} ${type}\n`;
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, label]) => `${key}="${escaped(String(label))}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
