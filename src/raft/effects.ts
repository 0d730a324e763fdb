/** The effects of two take() calls in one turn, as one: the host carries them out together. */
import type { Effects } from './types.ts';

export function joinEffects(first: Effects, second: Effects): Effects {
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
