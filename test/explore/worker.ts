/** A thread that searches from one start after the other, as it is told. */
import { parentPort } from 'node:worker_threads';
import { describePath } from './describe.ts';
import type { Job, Report } from './job.ts';
import { Search } from './search.ts';
import { startNamed } from './starts.ts';

parentPort?.on('message', ({ start, scope, limits }: Job) => {
  const search = new Search(startNamed(start), scope, limits);
  const { found, ...result } = search.run();
  const path = found && describePath(search.model, search.start, found);
  const report: Report = { start, result, path };
  parentPort?.postMessage(report);
});
