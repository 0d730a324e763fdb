/**
 * Breadth first from one start: every state within the scope once, nearest first.
 */

import type { Group } from '../raft/support/group.ts';
import { Model, type Step, type Successor } from './model.ts';
import { checkWorld } from './properties.ts';
import type { Scope } from './scope.ts';
import { worldOf } from './starts.ts';
import { Visited } from './visited.ts';
import type { World } from './world.ts';

export interface Limits {
  readonly states: number;
  readonly depth: number;
  readonly seconds: number;
}

export interface Found {
  readonly violation: string;
  /** From the start to the violation. */
  readonly path: readonly PathStep[];
}

export interface PathStep {
  readonly step: Step;
  readonly world: World;
}

export interface Result {
  readonly states: number;
  readonly transitions: number;
  /** Runs of the real core; a turn that was seen before is not run again. */
  readonly turns: number;
  /** Steps from the start; all states up to one less were followed. */
  readonly depth: number;
  readonly seconds: number;
  /** Nothing is left within the scope. */
  readonly isComplete: boolean;
  readonly found: Found | null;
}

const clockEvery = 256;

export class Search {
  readonly model: Model;
  readonly start: World;
  private readonly visited: Visited;
  private readonly limits: Limits;
  private readonly begin = performance.now();
  private transitions = 0;
  private depth = 0;
  private found: Found | null = null;
  private isStopped = false;

  constructor(group: Group, scope: Scope, limits: Limits) {
    this.limits = limits;
    this.model = new Model(scope);
    this.start = worldOf(this.model, group);
    this.visited = new Visited(limits.states);
    this.insert(this.start, -1);
  }

  run(): Result {
    let frontier: World[] = [this.start];
    let first = 0;
    while (frontier.length > 0 && this.depth < this.limits.depth && !this.isStopped) {
      const next: World[] = [];
      this.depth += 1;
      this.follow(frontier, first, next);
      first += frontier.length;
      frontier = next;
    }
    return {
      states: this.visited.count,
      transitions: this.transitions,
      turns: this.model.turns,
      depth: this.depth,
      seconds: (performance.now() - this.begin) / 1000,
      isComplete: frontier.length === 0,
      found: this.found,
    };
  }

  /** `first` is the number of the frontier's first state; they are numbered in order. */
  private follow(frontier: readonly World[], first: number, next: World[]): void {
    for (const [at, world] of frontier.entries()) {
      if (at % clockEvery === 0 && this.isOutOfTime) this.isStopped = true;
      if (this.isStopped) return;
      for (const successor of this.model.successors(world)) {
        this.transitions += 1;
        this.arrive(successor, first + at, next);
        if (this.isStopped) return;
      }
    }
  }

  private arrive(
    { step, world, place, violation }: Successor,
    parent: number,
    next: World[],
  ): void {
    if (violation === null && !this.insert(world, parent)) return;
    const broken = violation ?? this.brokenProperty(world, place);
    if (broken !== null) {
      this.isStopped = true;
      this.found = { violation: broken, path: [...this.pathTo(parent), { step, world }] };
      return;
    }
    next.push(world);
    if (this.visited.isFull) this.isStopped = true;
  }

  private insert(world: World, parent: number): boolean {
    const { fingerprint } = this.model;
    fingerprint.of(world);
    return this.visited.add(fingerprint.low, fingerprint.high, parent) !== -1;
  }

  private brokenProperty(world: World, place: number): string | null {
    try {
      checkWorld(this.model, world, place);
      return null;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return error.message;
    }
  }

  /** Only hashes are kept, so the way is walked again: at each state the first step that fits. */
  private pathTo(number: number): PathStep[] {
    const path: PathStep[] = [];
    let world = this.start;
    for (const at of this.visited.pathTo(number).slice(1)) {
      const successor = this.model.successors(world).find((one) => this.isState(one, at));
      if (!successor) throw new Error('the path is not found again');
      path.push(successor);
      world = successor.world;
    }
    return path;
  }

  private isState({ world, violation }: Successor, number: number): boolean {
    if (violation !== null) return false;
    const { fingerprint } = this.model;
    fingerprint.of(world);
    return (
      fingerprint.low === this.visited.low[number] && fingerprint.high === this.visited.high[number]
    );
  }

  private get isOutOfTime(): boolean {
    return performance.now() - this.begin > this.limits.seconds * 1000;
  }
}
