/** All changes of a range, from the first revision to the present one, as a watch tells them. */
import type { Gateway } from './gateway.ts';

/** One change, as a watch from the first revision tells it; those of one revision follow one another. */
export interface Change {
  readonly revision: number;
  readonly key: string;
  /** null: deleted. */
  readonly value: string | null;
  /** Of a key that is there; 0: deleted. */
  readonly createRevision: number;
  readonly version: number;
}

interface Told {
  readonly result?: {
    readonly canceled?: boolean;
    readonly events?: readonly {
      readonly type?: string;
      readonly kv: {
        readonly key: string;
        readonly value?: string;
        readonly version?: string;
        readonly create_revision?: string;
        readonly mod_revision: string;
      };
    }[];
  };
}

/** Throws unless it is told all of it within that time. */
export async function readHistory(
  gateway: Gateway,
  [key, end]: readonly [string, string],
  through: number,
  withinMs: number,
): Promise<Change[]> {
  const changes: Change[] = [];
  const create_request = { key: btoa(key), range_end: btoa(end), start_revision: 1 };
  const abort = AbortSignal.timeout(withinMs);
  const { body } = await fetch(`${gateway.url}/v3/watch`, {
    method: 'POST',
    body: JSON.stringify({ create_request }),
    signal: abort,
  });
  let rest = '';
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const { result } = JSON.parse(line) as Told;
      if (result === undefined || result.canceled) throw new Error(`the history ends: ${line}`);
      changes.push(...(result.events ?? []).map(changeOf));
    }
    if ((changes.at(-1)?.revision ?? 0) >= through) return changes;
  }
  throw new Error(`the history ends at ${changes.at(-1)?.revision} of ${through}`);
}

function changeOf({
  type,
  kv,
}: NonNullable<NonNullable<Told['result']>['events']>[number]): Change {
  return {
    revision: Number(kv.mod_revision),
    key: atob(kv.key),
    value: type === 'DELETE' ? null : atob(kv.value ?? ''),
    createRevision: Number(kv.create_revision ?? 0),
    version: Number(kv.version ?? 0),
  };
}
