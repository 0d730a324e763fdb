/** Operations as one line of text each, for messages of the checkers. */
import { type Answer, branchOf, type Compare, type Operation, type Step } from './history.ts';

export function textOf(operation: Operation): string {
  const { id, client, call, outcome, invoked, completed } = operation;
  const interval = `[${invoked}, ${completed === Number.POSITIVE_INFINITY ? '...' : completed}]`;
  const times = Number.isFinite(operation.completedMs)
    ? `${round(operation.invokedMs)}-${round(operation.completedMs)} ms`
    : `from ${round(operation.invokedMs)} ms`;
  const parts = [`#${id}`, `client ${client}`, interval, times];
  if (call.serializable) parts.push('serializable');
  if (call.compares.length > 0) parts.push(`if ${call.compares.map(compareText).join(' and ')}`);
  if (outcome.type === 'ok') {
    const steps = branchOf(call, outcome.succeeded);
    if (call.compares.length > 0) parts.push(outcome.succeeded ? '(held)' : '(did not hold)');
    parts.push(
      steps.map((step, at) => `${stepText(step)}${answerText(outcome.answers[at])}`).join(),
    );
    parts.push(`at revision ${outcome.revision}`);
    if (outcome.servedBy !== undefined) parts.push(`by ${outcome.servedBy}`);
  } else {
    parts.push(call.success.map(stepText).join());
    if (call.failure.length > 0) parts.push(`else ${call.failure.map(stepText).join()}`);
    parts.push(outcome.type);
  }
  return parts.join(' ');
}

function compareText({ key, target, relation, operand }: Compare): string {
  return `${target}(${key}) ${relation} ${operand}`;
}

function stepText(step: Step): string {
  switch (step.kind) {
    case 'put':
      return `put ${step.key}=${step.value}`;
    case 'delete':
      return `delete ${step.key}`;
    case 'get':
      return `get ${step.key}${atText(step.at)}`;
    case 'range':
      return `range ${step.start}..${step.end}${atText(step.at)}`;
  }
}

function atText(at: number | undefined): string {
  return at === undefined ? '' : `@${at}`;
}

function answerText(answer: Answer | undefined): string {
  switch (answer?.kind) {
    case undefined:
    case 'put':
      return '';
    case 'delete':
      return answer.deleted ? ' (deleted)' : ' (was absent)';
    case 'get':
    case 'range': {
      const shown = answer.found.slice(0, foundMax).map((version) => {
        return `${version.key}=${version.value}@${version.modRevision}`;
      });
      const more = answer.found.length - shown.length;
      return ` -> ${shown.join(' ') || 'absent'}${more > 0 ? ` and ${more} more` : ''}`;
    }
  }
}

/** Versions shown of one answer. */
const foundMax = 8;

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
