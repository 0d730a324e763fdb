/** Sends all rows, one after another, and tells which are not answered as they are to be. */
import { Gateway } from '../../support/gateway.ts';
import type { Row } from './answers.ts';
import { differenceOf } from './ask.ts';
import { rows, sharedLease } from './table.ts';

export async function differences(
  url: string,
  isAsked: (row: Row) => boolean = () => true,
  table: readonly Row[] = rows,
): Promise<string[]> {
  const gateway = new Gateway(url);
  const granted = await gateway.send('POST', '/v3/lease/grant', `{"TTL":600,"ID":${sharedLease}}`);
  if (granted.status !== 200) throw new Error(`the lease was not granted: ${granted.text}`);
  const found: string[] = [];
  for (const row of table.filter(isAsked)) {
    const difference = await differenceOf(url, row);
    if (difference === null) continue;
    const { what, path, body, answer } = row;
    const asked = `${what}: ${path} <- ${body.slice(0, 200)}`;
    found.push(`${asked}\n  - ${JSON.stringify(answer)}\n  + ${difference}`);
  }
  gateway.close();
  return found;
}
