/** A thread that searches from one start after the other, as it is told. */
import { parentPort } from 'node:worker_threads';
import type { Group } from '../raft/support/group.ts';
import { describePath } from './describe.ts';
import type { Job, Report } from './job.ts';
import { Search } from './search.ts';
import { startNamed } from './starts.ts';

parentPort?.on('message', (job: Job) => parentPort?.postMessage(reportOn(job)));

function reportOn({ start, scope, limits }: Job): Report {
  const begin = startNamed(start);
  let group: Group;
  try {
    group = begin.make();
  } catch (error) {
    // Even the few steps to the start break the core's rules.
    const result = { states: 0, transitions: 0, turns: 0, depth: 0, seconds: 0, isComplete: false };
    return { start, result, path: [`violation on the way to the start: ${error}`] };
  }
  const search = new Search(group, { ...begin.scope, ...scope }, limits);
  const { found, ...result } = search.run();
  return { start, result, path: found && describePath(search.model, search.start, found) };
}
