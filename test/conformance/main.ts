/**
 * `npm run conformance`: is Quorate's answer to each recorded request etcd's answer?
 *
 *   --members N     only groups of N members (default: 1, then 3)
 *   --until NAME    send what stands before that exchange (default: maint-status)
 *   --only REGEX    judge only exchanges of that name
 *   --show N        differences to print (default: 10)
 *   --url URL       a server that is running already, fresh, for example a real etcd
 *   --record FILE   write the answers, in the form of exchanges.jsonl
 *
 * Ends with status 1 unless every answer that is judged matches.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { withServer } from '../support/server.ts';
import { type Exchange, loadExchanges } from './exchange.ts';
import { type Outcome, replay } from './replay.ts';

const { values: options } = parseArgs({
  options: {
    members: { type: 'string' },
    until: { type: 'string', default: 'maint-status' },
    only: { type: 'string' },
    show: { type: 'string', default: '10' },
    url: { type: 'string' },
    record: { type: 'string' },
  },
});

const longestPrinted = 1_500;

async function main(): Promise<boolean> {
  const exchanges = loadExchanges(options.until === 'end' ? null : options.until);
  if (options.url !== undefined) return report(options.url, await run(exchanges, options.url));
  let allMatch = true;
  for (const members of groupSizes()) {
    const outcome = await withServer({ members }, ({ url }) => run(exchanges, url));
    allMatch = report(`groups of ${members}`, outcome) && allMatch;
  }
  return allMatch;
}

function groupSizes(): readonly (1 | 3 | 5)[] {
  if (options.members === undefined) return [1, 3];
  const members = Number(options.members);
  if (members !== 1 && members !== 3 && members !== 5) throw new Error('--members: 1, 3 or 5');
  return [members];
}

async function run(exchanges: readonly Exchange[], url: string): Promise<Outcome> {
  const only = options.only === undefined ? null : new RegExp(options.only);
  const outcome = await replay(exchanges, url, only);
  if (options.record !== undefined) {
    const lines = outcome.recording.map((exchange) => JSON.stringify(exchange));
    writeFileSync(options.record, `${lines.join('\n')}\n`);
  }
  return outcome;
}

function report(title: string, outcome: Outcome): boolean {
  for (const { exchange, expected, actual } of outcome.differences.slice(0, Number(options.show))) {
    console.log(`DIFFERS ${exchange.name}  [${exchange.method} ${exchange.path}]`);
    console.log(`  - ${JSON.stringify(expected).slice(0, longestPrinted)}`);
    console.log(`  + ${JSON.stringify(actual).slice(0, longestPrinted)}`);
  }
  console.log(`Conformance, ${title}`);
  for (const [group, { matched, total }] of outcome.byGroup) {
    console.log(`  ${group.padEnd(12)} ${matched}/${total}`);
  }
  const { matched, total } = outcome.all;
  console.log(
    `  ${'all'.padEnd(12)} ${matched}/${total} (${outcome.notCompared} sent, not judged)`,
  );
  return matched === total && total > 0;
}

process.exitCode = (await main()) ? 0 : 1;
