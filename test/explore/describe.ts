/**
 * A path as lines to read: what happened, and what the member that it happened to is like then.
 */
import { type Entry, type Message, unreachable } from '../../src/raft/types.ts';
import { memberAt, memberNames, placeOf } from './codec.ts';
import type { Model, Step } from './model.ts';
import type { Found } from './search.ts';
import type { World } from './world.ts';

/** Numbered from 1; the start is line 0. */
export function describePath(model: Model, start: World, found: Found): string[] {
  const before = memberNames.map((_, place) => memberLine(model, start, place)).join('; ');
  const lines = [`start: ${before}`];
  for (const message of start.messages)
    lines.push(`       under way: ${messageText(model.messages.row(message))}`);
  const last = found.path.length - 1;
  for (const [at, { step, world }] of found.path.entries()) {
    const place = placeOfStep(model, step);
    const after = at === last ? '' : ` | ${memberLine(model, world, place)}`;
    lines.push(`${String(at + 1).padStart(5)}: ${stepText(model, step)}${after}`);
  }
  lines.push(`violation: ${found.violation}`);
  return lines;
}

function placeOfStep(model: Model, step: Step): number {
  if ('place' in step) return step.place;
  const { from, to } = model.messages.row(step.message);
  return placeOf(step.type === 'fail' ? from : to);
}

function stepText(model: Model, step: Step): string {
  if ('message' in step) {
    const text = messageText(model.messages.row(step.message));
    return `${verbs[step.type]} ${text}`;
  }
  const name = memberAt(step.place);
  switch (step.type) {
    case 'timeOut':
      return `time goes on at ${name}`;
    case 'suspect':
      return `somebody could not reach the leader, and says so to ${name}`;
    case 'crash':
      return `${name} crashes, and begins a new life`;
    case 'propose':
      return `a write is proposed at ${name}`;
    case 'read':
      return `a read begins at ${name}`;
    case 'change':
      return `${name} is to make ${step.target.voters.join('')} the voters`;
    default:
      return unreachable(step);
  }
}

const verbs = {
  deliver: 'arrives:',
  duplicate: 'arrives, and will again:',
  lose: 'is lost:',
  fail: 'is lost, and its sender knows:',
  deliverInVain: 'arrives at a member that crashes in this turn:',
} as const;

function memberLine(model: Model, world: World, place: number): string {
  const { isGone, role, term, log, commit } = model.rowAt(world, place);
  const name = memberAt(place);
  return isGone
    ? `${name} is gone`
    : `${name} ${role} of term ${term}, log [${logText(log)}], commit ${commit}`;
}

function logText(log: readonly Entry[]): string {
  return log.map(entryText).join(' ');
}

function entryText({ term, payload }: Entry): string {
  switch (payload.type) {
    case 'noop':
      return `${term}:`;
    case 'data':
      return `${term}:w${payload.data[0]}`;
    case 'configuration': {
      const { voters, outgoing, learners } = payload.configuration;
      const parts = [voters.join('')];
      if (outgoing.length > 0) parts.push(`from ${outgoing.join('')}`);
      if (learners.length > 0) parts.push(`learners ${learners.join('')}`);
      return `${term}:{${parts.join(' ')}}`;
    }
    default:
      return unreachable(payload);
  }
}

/** Every field, since any of them may be the one that matters. */
function messageText({ from, to, type, ...fields }: Message): string {
  const facts = Object.entries(fields).map(([name, value]) =>
    name === 'entries' ? `entries [${logText(value as Entry[])}]` : `${name} ${value}`,
  );
  return `${type} ${from}>${to} (${facts.join(', ')})`;
}
