/**
 * What members write by hand (src/node-do/wire.ts) is what protobuf's own code makes of peer.proto, in both directions.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BirthRecordSchema, EnvelopeSchema } from '../../src/api/gen/peer_pb.js';
import { decodeEnvelope, encodeEnvelope } from '../../src/node-do/envelope.ts';
import { memberId } from '../../src/node-do/identity.ts';
import type { Body, Message } from '../../src/raft/types.ts';

const number = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
);
const text = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'grapheme' }));
const data = fc.uint8Array({ maxLength: 400 });
const member = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.stringMatching(/^[0-9a-f]{16}$/))
  .map(([place, incarnation]) => memberId(place, incarnation));
const members = fc.array(member, { maxLength: 4 });
const configuration = fc.record({ voters: members, outgoing: members, learners: members });
const leader = fc.option(member);
const logEnd = { lastIndex: number, lastTerm: number };
const fromLeader = {
  readPosition: number,
  barrier: number,
  knownBoot: number,
  knownMatch: number,
};
const payload = fc.oneof(
  fc.record({ type: fc.constant('noop' as const) }),
  fc.record({ type: fc.constant('data' as const), data }),
  fc.record({ type: fc.constant('configuration' as const), configuration }),
);

const body: fc.Arbitrary<Body> = fc.oneof(
  fc.record({ type: fc.constant('preVote' as const), ...logEnd }),
  fc.record({ type: fc.constant('vote' as const), ...logEnd, transfer: fc.boolean() }),
  fc.record({
    ...{ type: fc.constantFrom('preVoteReply' as const, 'voteReply' as const) },
    ...{ granted: fc.boolean(), toBoot: number, requestTerm: number, leader },
    ...logEnd,
  }),
  fc
    .record({
      ...{ type: fc.constant('append' as const), prevIndex: fc.nat(), prevTerm: number },
      ...{ entries: fc.array(fc.record({ term: number, payload })), commit: number },
      ...fromLeader,
    })
    .map((append) => {
      const at = append.prevIndex + 1;
      return { ...append, entries: append.entries.map((one, i) => ({ index: at + i, ...one })) };
    }),
  fc.record({
    ...{ type: fc.constant('appendReply' as const), ok: fc.boolean(), index: number },
    ...{ hintIndex: number, hintTerm: number, commit: number, toBoot: number },
    ...{ readPosition: number, leaderLostEntries: fc.boolean(), canApply: fc.boolean() },
    ...logEnd,
  }),
  fc.record({
    type: fc.constant('snapshot' as const),
    snapshot: fc.record({ id: text, index: number, term: number, configuration }),
    cursor: text,
    chunk: fc.record({ data, next: fc.option(text) }),
    ...fromLeader,
  }),
  fc.record({
    ...{ type: fc.constant('snapshotReply' as const), id: text, cursor: text },
    ...{ toBoot: number, readPosition: number },
  }),
  fc.record({ type: fc.constant('readRequest' as const), id: number, ...logEnd }),
  fc.record({
    ...{ type: fc.constant('readReply' as const), id: number, toBoot: number, index: number },
    ...{ indexTerm: number, refused: fc.boolean(), removed: fc.boolean(), leader },
  }),
  fc.record({ type: fc.constantFrom('timeoutNow' as const, 'suspicion' as const) }),
);

const birth = create(BirthRecordSchema, { groupId: 'feed', size: 3 });
const code = { protocol: 1, minProtocol: 1, rules: 4 };
const call = fc.record({
  route: fc.record({ from: member, to: member, boot: number }),
  groupId: fc.stringMatching(/^[0-9a-f]{16}$/),
  birth: fc.constantFrom(null, birth),
  said: fc.array(fc.record({ term: number, body }), { maxLength: 3 }),
});

function messagesOf({ route, said }: typeof call extends fc.Arbitrary<infer T> ? T : never) {
  return said.map(({ term, body }): Message => ({ ...route, term, ...body }));
}

describe('an envelope', () => {
  it('is what protobuf writes, byte for byte', () => {
    fc.assert(
      fc.property(call, (one) => {
        const sender = { code, groupId: one.groupId, birth: one.birth };
        const bytes = encodeEnvelope(sender, one.route, messagesOf(one));
        expect(toBinary(EnvelopeSchema, fromBinary(EnvelopeSchema, bytes))).toEqual(bytes);
        expect(fromBinary(EnvelopeSchema, bytes).$unknown).toBeUndefined();
      }),
    );
  });

  it('arrives as it was sent', () => {
    fc.assert(
      fc.property(call, (one) => {
        const messages = messagesOf(one);
        const sender = { code, groupId: one.groupId, birth: one.birth };
        const { from, to } = one.route;
        expect(decodeEnvelope(encodeEnvelope(sender, one.route, messages))).toEqual({
          ...{ from, to, groupId: one.groupId, birth: one.birth, messages },
          ...{ rulesVersion: code.rules, minProtocol: code.minProtocol },
        });
      }),
    );
  });

  it('is read by the numbers of its fields, whatever newer code adds', () => {
    const wire = create(EnvelopeSchema, {
      from: { place: 1, incarnation: 'a' },
      to: { place: 2, incarnation: 'b' },
      boot: 7n,
      messages: [
        { term: 5n, body: { case: 'readRequest', value: { id: 1n, lastIndex: 2n, lastTerm: 3n } } },
        { term: 5n },
      ],
    });
    const [known, unknown] = wire.messages;
    if (!known || !unknown) throw new Error('two messages');
    const more = (no: number) => [{ no, wireType: 2, data: new Uint8Array([2, 8, 1]) }];
    known.$unknown = [...more(14), { no: 200, wireType: 0, data: new Uint8Array([1]) }];
    unknown.$unknown = more(14);
    wire.$unknown = [{ no: 15, wireType: 1, data: new Uint8Array(8) }];
    const [from, to] = [memberId(1, 'a'), memberId(2, 'b')];
    expect(decodeEnvelope(toBinary(EnvelopeSchema, wire)).messages).toEqual([
      { ...{ from, to, boot: 7, term: 5 }, type: 'readRequest', id: 1, lastIndex: 2, lastTerm: 3 },
    ]);
  });

  it('that is cut off anywhere is none, and nothing but an error comes of it', () => {
    const route = { from: memberId(1, 'a'), to: memberId(2, 'b'), boot: 7 };
    const entry = {
      index: 4,
      term: 2,
      payload: { type: 'data' as const, data: new Uint8Array(9) },
    };
    const append = {
      ...{ type: 'append' as const, prevIndex: 3, prevTerm: 1, entries: [entry], commit: 3 },
      ...{ readPosition: 0, barrier: 0, knownBoot: 0, knownMatch: 0 },
    };
    const sender = { code, groupId: 'feed', birth: null };
    const whole = encodeEnvelope(sender, route, [{ ...route, term: 2, ...append }]);
    const reads = (bytes: Uint8Array) => {
      try {
        return decodeEnvelope(bytes);
      } catch {
        return null;
      }
    };
    const messages = reads(whole)?.messages ?? [];
    for (let length = 0; length < whole.length; length += 1)
      expect([[], messages]).toContainEqual(reads(whole.subarray(0, length))?.messages ?? []);
    expect(messages).toHaveLength(1);
  });

  it('is not written with a number that is none', () => {
    const route = { from: memberId(1, 'a'), to: memberId(2, 'b'), boot: -1 };
    const sender = { code, groupId: 'feed', birth: null };
    expect(() => encodeEnvelope(sender, route, [])).toThrow('field 5');
    const next = encodeEnvelope(sender, { ...route, boot: 1 }, []);
    expect(decodeEnvelope(next)).toMatchObject({ groupId: 'feed', messages: [] });
  });
});
