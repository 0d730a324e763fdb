/**
 * Messages made by a test: what a member would send, with the fields that matter named.
 */
import type {
  Append,
  Entry,
  MemberId,
  Message,
  PreVote,
  ReadRequest,
  Vote,
  VoteReply,
} from '../../../src/raft/types.ts';

interface Route {
  readonly from: string;
  readonly to: string;
  readonly term: number;
  readonly boot?: number;
}

export function entry(index: number, term: number, text = `${index}`): Entry {
  return { index, term, payload: { type: 'data', data: new TextEncoder().encode(text) } };
}

/** Entries of these terms, from `first` on. */
export function entries(first: number, ...terms: readonly number[]): Entry[] {
  return terms.map((term, at) => entry(first + at, term));
}

export function append(route: Route, fields: Partial<Append> = {}): Message {
  return {
    ...routed(route),
    prevIndex: 0,
    prevTerm: 0,
    entries: [],
    commit: 0,
    readPosition: 0,
    barrier: 0,
    knownBoot: 0,
    knownMatch: 0,
    ...fields,
    type: 'append',
  };
}

export function vote(route: Route, fields: Partial<Vote> = {}): Message {
  return { ...routed(route), lastIndex: 0, lastTerm: 0, transfer: false, ...fields, type: 'vote' };
}

/** `route.term` is the term of the candidate; it asks for the next one. */
export function preVote(route: Route, fields: Partial<PreVote> = {}): Message {
  return { ...routed(route), lastIndex: 0, lastTerm: 0, ...fields, type: 'preVote' };
}

export function voteReply(route: Route, fields: Partial<VoteReply> = {}): Message {
  return {
    ...routed(route),
    type: 'voteReply',
    granted: true,
    toBoot: 1,
    requestTerm: route.term,
    leader: null,
    lastIndex: 0,
    lastTerm: 0,
    ...fields,
  };
}

export function readRequest(route: Route, fields: Partial<ReadRequest> = {}): Message {
  return { ...routed(route), id: 1, lastIndex: 0, lastTerm: 0, ...fields, type: 'readRequest' };
}

function routed({ from, to, term, boot = 1 }: Route) {
  return { from: from as MemberId, to: to as MemberId, term, boot };
}
