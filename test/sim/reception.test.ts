/** A member that is receiving a snapshot when another one begins (docs/decisions/snapshots.md). */
import { create, toBinary } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { type Envelope, EnvelopeSchema } from '../../src/api/gen/peer_pb.js';
import type { Traffic } from './cluster.ts';
import { born, put } from './support.ts';

function isLaterChunk({ to, envelope }: Traffic): boolean {
  return (
    to === 3 &&
    (envelope?.messages ?? []).some(
      ({ body }) => body.case === 'snapshot' && body.value.cursor !== '',
    )
  );
}

/** The chunk that is on its way, and behind it the first one of another snapshot. */
function followedByAnother(envelope: Envelope): Envelope {
  const [message] = envelope.messages;
  if (message?.body.case !== 'snapshot') throw new Error('a chunk was expected');
  const value = { ...message.body.value, id: 'another', cursor: '', data: new Uint8Array(1) };
  const another = { ...message, body: { case: 'snapshot' as const, value } };
  return create(EnvelopeSchema, { ...envelope, messages: [message, another] });
}

it('gives the one up before it takes the other, whatever comes together', async () => {
  const cluster = await born();
  cluster.drop = ({ from, to }) => from === 3 || to === 3;
  const value = 'x'.repeat(1_000_000);
  for (let n = 0; n < 24; n += 1) await put(cluster, 1, `k${n}`, value);
  await cluster.world.pass(12_000);
  for (let n = 0; n < 16; n += 1) await put(cluster, 1, `l${n}`, 'x');
  expect(cluster.status(1).firstIndex).toBeGreaterThan(10);
  cluster.drop = isLaterChunk;
  cluster.traffic.length = 0;
  await put(cluster, 1, 'a', '3');
  await cluster.world.pass(3_000);
  const chunk = cluster.traffic.find(isLaterChunk)?.envelope as Envelope;
  const both = toBinary(EnvelopeSchema, followedByAnother(chunk));
  cluster.drop = () => false;
  await cluster.world.settle(cluster.deliver(1, 3, 'peer', both));
  // What comes late continues nothing.
  await cluster.world.settle(cluster.deliver(1, 3, 'peer', toBinary(EnvelopeSchema, chunk)));
  expect(cluster.aborts).toEqual([]);
  await cluster.world.pass(10_000);
  expect(cluster.status(3).revision).toBe(cluster.status(1).revision);
});
