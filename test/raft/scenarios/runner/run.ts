/**
 * Runs a scenario and returns its text as it should be: the same script with what came of it.
 */
import { UsageError } from './arguments.ts';
import { commands } from './commands.ts';
import type { World } from './delivery.ts';
import { RecordedGroup } from './recorded.ts';
import { type Setup, setupCommands } from './setup.ts';
import { type Line, parse, render, ScenarioError } from './text.ts';

/** `quiet` before a command leaves its output out: for what the story is not about. */
const quiet = 'quiet';

export function runScenario(file: string, text: string): string {
  const scenario = new Scenario();
  return render(parse(file, text), (line) => {
    try {
      return scenario.run(line.words);
    } catch (error) {
      const message = error instanceof Error ? error.message : `${error}`;
      throw new ScenarioError(file, line.number, message);
    }
  });
}

class Scenario {
  private readonly setup: Setup = { options: {}, start: {}, settings: {} };
  private world: World | null = null;

  run([name = '', ...words]: Line['words']): string[] {
    if (name === quiet) {
      this.run(words);
      return [];
    }
    const setup = own(setupCommands, name);
    if (setup) {
      if (this.world) throw new UsageError(`'${name}' comes too late: the group lives already`);
      withUsage(setup.usage, () => setup.run(this.setup, words));
      return [];
    }
    const command = own(commands, name);
    if (!command) throw new UsageError(`unknown command '${name}'`);
    this.world ??= this.begin();
    const { world } = this;
    withUsage(command.usage, () => command.run(world, words));
    return world.group.takeLines();
  }

  private begin(): World {
    const { options, start, settings } = this.setup;
    const group = new RecordedGroup({ ...options, start, settings });
    for (const id of Object.keys(start)) group.life(id);
    return { group, backups: new Map() };
  }
}

function own<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function withUsage(usage: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${error.message} (usage: ${usage})`);
  }
}
