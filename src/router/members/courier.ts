/**
 * Requests to members that travel together: those that one client has sent in one request, of one kind, to one place
 * (docs/decisions/batches.md). What becomes of each is its own affair: this carries them and brings the replies.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { MemberRepliesSchema, MemberRequestsSchema } from '../../api/gen/batch_pb.js';
import { memberPaths } from '../../api/member.ts';
import type { Attempt } from './call.ts';

/** In one of them; what is more goes in another. */
const bytesMax = 1024 * 1024;

/** Sends a body to the member of an attempt; resolves to null when it has no such path. */
export type Post = (
  attempt: Attempt,
  path: string,
  body: Uint8Array<ArrayBuffer>,
) => Promise<Uint8Array | null>;

interface Parcel {
  readonly attempt: Attempt;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly resolve: (reply: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

export class Courier {
  private readonly post: Post;
  /** By place and kind: writes do not wait for reads, nor those that a quorum answers for those that any member does. */
  private readonly waiting = new Map<string, Parcel[]>();
  private isLeaving = false;

  constructor(post: Post) {
    this.post = post;
  }

  /** Resolves to the member's reply. Whatever is sent in the same turn of the event loop goes with it. */
  carry(attempt: Attempt, body: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const to = [attempt.place, attempt.kind].join();
      const parcels = this.waiting.get(to) ?? [];
      parcels.push({ attempt, body, resolve, reject });
      this.waiting.set(to, parcels);
      if (this.isLeaving) return;
      this.isLeaving = true;
      queueMicrotask(() => this.leave());
    });
  }

  private leave(): void {
    this.isLeaving = false;
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const parcels of all) for (const load of loads(parcels)) void this.deliver(load);
  }

  private async deliver(parcels: readonly Parcel[]): Promise<void> {
    const [first] = parcels;
    if (first === undefined) return;
    if (parcels.length === 1) return this.deliverAlone(first);
    try {
      const requests = create(MemberRequestsSchema, { requests: parcels.map(({ body }) => body) });
      const body = toBinary(MemberRequestsSchema, requests) as Uint8Array<ArrayBuffer>;
      const answer = await this.post(first.attempt, memberPaths.clients, body);
      // Of code that takes them one by one: it has not looked at any.
      if (answer === null) await Promise.all(parcels.map((parcel) => this.deliverAlone(parcel)));
      else
        fromBinary(MemberRepliesSchema, answer).replies.forEach((reply, at) => {
          parcels[at]?.resolve(reply);
        });
      for (const { reject } of parcels) reject(new Error('member answered with too few replies'));
    } catch (error) {
      for (const { reject } of parcels) reject(error);
    }
  }

  private async deliverAlone({ attempt, body, resolve, reject }: Parcel): Promise<void> {
    try {
      const reply = await this.post(attempt, memberPaths.client, body);
      if (reply === null) throw new Error('member answered with status 404');
      resolve(reply);
    } catch (error) {
      reject(error);
    }
  }
}

function loads(parcels: readonly Parcel[]): Parcel[][] {
  const found: Parcel[][] = [];
  let bytes = bytesMax;
  for (const parcel of parcels) {
    bytes += parcel.body.length;
    if (bytes > bytesMax) {
      found.push([]);
      bytes = parcel.body.length;
    }
    found.at(-1)?.push(parcel);
  }
  return found;
}
