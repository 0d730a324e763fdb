/**
 * The work of the leader: a report in one key, counted up once a round. It stands for whatever must be done
 * by one at a time.
 */
import { ask, type Election, isCertain, type Office, Refused, type Service } from './election.ts';

const path = '/v1/kv/example/report';

export interface Report {
  readonly count: number;
  readonly by: string;
  /** The leader's fencing token: in the key's history it never goes back. */
  readonly token: number;
}

const timeoutMs = 5_000;

/** What was written last, with its entity tag; null: nothing yet. */
async function read(service: Service) {
  try {
    const { response, body } = await ask(service, { method: 'GET', path, timeoutMs });
    return { etag: response.headers.get('etag') ?? '', count: Number(body.count) };
  } catch (error) {
    if (error instanceof Refused && error.code === 'key-not-found') return null;
    throw error;
  }
}

/**
 * One round: reads, counts, and writes with two conditions. The fence: that we lead still. The entity tag: that
 * the report is the one that was read, so that a write whose answer was lost is not made twice.
 *
 * `beforeWrite` stands where a process may be paused, by its garbage collector or its host. However late
 * it looks at its clock, a pause can come after that; this is what the fence is for.
 */
export async function writeReport(
  service: Service,
  election: Election,
  office: Office,
  by: string,
  beforeWrite: () => void,
): Promise<Report> {
  const before = await read(service);
  const report = { count: (before?.count ?? 0) + 1, by, token: office.token };
  const condition: Record<string, string> =
    before === null ? { 'if-none-match': '*' } : { 'if-match': before.etag };
  if (!isCertain(office)) throw new Error('the lease may have ended meanwhile');
  beforeWrite();
  const write = () =>
    ask(service, {
      method: 'PUT',
      path,
      headers: { ...election.fence(office), ...condition },
      body: JSON.stringify(report),
      timeoutMs,
    });
  await write().catch((error) => {
    if (error instanceof Refused) throw error;
    // A connection that was idle for long may have been closed. With these conditions no harm is in asking again.
    return write();
  });
  return report;
}
