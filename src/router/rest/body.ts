/**
 * A body in JSON: read within its bounds, then validated. Whatever its Content-Type says
 * it is taken as JSON, as /v3 does, so that `curl -d` works as it stands.
 */
import * as v from 'valibot';
import { maxMessageBytes } from '../../api/limits.ts';
import { BadMessage } from '../etcd/bad-message.ts';
import { decodeText } from '../etcd/json-text.ts';
import { readBody } from '../http/body.ts';
import type { Call } from './call.ts';
import { Refusal } from './problems.ts';

/** Base64 in JSON makes a third more of the largest message. */
const bodyBytesMax = 2 * maxMessageBytes;

export async function readJson<Output>(
  call: Call,
  schema: v.GenericSchema<unknown, Output>,
): Promise<Output> {
  return parseJson(await readText(call), schema);
}

export function parseJson<Output>(text: string, schema: v.GenericSchema<unknown, Output>): Output {
  const json = parse(text);
  // To valibot a list is an object, too: one without fields, which an object of options may be.
  if (Array.isArray(json)) throw new Refusal('bad-request', 'the body is a list, not an object');
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const at = v.getDotPath(issue);
  throw new Refusal('bad-request', `${at === null ? '' : `${at}: `}${issue.message}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refusal('bad-request', `the body is not JSON: ${(error as Error).message}`);
  }
}

export async function readText(call: Call): Promise<string> {
  const body = await readBody(call.request, bodyBytesMax, call.deadline);
  switch (body.kind) {
    case 'tooLarge':
      throw new Refusal('txn-too-large', `${body.size} bytes of JSON`);
    case 'late':
      throw new Refusal('request-timeout', 'the body did not come before the deadline');
    case 'broken':
      throw new Refusal('bad-request', 'the body ended too early');
    case 'bytes':
      try {
        return decodeText(body.bytes);
      } catch (error) {
        if (!(error instanceof BadMessage)) throw error;
        throw new Refusal('bad-request', 'the body is not UTF-8');
      }
    default:
      return body satisfies never;
  }
}
