/** Whether the effects of a turn touch storage. */
import type { Effects } from '../../../src/raft/types.ts';

/** A boot number is written with the first message of its life. */
export function writes(effects: Effects, life: { readonly bootSaved: boolean }): boolean {
  const { hardState, truncateFrom, append, committed, messages, chunks } = effects;
  const { openSnapshot, closeSnapshot, lost, removed } = effects;
  const savesBoot = messages.length > 0 && !life.bootSaved;
  return (
    hardState !== null ||
    truncateFrom !== null ||
    append.length > 0 ||
    committed.length > 0 ||
    chunks.length > 0 ||
    openSnapshot ||
    closeSnapshot ||
    effects.abandonReception ||
    lost ||
    removed ||
    savesBoot
  );
}
