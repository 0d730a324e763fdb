/**
 * The layers of src and what each may import and name: data and pure functions, so that the rules
 * themselves can be tested on sources that break them.
 */
export interface Layer {
  /** Other folders of src that it may import; its own always. */
  readonly layers: readonly string[];
  /** Packages that it may import, by their exact name or, with a trailing star, by prefix. */
  readonly packages: readonly string[];
  /** Same inputs, same outputs, on every member and in every replay. */
  readonly deterministic: boolean;
}

const protobuf = ['@bufbuild/protobuf', '@bufbuild/protobuf/*'];
const hono = ['hono', 'hono/*', 'valibot'];

/** docs of the layout: "raft imports nothing; kv imports api; ... index.ts ties them". */
export const layers: Readonly<Record<string, Layer>> = {
  raft: { layers: [], packages: [], deterministic: true },
  kv: { layers: ['api'], packages: [...protobuf, '@noble/hashes/*'], deterministic: true },
  'node-do': {
    layers: ['raft', 'kv', 'api'],
    packages: [...protobuf, 'cloudflare:*'],
    deterministic: false,
  },
  // workerd:unsafe: eviction on request, only while CHAOS is set.
  router: {
    layers: ['api'],
    packages: [...hono, ...protobuf, '@noble/hashes/*', 'workerd:unsafe'],
    deterministic: false,
  },
  bridge: {
    layers: ['api'],
    packages: [...protobuf, '@grpc/grpc-js', 'prom-client', 'undici', 'ws', 'node:*'],
    deterministic: false,
  },
  api: { layers: [], packages: protobuf, deterministic: false },
};

/** src/index.ts itself. */
const entry: Layer = {
  layers: ['router', 'node-do', 'api'],
  packages: [],
  deterministic: false,
};

/** Sources of time, chance, order or side effects that are not arguments. */
const forbiddenNames: readonly RegExp[] = [
  /\bDate\b/,
  /\bMath\s*\.\s*random\b/,
  /\bcrypto\b/,
  /\bconsole\b/,
  /\b(?:set|clear)(?:Timeout|Interval)\b/,
  /\bsetImmediate\b/,
  /\bqueueMicrotask\b/,
  /\blocaleCompare\b/,
  /\btoLocale\w+\b/,
  /\bIntl\b/,
  /\bperformance\b/,
  /\bPromise\b/,
  /\basync\b/,
  /\bawait\b/,
  /\bfetch\b/,
  /\bglobalThis\b/,
  /\bprocess\b/,
  /\bcloudflare:/,
];

/** What is wrong with a source file; `path` is relative to src, with forward slashes. */
export function violations(path: string, source: string): string[] {
  const layerName = path.includes('/') ? (path.split('/')[0] ?? '') : null;
  const layer = layerName === null ? entry : layers[layerName];
  if (layer === undefined) return [`${path}: src/${layerName} is not a layer`];
  const found = importsOf(source).flatMap((specifier) => {
    const complaint = importComplaint(path, layerName, layer, specifier);
    return complaint === null ? [] : [`${path}: ${complaint}`];
  });
  if (layer.deterministic) {
    const code = withoutCommentsAndTexts(source);
    for (const name of forbiddenNames) {
      const match = name.exec(code);
      if (match !== null) found.push(`${path}: names ${match[0]}`);
    }
  }
  return found;
}

function importComplaint(
  path: string,
  layerName: string | null,
  layer: Layer,
  specifier: string,
): string | null {
  if (!specifier.startsWith('.')) {
    const isAllowed = layer.packages.some((allowed) =>
      allowed.endsWith('*') ? specifier.startsWith(allowed.slice(0, -1)) : specifier === allowed,
    );
    return isAllowed ? null : `imports the package ${specifier}`;
  }
  const target = resolvePath(path, specifier);
  if (target === null) return `imports ${specifier}, which is outside of src`;
  const targetLayer = target.split('/')[0] ?? '';
  const isAllowed = targetLayer === layerName || layer.layers.includes(targetLayer);
  return isAllowed ? null : `imports ${target}`;
}

/** Null when the path leads out of src. */
function resolvePath(from: string, specifier: string): string | null {
  const parts = from.split('/').slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join('/');
}

/** Specifiers of static imports, re-exports, dynamic imports and import types. */
export function importsOf(source: string): string[] {
  const code = withoutComments(source);
  const patterns = [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''));
}

/** Texts, and comments outside of texts: one pass, so that neither is taken for the other. */
const textOrComment =
  /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

function withoutComments(source: string): string {
  return source.replace(textOrComment, (part) => (part.startsWith('/') ? ' ' : part));
}

/** Template texts stay: code may stand in them. */
function withoutCommentsAndTexts(source: string): string {
  return source.replace(textOrComment, (part) => (part.startsWith('`') ? part : ' '));
}
