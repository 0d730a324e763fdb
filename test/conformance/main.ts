/**
 * `npm run conformance`: is Quorate's answer to each recorded request etcd's answer? Against groups of 1 and
 * of 3 members; then with members of the group dying between the requests; then with reads sent to followers.
 *
 *   --mode MODE     only plain, faults or followers
 *   --members N     only groups of N members (default: 1 and 3; followers, and mostly faults: 3)
 *   --until NAME    send what stands before that exchange (default: what is offered, in sections)
 *   --from NAME     begin with that exchange, at the revision that it was recorded at
 *   --only REGEX    judge only exchanges of that name
 *   --seed N        of the faults (default: 1)
 *   --show N        differences to print (default: 10)
 *   --url URL       a server that is running already, fresh, for example a real etcd
 *   --record FILE   write the answers, in the form of exchanges.jsonl
 *
 * Ends with status 1 unless every answer that is judged matches, and what was to go on beside it did.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Exchange, loadExchanges } from './exchange.ts';
import { type Mode, modes, type Pass, type Result, runPass, type Size } from './passes.ts';
import { type Outcome, replay } from './replay.ts';

const { values: options } = parseArgs({
  options: {
    mode: { type: 'string' },
    members: { type: 'string' },
    until: { type: 'string' },
    from: { type: 'string' },
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    show: { type: 'string', default: '10' },
    url: { type: 'string' },
    record: { type: 'string' },
  },
});

interface Section {
  readonly title: string;
  readonly from: string | null;
  readonly until: string | null;
  /** Sent, and not judged. */
  readonly except?: RegExp;
  /** Only of groups of so many members; default: 1 and 3. */
  readonly sizes?: readonly Size[];
}

/**
 * Calls that are not offered yet; keys and a revision of exchanges before; and `Bearer` before a token, which
 * etcd takes since 3.5.32, and the recorded 3.5.30 does not.
 */
const notOfUsers = new RegExp(
  `^auth-(${['alice-compact|alice-range-(prefix|subrange)-ok', 'root-range-bearer-prefix'].join(
    '|',
  )})$`,
);

/** Alarms and members were recorded with one member. */
const sections: readonly Section[] = [
  {
    title: 'keys, watches, leases, alarms, members',
    from: null,
    until: 'lock-lease-a',
    sizes: [1],
  },
  { title: 'keys, watches, leases', from: null, until: 'maint-status', sizes: [3] },
  { title: 'locks, elections', from: 'lock-lease-a', until: 'auth-status-disabled' },
  { title: 'users, roles', from: 'auth-status-disabled', until: null, except: notOfUsers },
];

const only = options.only === undefined ? null : new RegExp(options.only);
const longestPrinted = 1_500;
/** Mostly they wait for what must not come: the whole recording takes 33 s with a real etcd, too. */
const passesAtOnce = 4;

async function main(): Promise<boolean> {
  if (options.url !== undefined) {
    const outcome = await replay(exchangesOf(asked()[0] as Section), options.url, { only });
    return report(options.url, { outcome, beside: '', lacking: null });
  }
  // The long ones first.
  const left = passes().sort((a, b) => b.exchanges.length - a.exchanges.length);
  const results: boolean[] = [];
  const runner = async () => {
    for (let next = left.shift(); next; next = left.shift())
      results.push(report(next.title, await runPass(next, { only, seed: Number(options.seed) })));
  };
  await Promise.all(Array.from({ length: passesAtOnce }, runner));
  return results.every((isRight) => isRight);
}

function passes(): (Pass & { title: string })[] {
  return modesAsked().flatMap((mode) =>
    asked().flatMap((section) =>
      sizesFor(mode, section).map((members) => ({
        title: `${section.title}: groups of ${members}${mode === 'plain' ? '' : `, ${mode}`}`,
        mode,
        members,
        exchanges: exchangesOf(section),
        isWhole: section.from === null,
      })),
    ),
  );
}

function asked(): readonly Section[] {
  const { from, until } = options;
  if (from === undefined && until === undefined) return sections;
  return [
    { title: 'as asked', from: from ?? null, until: until === 'end' ? null : (until ?? null) },
  ];
}

function exchangesOf({ from, until, except }: Section): Exchange[] {
  return loadExchanges(until, from).map((exchange) =>
    except?.test(exchange.name) ? { ...exchange, withheld: true } : exchange,
  );
}

function modesAsked(): readonly Mode[] {
  if (options.mode === undefined) return modes;
  const mode = modes.find((one) => one === options.mode);
  if (mode === undefined) throw new Error(`--mode: ${modes.join(', ')}`);
  return [mode];
}

function sizesFor(mode: Mode, { sizes = [1, 3] }: Section): readonly Size[] {
  if (options.members === undefined) {
    if (mode === 'plain') return sizes;
    if (sizes.includes(3)) return [3];
    return mode === 'faults' ? sizes : [];
  }
  const members = Number(options.members);
  if (members !== 1 && members !== 3 && members !== 5) throw new Error('--members: 1, 3 or 5');
  return [members];
}

function report(title: string, { outcome, beside, lacking }: Result): boolean {
  if (options.record !== undefined) record(options.record, outcome);
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
  if (beside !== '') console.log(`  ${beside}`);
  if (lacking !== null) console.log(`FAILS: ${lacking}`);
  return matched === total && total > 0 && lacking === null;
}

function record(file: string, { recording }: Outcome): void {
  writeFileSync(file, `${recording.map((exchange) => JSON.stringify(exchange)).join('\n')}\n`);
}

process.exitCode = (await main()) ? 0 : 1;
