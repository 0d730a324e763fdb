/**
 * The text of a scenario: comments, commands, and under each command what came of it.
 *
 * A line that begins with # is a comment, an indented one is golden output of the command above
 * it, any other is a command: words apart by spaces. Comments and empty lines stay where they are
 * when the output is written anew. The first comment line is the scenario's name.
 */

const indent = '    ';

/** A comment or an empty line has no words. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly words: readonly string[];
}

export interface ScenarioText {
  readonly name: string;
  readonly lines: readonly Line[];
}

/** What is wrong with a script, and where: the runner's only error for a faulty scenario. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';

  constructor(file: string, line: number, message: string) {
    super(`${file}:${line}: ${message}`);
  }
}

/** The golden output is left out: it is compared as text, with what `render` returns. */
export function parse(file: string, text: string): ScenarioText {
  const lines: Line[] = [];
  for (const [at, raw] of text.split('\n').entries()) {
    const isOutput = /^\s+\S/.test(raw);
    if (isOutput && !lines.at(-1)?.words.length)
      throw new ScenarioError(file, at + 1, 'output without a command above it');
    if (isOutput) continue;
    const words = raw.startsWith('#') ? [] : raw.split(/\s+/).filter((word) => word !== '');
    lines.push({ number: at + 1, text: raw.trimEnd(), words });
  }
  const name = /^#\s*(\S.*)$/.exec(lines[0]?.text ?? '')?.[1];
  if (!name) throw new ScenarioError(file, 1, 'the first line is a comment with the name');
  return { name, lines };
}

/** The file as it should be: every line, and after each command the lines that came of it. */
export function render(text: ScenarioText, outputOf: (line: Line) => readonly string[]): string {
  return text.lines
    .flatMap((line) =>
      line.words.length === 0
        ? [line.text]
        : [line.text, ...outputOf(line).map((output) => indent + output)],
    )
    .join('\n');
}
