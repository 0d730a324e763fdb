/** Messages and decisions in one line each, for a trace that a person reads. */
import { fromBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../../../src/api/gen/command_pb.js';
import { MemberRequestSchema } from '../../../src/api/gen/member_pb.js';
import { EnvelopeSchema, type Message } from '../../../src/api/gen/peer_pb.js';
import type { MemberPath } from '../../../src/node-do/platform.ts';
import { firstClient } from './network.ts';
import type { Decision } from './plan.ts';

export function describeCall(
  from: number,
  to: number,
  path: MemberPath,
  body: Uint8Array,
  latencyMs: number | null,
): string {
  const sender = from > firstClient ? `client ${from - firstClient}` : String(from);
  const way = `${sender}>${to}`;
  const arrival = latencyMs === null ? ' (lost)' : ` (${latencyMs.toFixed(1)} ms)`;
  return `${way} ${describeBody(path, body)}${arrival}`;
}

function describeBody(path: MemberPath, body: Uint8Array): string {
  switch (path) {
    case 'birth':
      return 'birth?';
    case 'client': {
      const { op, suspectTerm } = fromBinary(MemberRequestSchema, body);
      const name = op.case === 'command' ? fromBinary(CommandSchema, op.value).op.case : op.case;
      return `request ${name}${suspectTerm === undefined ? '' : `, suspects term ${suspectTerm}`}`;
    }
    case 'peer': {
      const { messages, boot } = fromBinary(EnvelopeSchema, body);
      return `boot ${boot}: ${messages.map(describeMessage).join('; ')}`;
    }
  }
}

function describeMessage({ term, body }: Message): string {
  const shown = JSON.stringify(body.value ?? {}, (key, value) => {
    if (key === '$typeName' || value === 0n || value === false || value === '') return undefined;
    if (key === 'entries')
      return value.map((entry: { term: bigint; payload: { case: string } }) =>
        `${entry.payload.case}/${entry.term}`.toString(),
      );
    if (key === 'data') return '…';
    if (key === 'configuration') return undefined;
    return typeof value === 'bigint' ? Number(value) : value;
  });
  return `${body.case} term ${term} ${shown}`;
}

export function describeDecision(decision: Decision): string {
  const { at, do: what, ...rest } = decision;
  const detail = Object.entries(rest).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return `${what} ${detail.join(', ')}`;
}
