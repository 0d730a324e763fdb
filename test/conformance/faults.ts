/**
 * Members that are aborted or evicted between the exchanges of a replay, at random from a seed. That it
 * truly happened is shown by the lives that the members have begun, not by what they were asked to do.
 */
import { Gateway } from '../support/gateway.ts';
import { Random } from '../support/random.ts';

const kinds = ['abort', 'evict'] as const;
/** Of the exchanges that something happens before. */
const share = 0.3;

export interface FaultCount {
  readonly asked: Readonly<Record<(typeof kinds)[number], number>>;
  /** Lives that members began, of all members together and of the one that began the fewest. */
  readonly lives: number;
  readonly fewestLives: number;
}

export class Faults {
  private readonly gateway: Gateway;
  private readonly random: Random;
  private readonly members: number;
  private readonly asked = { abort: 0, evict: 0 };
  private bootsBefore: readonly number[] | null = null;

  constructor(url: string, members: number, seed: number) {
    this.gateway = new Gateway(url);
    this.random = new Random(seed);
    this.members = members;
  }

  /** Before an exchange. The first ones are left alone: there is no group yet. */
  async strike(): Promise<void> {
    this.bootsBefore ??= await this.boots();
    if (this.bootsBefore === null || this.random.next() >= share) return;
    const kind = this.random.pick(kinds);
    const place = this.random.integer(1, this.members);
    const path = `/chaos/${kind}?tenant=default&place=${place}`;
    const { status, text } = await this.gateway.send('POST', path, '');
    if (status !== 200) throw new Error(`${path} was answered with ${status}: ${text}`);
    this.asked[kind] += 1;
  }

  async count(): Promise<FaultCount> {
    const after = await this.boots();
    const before = this.bootsBefore;
    this.gateway.close();
    const lives = after?.map((boot, at) => boot - (before?.[at] ?? boot)) ?? [];
    const sum = lives.reduce((all, one) => all + one, 0);
    return { asked: this.asked, lives: sum, fewestLives: Math.min(...lives) };
  }

  /** Null: not all members are born. */
  private async boots(): Promise<number[] | null> {
    const { members } = await this.gateway.status();
    const born = members.filter((member) => 'born' in member && member.born);
    return born.length < this.members ? null : born.map(({ boot }) => boot);
  }
}
