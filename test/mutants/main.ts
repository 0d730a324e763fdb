/**
 * `npm run mutants`: makes every bug of the catalogue in a copy of the project, one at a time, and
 * prints who found it. Ends with 1 if nobody found one, or if its line was never executed.
 *
 *   --list          the names, and what they stand for
 *   --only a,b      these only (the beginnings of names or of files)
 *   --seeds 500     random schedules of the core that are tried at most
 *   --search        the state search looks for every bug of the core, not only for what is left
 *   --states 300000 states that it looks at in each
 *   --simulate 250  the simulated clusters alone look, at so many seeds at most
 *   --workers 2     mutants at a time
 */
import { parseArgs } from 'node:util';
import { mutants } from './catalogue.ts';
import { control, find } from './finders.ts';
import type { Mutant } from './mutant.ts';
import { endPrograms } from './program.ts';
import { isGood, type Row, summary, table } from './report.ts';
import { Sandbox } from './sandbox.ts';

const { values } = parseArgs({
  options: {
    list: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    seeds: { type: 'string', default: '500' },
    search: { type: 'boolean', default: false },
    states: { type: 'string', default: '300000' },
    simulate: { type: 'string', default: '0' },
    workers: { type: 'string', default: '2' },
  },
});

async function run(chosen: readonly Mutant[]): Promise<Row[]> {
  const startedMs = performance.now();
  const sandboxes = Array.from({ length: Number(values.workers) }, () => new Sandbox());
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      endPrograms();
      for (const sandbox of sandboxes) sandbox.remove();
      process.exit(1);
    });
  try {
    const errors = (await sandboxes[0]?.typeErrors(chosen)) ?? [];
    if (errors.length > 0) throw new Error(`mutants that are no programs:\n${errors.join('\n')}`);
    if (values.only === '') await checkControl(sandboxes[0]);
    const rows = new Map<Mutant, Row>();
    const queue = [...chosen];
    const work = async (sandbox: Sandbox) => {
      for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
        const row = { mutant, ...(await findIn(sandbox, mutant)) };
        rows.set(mutant, row);
        const seconds = ((performance.now() - startedMs) / 1000).toFixed(0).padStart(4);
        const { test, seeds, states, simulated, executed } = row;
        console.error(
          `${seconds} s  ${isGood(row) ? 'ok' : 'NOT FOUND'}  ${mutant.name}` +
            `  ${executed ? '' : '(not executed) '}${test ?? '-'}  seeds ${seeds ?? '-'}  states ${states ?? '-'}` +
            `  simulated ${simulated ?? '-'}`,
        );
      }
    };
    await Promise.all(sandboxes.map(work));
    return chosen.flatMap((mutant) => rows.get(mutant) ?? []);
  } finally {
    for (const sandbox of sandboxes) sandbox.remove();
  }
}

async function checkControl(sandbox: Sandbox | undefined): Promise<void> {
  const found = sandbox ? await control(sandbox, Number(values.seeds)) : null;
  if (found !== null) throw new Error(`fails without a mutant: ${found}`);
}

function findIn(sandbox: Sandbox, mutant: Mutant) {
  const { seeds, states, search, simulate } = values;
  const limits = {
    seeds: Number(seeds),
    states: Number(states),
    search,
    simulate: Number(simulate),
  };
  return sandbox.with(mutant, () => find(sandbox, mutant, limits));
}

const names = values.only.split(',');
const chosen = mutants.filter(({ name, file }) =>
  names.some((prefix) => name.startsWith(prefix) || file.startsWith(prefix)),
);
if (values.list) {
  for (const { name, standsFor, rule } of chosen)
    console.log(`${name}: ${rule === undefined ? '' : `rule ${rule}: `}${standsFor}`);
} else {
  // A rule has to have a scenario; simulated clusters alone are asked for no such thing.
  const alone = Number(values.simulate) > 0;
  const rows = await run(alone ? chosen.map(({ rule: _, ...mutant }) => mutant) : chosen);
  console.log(`${table(rows)}\n\n${summary(rows)}`);
  process.exitCode = rows.length > 0 && rows.every(isGood) ? 0 : 1;
}
