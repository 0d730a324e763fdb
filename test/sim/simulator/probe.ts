/**
 * Looks over the shoulder of every core: what take() gives out, what step() takes in, and when reads
 * begin.
 *
 * The real code runs unchanged; this file wraps three methods of the class once, and tells whoever
 * watches at the moment.
 */
import { RaftCore } from '../../../src/raft/core.ts';
import type { Effects, Message } from '../../../src/raft/types.ts';

export interface Watcher {
  took(core: RaftCore, effects: Effects): void;
  steps(core: RaftCore, message: Message): void;
  readBegins(core: RaftCore, id: number): void;
}

let watcher: Watcher | null = null;

export function watchCores(next: Watcher | null): void {
  watcher = next;
}

const { take, step, readIndex } = RaftCore.prototype;

RaftCore.prototype.take = function (this: RaftCore): Effects {
  const effects = take.call(this);
  watcher?.took(this, effects);
  return effects;
};

RaftCore.prototype.step = function (this: RaftCore, message: Message, now: number): void {
  watcher?.steps(this, message);
  step.call(this, message, now);
};

RaftCore.prototype.readIndex = function (this: RaftCore, id: number, now: number): boolean {
  watcher?.readBegins(this, id);
  return readIndex.call(this, id, now);
};
