/**
 * One key with etcd's semantics, and what one operation does to it: the sequential model of the
 * linearizability checker.
 */
import type { Compare, Operation, Version } from './history.ts';

/** A revision that no operation names: that of a write whose outcome is unknown. */
export const hidden = -1;

export interface Register {
  /** null: absent. */
  readonly value: string | null;
  /** 0: absent. */
  readonly modRevision: number;
  /** The newest revision that is known to have passed; later writes have higher ones. */
  readonly floor: number;
}

export const absent: Register = { value: null, modRevision: 0, floor: 0 };

export type KeyStep =
  | { readonly kind: 'put'; readonly value: string }
  /** null: the client was not told. */
  | { readonly kind: 'delete'; readonly deleted: boolean | null }
  | { readonly kind: 'get'; readonly found: Version | null };

/** One way in which an operation may have happened. */
export interface Attempt {
  readonly compares: readonly Compare[];
  /** Whether all compares held; null: the compares of other keys decide it. */
  readonly held: boolean | null;
  readonly steps: readonly KeyStep[];
  /** That its write has, if it writes. */
  readonly revision: number;
}

/** An operation as seen from one key. */
export interface Entry {
  readonly operation: Operation;
  readonly attempts: readonly Attempt[];
}

/** The register afterwards; null when the operation cannot have had its answer. */
export function applyAttempt(attempt: Attempt, before: Register): Register | null {
  if (attempt.held !== null) {
    const held = attempt.compares.every((compare) => holds(compare, before));
    if (held !== attempt.held) return null;
  }
  let register: Register | null = before;
  for (const step of attempt.steps) {
    register = applyStep(step, attempt.revision, register, before.floor);
    if (register === null) return null;
  }
  return register;
}

function applyStep(
  step: KeyStep,
  revision: number,
  register: Register,
  floorBefore: number,
): Register | null {
  switch (step.kind) {
    case 'get': {
      const { found } = step;
      if (found === null) return register.value === null ? register : null;
      const isSame = register.value === found.value && register.modRevision === found.modRevision;
      return isSame ? register : null;
    }
    case 'delete':
      if (step.deleted !== null && step.deleted !== (register.value !== null)) return null;
      if (register.value === null) return register;
      return written(null, 0, revision, floorBefore);
    case 'put':
      return written(step.value, revision, revision, floorBefore);
  }
}

function written(
  value: string | null,
  modRevision: number,
  revision: number,
  floor: number,
): Register | null {
  if (revision === hidden) return { value, modRevision, floor };
  return revision > floor ? { value, modRevision, floor: revision } : null;
}

/** etcd: no comparison with the value of an absent key holds, not even that it differs. */
function holds({ target, relation, operand }: Compare, register: Register): boolean {
  if (target === 'value' && register.value === null) return false;
  const actual = target === 'value' ? register.value : register.modRevision;
  return (actual === operand) === (relation === '=');
}
