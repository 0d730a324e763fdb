/**
 * What a deployment sets for its members. A value that nobody meant falls back to the default, as in the
 * router: a typing error must neither stop a member nor delete history.
 */
export interface MemberSettings {
  /** Of the database in use; at least that of an empty one. */
  readonly quotaBytes: number;
  /** null: only clients compact. */
  readonly autoCompaction: AutoCompaction | null;
}

/** How much history is kept. */
export type AutoCompaction =
  | { readonly mode: 'revision'; readonly revisions: number }
  | { readonly mode: 'periodic'; readonly retentionMs: number };

export interface SettingsEnv {
  readonly QUOTA_BYTES?: string;
  /** As etcd's --auto-compaction-mode: "periodic", which is the default, or "revision". */
  readonly AUTO_COMPACTION_MODE?: string;
  /** As etcd's --auto-compaction-retention: "1h", or hours, or revisions; "0": off. */
  readonly AUTO_COMPACTION_RETENTION?: string;
}

const GiB = 1024 ** 3;
/** etcd's. */
const defaultQuotaBytes = 2 * GiB;
/** Two sets of tables (table-sets.ts) and the log have to fit what an object may store. */
const maxQuotaBytes = 4 * GiB;

export const defaultSettings: MemberSettings = {
  quotaBytes: defaultQuotaBytes,
  autoCompaction: null,
};

export function settingsOf(env: SettingsEnv): MemberSettings {
  return {
    quotaBytes: Math.min(wholeNumber(env.QUOTA_BYTES) ?? defaultQuotaBytes, maxQuotaBytes),
    autoCompaction: autoCompactionOf(env),
  };
}

/** For who starts a service by hand, and wants to hear of it; null: each value is one that is meant. */
export function settingsFault(env: SettingsEnv): string | null {
  const { QUOTA_BYTES, AUTO_COMPACTION_MODE = '', AUTO_COMPACTION_RETENTION = '' } = env;
  const quota = wholeNumber(QUOTA_BYTES);
  if (QUOTA_BYTES && (quota === null || quota > maxQuotaBytes))
    return `QUOTA_BYTES=${QUOTA_BYTES} is not allowed: it is 1 to ${maxQuotaBytes}`;
  if (!['', 'periodic', 'revision'].includes(AUTO_COMPACTION_MODE))
    return `AUTO_COMPACTION_MODE=${AUTO_COMPACTION_MODE}: periodic or revision`;
  const isOff = /^0?$/.test(AUTO_COMPACTION_RETENTION);
  if (isOff || autoCompactionOf(env)) return null;
  return `AUTO_COMPACTION_RETENTION=${AUTO_COMPACTION_RETENTION}: 1h or 30m (1s at least), hours, or revisions`;
}

function autoCompactionOf(env: SettingsEnv): AutoCompaction | null {
  const retention = env.AUTO_COMPACTION_RETENTION;
  switch (env.AUTO_COMPACTION_MODE ?? '') {
    case 'revision': {
      const revisions = wholeNumber(retention);
      return revisions === null ? null : { mode: 'revision', revisions };
    }
    case '':
    case 'periodic': {
      const hours = wholeNumber(retention);
      const retentionMs = hours === null ? goDuration(retention ?? '') : hours * hourMs;
      return retentionMs < leastRetentionMs ? null : { mode: 'periodic', retentionMs };
    }
    default:
      return null;
  }
}

/** Above 0, or null. */
function wholeNumber(text: string | undefined): number | null {
  const value = /^\d{1,15}$/.test(text ?? '') ? Number(text) : 0;
  return value > 0 ? value : null;
}

const hourMs = 3_600_000;
const leastRetentionMs = 1_000;
const unitMs: Readonly<Record<string, number>> = { h: hourMs, m: 60_000, s: 1_000, ms: 1 };

/** "1h30m", as Go writes it; 0: it is none. */
function goDuration(text: string): number {
  if (!/^(\d{1,9}(\.\d{1,9})?(ms|h|m|s))+$/.test(text)) return 0;
  let sum = 0;
  for (const [, amount, unit = ''] of text.matchAll(/([\d.]+)(ms|h|m|s)/g))
    sum += Number(amount) * (unitMs[unit] ?? 0);
  return Math.min(sum, Number.MAX_SAFE_INTEGER);
}
