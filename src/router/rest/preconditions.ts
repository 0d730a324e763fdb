/**
 * If-Match and If-None-Match. An entity tag is the revision of the key's last change in quotes, so
 * a list of them is a list of revisions.
 *
 * A weak tag (W/"42") counts as the strong one: a proxy that compresses makes tags weak, but the
 * number in it still names exactly one version of the value.
 */
import { Refusal } from './problems.ts';

export type Condition = '*' | readonly bigint[] | null;

const tagsMax = 16;
const tag = /^(?:W\/)?"([1-9]\d{0,15})"$/;

export function readCondition(request: Request, header: 'if-match' | 'if-none-match'): Condition {
  const text = request.headers.get(header);
  if (text === null) return null;
  if (text.trim() === '*') return '*';
  const parts = text.split(',');
  if (parts.length > tagsMax) {
    throw new Refusal('bad-request', `${header} holds more than ${tagsMax} tags`);
  }
  return parts.map((part) => {
    const revision = tag.exec(part.trim())?.[1];
    if (revision === undefined) {
      throw new Refusal('bad-request', `${header} holds revisions in quotes, like "42", or *`);
    }
    return BigInt(revision);
  });
}

/** Whether a key whose last change is `revision` (null: there is no such key) is in `condition`. */
export function matches(condition: '*' | readonly bigint[], revision: bigint | null): boolean {
  if (revision === null) return false;
  return condition === '*' || condition.includes(revision);
}

export function etag(revision: bigint | number): string {
  return `"${revision}"`;
}
