/**
 * Effects of one turn: joined when the host takes twice, and whether they touch storage.
 */
import type { Effects } from '../../../src/raft/types.ts';

export function join(first: Effects, second: Effects): Effects {
  return {
    hardState: second.hardState ?? first.hardState,
    truncateFrom: first.truncateFrom,
    append: [...first.append, ...second.append],
    messages: [...first.messages, ...second.messages],
    committed: [...first.committed, ...second.committed],
    reads: [...first.reads, ...second.reads],
    droppedReads: [...first.droppedReads, ...second.droppedReads],
  };
}

/** A boot number is written with the first message of its life. */
export function writes(effects: Effects, life: { readonly bootSaved: boolean }): boolean {
  const { hardState, truncateFrom, append, committed, messages } = effects;
  const savesBoot = messages.length > 0 && !life.bootSaved;
  return (
    hardState !== null ||
    truncateFrom !== null ||
    append.length > 0 ||
    committed.length > 0 ||
    savesBoot
  );
}
