/**
 * What members say to each other comes in envelopes: from whom and to whom, of which group and life, by which code
 * (peer.proto).
 */
import { toBinary } from '@bufbuild/protobuf';
import { type BirthRecord, type Envelope, EnvelopeSchema } from '../api/gen/peer_pb.js';
import type { MemberId, Message } from '../raft/types.ts';
import { fromWireMember, toWire, toWireMember } from './codec.ts';
import type { CodeVersion } from './platform.ts';

interface Sender {
  readonly self: MemberId;
  readonly boot: number;
  readonly birth: BirthRecord;
}

export class Envelopes {
  private readonly self: MemberId;
  private readonly boot: number;
  private readonly birth: BirthRecord;
  private readonly code: CodeVersion;
  /** Peers that have answered in this life: they need no birth record any more. */
  private readonly acquainted = new Set<MemberId>();

  constructor({ self, boot, birth }: Sender, code: CodeVersion) {
    this.self = self;
    this.boot = boot;
    this.birth = birth;
    this.code = code;
  }

  answered(peer: MemberId): void {
    this.acquainted.add(peer);
  }

  /** Newer code that this one would misunderstand has not answered it. */
  isAnswerOf(peer: MemberId, envelope: Envelope): boolean {
    const { from, minProtocol } = envelope;
    if (!from || minProtocol > this.code.protocol) return false;
    return this.isForUs(envelope) && fromWireMember(from) === peer;
  }

  /** Every envelope names the group and the target's incarnation (design.md section 4). */
  isForUs(envelope: Envelope): boolean {
    const { groupId, to } = envelope;
    return groupId === this.birth.groupId && to !== undefined && fromWireMember(to) === this.self;
  }

  encode(to: MemberId, messages: readonly Message[]): Uint8Array {
    const envelope: Envelope = {
      $typeName: 'quorate.v1.Envelope',
      protocol: this.code.protocol,
      minProtocol: this.code.minProtocol,
      rulesVersion: this.code.rules,
      groupId: this.birth.groupId,
      from: toWireMember(this.self),
      to: toWireMember(to),
      boot: BigInt(this.boot),
      messages: messages.map(toWire),
      birth: this.acquainted.has(to) ? undefined : this.birth,
    };
    return toBinary(EnvelopeSchema, envelope);
  }
}
