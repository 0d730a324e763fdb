/**
 * The network between members: a pool of messages under way, and links that can be cut one way.
 */
import type { MemberId, Message } from '../../../src/raft/types.ts';

export class Network {
  readonly ids: MemberId[];
  /** Messages under way, oldest first. */
  pool: Message[] = [];
  /** Every message ever sent; tests count it and clear it. */
  sent: Message[] = [];
  /** True: the link loses this message. */
  loses: (message: Message) => boolean = () => false;
  private readonly cut = new Set<string>();

  constructor(ids: readonly MemberId[]) {
    this.ids = [...ids];
  }

  protected post(message: Message): void {
    this.sent.push(message);
    if (!this.isCut(message) && !this.loses(message)) this.pool.push(message);
  }

  /** Takes what matches out of the pool, undelivered: lost, or for later. */
  withhold(matches: (message: Message) => boolean = () => true): Message[] {
    const held = this.pool.filter(matches);
    this.pool = this.pool.filter((message) => !matches(message));
    return held;
  }

  isolate(...names: string[]): void {
    for (const name of names)
      for (const other of this.ids)
        if (!names.includes(other)) {
          this.cutLink(name, other);
          this.cutLink(other, name);
        }
  }

  /** One way only. */
  cutLink(from: string, to: string): void {
    this.cut.add(`${from}>${to}`);
    this.pool = this.pool.filter((message) => !this.isCut(message));
  }

  heal(): void {
    this.cut.clear();
  }

  isCut({ from, to }: Message): boolean {
    return this.cut.has(`${from}>${to}`);
  }
}
