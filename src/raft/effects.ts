/** Effects of a turn: none yet, and those of two take() calls as one. */
import type { Effects } from './types.ts';

export function noEffects(): Effects {
  return {
    lost: false,
    hardState: null,
    chunks: [],
    abandonReception: false,
    truncateFrom: null,
    append: [],
    messages: [],
    committed: [],
    reads: [],
    droppedReads: [],
    openSnapshot: false,
    closeSnapshot: false,
    removed: false,
  };
}

/** The host carries the effects of two takes out together. */
export function joinEffects(first: Effects, second: Effects): Effects {
  if (first.lost || second.lost) return { ...noEffects(), lost: true };
  return {
    lost: false,
    hardState: second.hardState ?? first.hardState,
    chunks: [...first.chunks, ...second.chunks],
    abandonReception: first.abandonReception || second.abandonReception,
    truncateFrom: first.truncateFrom,
    append: [...first.append, ...second.append],
    messages: [...first.messages, ...second.messages],
    committed: [...first.committed, ...second.committed],
    reads: [...first.reads, ...second.reads],
    droppedReads: [...first.droppedReads, ...second.droppedReads],
    openSnapshot: first.openSnapshot || second.openSnapshot,
    closeSnapshot: first.closeSnapshot || second.closeSnapshot,
    removed: first.removed || second.removed,
  };
}
