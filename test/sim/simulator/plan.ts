/**
 * What happens in a seed: its shape, and a list of decisions at times. The plan depends on the seed
 * alone and not on how the run goes, so that a run can be repeated with some decisions left out.
 *
 * A decision that cannot be carried out when its time comes (no leader to transfer from, a place
 * that must not be lost) is skipped; the run counts what was.
 */
import { currentRulesVersion } from '../../../src/kv/batch.ts';
import type { Tuning } from '../../../src/node-do/group-member.ts';
import type { CodeVersion } from '../../../src/node-do/platform.ts';
import { Random } from '../../support/random.ts';

export interface Shape {
  readonly seed: number;
  readonly size: 1 | 3 | 5;
  readonly tuning: Tuning;
  /** One way, between two parties: drawn for each link from [half of this, twice this]. */
  readonly latencyMs: number;
  /** A commit takes from 0 to this long to be durable. */
  readonly commitMsMax: number;
  /** Of a place's clock, at its first life: from minus this to this. */
  readonly skewMsMax: number;
  readonly code: CodeVersion;
  /** Whose voters should lead, best first. */
  readonly preferredPlaces: readonly number[];
  readonly clients: number;
  /** How long decisions go on. */
  readonly chaosMs: number;
}

export interface Plan {
  readonly shape: Shape;
  /** In order of time. */
  readonly decisions: readonly Decision[];
}

/** A place by number, or whichever leads when the time comes. */
export type Target = number | 'leader';

export type ReadVia = 'router' | 'here' | 'serializable';

export type ClientOp =
  | { readonly op: 'put' | 'delete' | 'increment'; readonly key: string }
  | { readonly op: 'move'; readonly key: string; readonly other: string }
  | { readonly op: 'get' | 'range'; readonly key: string; readonly via: ReadVia; place: number }
  /** The state at an earlier revision, so many back. */
  | { readonly op: 'history'; readonly key: string; readonly back: number }
  | { readonly op: 'compact'; readonly back: number }
  | LeaseOp
  | LockOp;

/**
 * Of the leases that its client has asked for: which is in the dice. TTLs in seconds. `attach` puts one
 * more key with the lease, `look` reads all of them.
 */
export type LeaseOp =
  | { readonly op: 'grant'; readonly ttl: number; readonly dice: number }
  | { readonly op: 'keepAlive' | 'revoke' | 'attach'; readonly dice: number }
  | { readonly op: 'look'; readonly dice: number; readonly via: ReadVia; readonly place: number };

/** Gets the lock (in time, or it gives up), writes what it protects, and ends it in one of the ways there are. */
export interface LockOp {
  readonly op: 'lock';
  readonly ttl: number;
  /** 0: only if it is free. */
  readonly waitMs: number;
  /** It writes while it waits, too. */
  readonly early: boolean;
  readonly writes: number;
  /** Silent until the lease has ended, and then it writes; never heard of again; ended by itself. */
  readonly end: 'release' | 'stall' | 'vanish' | 'revoke';
  /** After the end of the lease, of one who stalls. */
  readonly lateMs: number;
}

export const lockerNumbers = [61, 62, 63, 64];

export type ChangeKind = 'add' | 'grow' | 'promote' | 'demote' | 'remove' | 'replace' | 'mend';

export type Fault =
  | { readonly do: 'cut'; readonly from: Target; readonly to: Target; readonly bothWays: boolean }
  | { readonly do: 'isolate'; readonly place: Target; readonly fromClients: boolean }
  | { readonly do: 'split'; readonly side: readonly number[] }
  | { readonly do: 'strand'; readonly client: number; readonly place: Target }
  | { readonly do: 'lossy'; readonly probability: number }
  | { readonly do: 'lossyResponses'; readonly probability: number }
  | { readonly do: 'duplicates'; readonly probability: number }
  | { readonly do: 'delays'; readonly probability: number; readonly byMs: number }
  | { readonly do: 'refusals'; readonly place: Target; readonly overloaded: boolean }
  | { readonly do: 'slowDisk'; readonly place: Target; readonly commitMs: number }
  | { readonly do: 'freezeClock'; readonly place: Target }
  | { readonly do: 'lateAlarms'; readonly byMs: number }
  | {
      readonly do: 'crash';
      readonly place: Target;
      readonly moment: CrashAt;
      readonly keeps: boolean;
    }
  | { readonly do: 'supersede'; readonly place: Target };

/** When the process dies: now, or around its next transaction. */
export type CrashAt = 'now' | 'afterTransaction' | 'beforeTransaction' | 'gateOpens';

export type Blow =
  | { readonly do: 'evict'; readonly place: Target }
  | { readonly do: 'evictAll' }
  | { readonly do: 'alarm'; readonly place: Target; readonly times: number }
  | { readonly do: 'clock'; readonly place: Target; readonly byMs: number }
  /** The next alarm's handler fails until the platform gives it up. */
  | { readonly do: 'dropAlarm'; readonly place: Target }
  | {
      readonly do: 'deploy';
      readonly code: CodeVersion;
      readonly spreadMs: number;
      /** Null: all. */
      readonly places: readonly number[] | null;
      readonly downMs: number;
    }
  | { readonly do: 'forgetHints'; readonly client: number }
  | { readonly do: 'wipe'; readonly place: number }
  | { readonly do: 'backup'; readonly place: number }
  | { readonly do: 'restore'; readonly place: number };

/** A quorum is gone for good, and after a while somebody has a survivor go on without it. */
export interface Catastrophe {
  readonly do: 'loseQuorum';
  /** Who survives, and who else. */
  readonly dice: number;
  /** Storages are lost; else nothing runs at those places any more. */
  readonly comesBack: boolean;
  readonly askedAfterMs: number;
}

export type Admin =
  | { readonly do: 'change'; readonly kind: ChangeKind; readonly dice: number }
  | { readonly do: 'transfer'; readonly place: number };

export type Decision = { readonly at: number } & (
  | ({ readonly do: 'op'; readonly client: number } & { readonly call: ClientOp })
  | (Fault & { readonly forMs: number })
  | Blow
  | Catastrophe
  | Admin
);

export const placesMax = 7;

const rules = currentRulesVersion;
export const firstCode: CodeVersion = { rules, protocol: 1, minProtocol: 1 };
const nextCode: CodeVersion = { rules: rules + 1, protocol: 2, minProtocol: 1 };
/** What it says neither of the others understands. */
const farCode: CodeVersion = { rules: rules + 1, protocol: 3, minProtocol: 3 };

/** Every kind of fault; the table of a run says of each how often it happened. */
export const faultKinds = Object.keys({
  cut: true,
  isolate: true,
  split: true,
  strand: true,
  lossy: true,
  lossyResponses: true,
  duplicates: true,
  delays: true,
  refusals: true,
  slowDisk: true,
  freezeClock: true,
  lateAlarms: true,
  crash: true,
  supersede: true,
  evict: true,
  evictAll: true,
  alarm: true,
  dropAlarm: true,
  clock: true,
  deploy: true,
  forgetHints: true,
  wipe: true,
  backup: true,
  restore: true,
  loseQuorum: true,
} satisfies Record<(Fault | Blow | Catastrophe)['do'], true>);

/** Every kind of change; each has to succeed now and then. */
export const changeKinds = Object.keys({
  add: true,
  grow: true,
  promote: true,
  demote: true,
  remove: true,
  replace: true,
  mend: true,
} satisfies Record<ChangeKind, true>);

const keys = ['a', 'b', 'c', 'd', 'e', 'f'];

export function makePlan(seed: number): Plan {
  const random = new Random(seed);
  // What came later draws from a stream of its own: the rest of a seed's plan stays as it was.
  const more = new Random(seed + 0x5eed_0000);
  const shape = { ...makeShape(seed, random), preferredPlaces: makeOrder(more) };
  const quiet = makeQuiet(random, shape);
  const decisions = [
    ...makeOps(random, shape),
    ...makeFaults(random, shape),
    ...makeAdmin(random, shape),
    ...makeVersions(random, shape),
    ...makeLosses(random, shape),
    ...makeDroppedAlarms(more, shape),
    ...makeFarCode(more, shape),
    ...makeCatastrophe(more, shape),
    ...makeRollback(more, shape),
    ...makeLeftBehind(more, shape),
    ...makeLeases(new Random(seed + 0x1ea5_0000), shape),
    ...makeSetBack(new Random(seed + 0xc10c_0000), shape),
    // Numbers with which the seeds of regressions.ts have none of these: what they found they find again.
    ...makeLeaseKeys(new Random(seed + 0x1ea5_04e2), shape),
    ...makeLocks(new Random(seed + 0x10c5_0018), shape),
  ].map((decision) => ({ ...decision, at: quiet(decision.at) }));
  decisions.sort((a, b) => a.at - b.at);
  return { shape: { ...shape, chaosMs: quiet(shape.chaosMs) }, decisions };
}

function makeShape(seed: number, random: Random): Omit<Shape, 'preferredPlaces'> {
  return {
    seed,
    size: random.pick([1, 3, 3, 3, 3, 5] as const),
    tuning: makeTuning(random),
    latencyMs: random.pick([0.5, 2, 10, 40]),
    commitMsMax: random.pick([0, 1, 10]),
    skewMsMax: random.pick([0, 200, 60_000]),
    code: firstCode,
    clients: random.integer(4, 7),
    chaosMs: random.pick([15_000, 30_000, 45_000]),
  };
}

/** In a third of the seeds the host says who should lead. */
function makeOrder(random: Random): number[] {
  if (random.next() >= 1 / 3) return [];
  const order: number[] = [];
  for (let left = random.integer(1, 3); left > 0; left -= 1) {
    const place = random.integer(1, placesMax - 2);
    if (!order.includes(place)) order.push(place);
  }
  return order;
}

/** Small limits make the rare paths common. */
function makeTuning(random: Random): Tuning {
  const keptEntries = random.pick([2, 4, 16, 64, 2_048]);
  const storage = {
    chunkBytesMax: random.pick([60, 200, 262_144]),
    keptEntries,
    entriesPerCheck: random.pick([1, 4, 16]),
    entriesPerCut: random.pick([2, 16, 4_096]),
  };
  if (random.next() < 0.4) return { storage };
  const core = {
    appendEntriesMax: random.integer(1, 3),
    committedEntriesMax: random.integer(1, 3),
    inflightMessagesMax: random.integer(1, 3),
    uncommittedBytesMax: random.pick([1, 100, 1_000]),
    pendingReadsMax: random.integer(1, 5),
    readSpacingMs: random.integer(0, 5),
    readRequestsMax: random.integer(1, 4),
    commitNoticeMs: random.integer(0, 20),
    // More than repairAfterMs: a silent follower is given up first.
    snapshotIdleMs: random.pick([15_000, 300_000]),
    promotionLagMax: random.pick([2, 1_000]),
  };
  return { storage, core };
}

/** Moves times behind a pause: the group comes to rest in it, and is woken. */
function makeQuiet(random: Random, { chaosMs }: Pick<Shape, 'chaosMs'>): (at: number) => number {
  const pauses = Array.from({ length: random.integer(0, 2) }, () => ({
    at: random.integer(0, chaosMs),
    ms: random.pick([3_000, 20_000, 200_000]),
  }));
  return (at) => pauses.reduce((sum, pause) => (pause.at <= at ? sum + pause.ms : sum), at);
}

const opsMin = 320;
const opsMax = 420;

function makeOps(random: Random, { clients, chaosMs }: Shape): Decision[] {
  return Array.from({ length: random.integer(opsMin, opsMax) }, () => ({
    at: random.integer(0, chaosMs),
    do: 'op' as const,
    client: random.integer(1, clients),
    call: makeOp(random),
  }));
}

function makeOp(random: Random): ClientOp {
  const key = random.pick(keys);
  const dice = random.integer(1, 100);
  if (dice <= 30) return { op: 'put', key };
  if (dice <= 37) return { op: 'delete', key };
  if (dice <= 47) return { op: 'increment', key };
  if (dice <= 53) return { op: 'move', key, other: random.pick(keys) };
  if (dice <= 56) return { op: 'history', key, back: random.integer(0, 20) };
  if (dice <= 58) return { op: 'compact', back: random.integer(0, 10) };
  const via = random.pick(['router', 'router', 'here', 'serializable'] as const);
  const place = random.integer(1, placesMax - 2);
  return { op: dice <= 92 ? 'get' : 'range', key, via, place };
}

/** In a quarter of the seeds the clock of all was ahead by far more than anybody waits, and is set right. */
function makeSetBack(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 1 / 4) return [];
  const at = random.integer(Math.floor((3 * chaosMs) / 4), chaosMs);
  const places = Array.from({ length: placesMax }, (_, before) => before + 1);
  return places.map((place) => ({ at, do: 'clock', place, byMs: -600_000 }));
}

/** In most seeds; of short leases, so that they end under faults. */
function makeLeases(random: Random, { clients, chaosMs }: Shape): Decision[] {
  const count = random.pick([0, 30, 60]);
  return Array.from({ length: count }, () => {
    const dice = random.integer(0, 1_000);
    const kind = random.integer(1, 10);
    const grant = { op: 'grant', ttl: random.pick([2, 2, 3, 5, 10, 20]), dice } as const;
    const other = { op: kind <= 9 ? 'keepAlive' : 'revoke', dice } as const;
    const call = kind <= 3 ? grant : other;
    return {
      at: random.integer(0, chaosMs),
      do: 'op' as const,
      client: random.integer(1, clients),
      call,
    };
  });
}

/** Keys that hang on leases, in half of the seeds. */
function makeLeaseKeys(random: Random, { clients, chaosMs }: Shape): Decision[] {
  const count = random.pick([0, 60]);
  return Array.from({ length: count }, () => {
    const dice = random.integer(0, 1_000);
    const via = random.pick(['router', 'router', 'here', 'serializable'] as const);
    const place = random.integer(1, placesMax - 2);
    const attach = { op: 'attach', dice } as const;
    return {
      at: random.integer(0, chaosMs),
      do: 'op' as const,
      client: random.integer(1, clients),
      call: random.next() < 0.5 ? attach : ({ op: 'look', dice, via, place } as const),
    };
  });
}

/** Contention for one lock, in a third of the seeds. */
function makeLocks(random: Random, { chaosMs }: Shape): Decision[] {
  const count = random.pick([0, 0, 28]);
  return Array.from({ length: count }, () => ({
    at: random.integer(0, chaosMs),
    do: 'op' as const,
    client: random.pick(lockerNumbers),
    call: {
      op: 'lock' as const,
      ttl: random.pick([2, 2, 3]),
      waitMs: random.pick([0, 3_000, 8_000]),
      early: random.next() < 0.5,
      writes: random.integer(1, 3),
      end: random.pick(['release', 'release', 'release', 'stall', 'vanish', 'revoke'] as const),
      lateMs: random.integer(0, 3_000),
    },
  }));
}

const faultsMin = 34;
const faultsMax = 60;

function makeFaults(random: Random, shape: Shape): Decision[] {
  const begin = random.next() < 0.3 ? 0 : 2_000;
  return Array.from({ length: random.integer(faultsMin, faultsMax) }, () => {
    const at = random.integer(begin, shape.chaosMs);
    if (random.next() < 0.3) return { at, ...makeBlow(random, shape) };
    const forMs = random.pick([50, 300, 1_000, 3_000, 12_000]);
    return { at, forMs, ...makeFault(random, shape) };
  });
}

function somePlace(random: Random): Target {
  return random.next() < 0.4 ? 'leader' : random.integer(1, placesMax - 2);
}

function makeFault(random: Random, { clients }: Shape): Fault {
  const place = somePlace(random);
  switch (random.integer(1, 20)) {
    case 1:
    case 2:
      return { do: 'cut', from: place, to: somePlace(random), bothWays: random.next() < 0.4 };
    case 3:
    case 4:
    case 5:
      return { do: 'isolate', place, fromClients: random.next() < 0.5 };
    case 6: {
      const side = Array.from({ length: placesMax }, (_, at) => at + 1);
      return { do: 'split', side: side.filter(() => random.next() < 0.5) };
    }
    case 7:
      return { do: 'strand', client: random.integer(1, clients), place };
    case 8:
      return { do: 'lossy', probability: random.pick([0.05, 0.3]) };
    case 9:
      return { do: 'lossyResponses', probability: random.pick([0.1, 0.5]) };
    case 10:
      return { do: 'duplicates', probability: random.pick([0.1, 0.5]) };
    case 11:
      return {
        do: 'delays',
        probability: random.pick([0.1, 0.6]),
        byMs: random.pick([50, 600, 4_000]),
      };
    case 12:
      return { do: 'refusals', place, overloaded: random.next() < 0.5 };
    case 13:
      return { do: 'slowDisk', place, commitMs: random.pick([30, 300, 1_500]) };
    case 14:
      return { do: 'freezeClock', place };
    case 15:
      return { do: 'lateAlarms', byMs: random.pick([1_000, 60_000]) };
    case 16:
    case 17:
    case 18: {
      const moment = random.pick([
        'now',
        'afterTransaction',
        'beforeTransaction',
        'gateOpens',
      ] as const);
      return { do: 'crash', place, moment, keeps: random.next() < 0.5 };
    }
    default:
      return { do: 'supersede', place };
  }
}

function makeBlow(random: Random, { clients, code }: Shape): Blow {
  const place = somePlace(random);
  switch (random.integer(1, 9)) {
    case 1:
    case 2:
    case 3:
      return { do: 'evict', place };
    case 4:
      return { do: 'evictAll' };
    case 5:
      return { do: 'alarm', place, times: random.integer(1, 2) };
    case 6:
    case 7:
      return { do: 'clock', place, byMs: random.pick([-1_500, -100, 100, 1_500, 60_000]) };
    case 8:
      return { do: 'deploy', code, spreadMs: random.pick([0, 1_000]), places: null, downMs: 0 };
    default:
      return { do: 'forgetHints', client: random.integer(1, clients) };
  }
}

function makeAdmin(random: Random, { chaosMs }: Shape): Decision[] {
  const changes = random.pick([0, 0, 4, 8, 16]);
  const transfers = random.pick([0, 2, 5]);
  const kinds = [
    'add',
    'add',
    'grow',
    'promote',
    'promote',
    'demote',
    'remove',
    'replace',
    'mend',
  ] as const;
  const at = () => random.integer(1_000, chaosMs);
  return [
    ...Array.from({ length: changes }, () => ({
      at: at(),
      do: 'change' as const,
      kind: random.pick(kinds),
      dice: random.integer(0, 1_000),
    })),
    ...Array.from({ length: transfers }, () => ({
      at: at(),
      do: 'transfer' as const,
      place: random.integer(1, 5),
    })),
  ];
}

/** A rolling deploy of newer code, perhaps taken back once. */
function makeVersions(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 0.25) return [];
  const deploy = (code: CodeVersion): Decision => ({
    at: random.integer(2_000, chaosMs),
    do: 'deploy',
    code,
    spreadMs: random.pick([0, 2_000, 15_000]),
    places: null,
    downMs: 0,
  });
  return [deploy(nextCode), ...(random.next() < 0.4 ? [deploy(firstCode)] : [])];
}

/** The repair of a group may lose the alarm that it hangs on. */
function makeDroppedAlarms(random: Random, { chaosMs }: Shape): Decision[] {
  return Array.from({ length: random.pick([0, 0, 1, 4]) }, () => ({
    at: random.integer(0, chaosMs),
    do: 'dropAlarm' as const,
    place: somePlace(random),
  }));
}

/** Some run code that the others cannot hear, until all run it. */
function makeFarCode(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 0.1) return [];
  const places = Array.from({ length: placesMax }, (_, at) => at + 1).filter(
    () => random.next() < 0.4,
  );
  const at = random.integer(1_000, chaosMs);
  const spreadMs = random.pick([0, 2_000]);
  return [{ at, do: 'deploy', code: farCode, spreadMs, places, downMs: 0 }];
}

/** One place comes back with older code, and meets what was written in newer rules meanwhile. */
function makeRollback(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 0.12) return [];
  const at = random.integer(1_000, Math.floor(chaosMs / 2));
  const places = [random.integer(1, 3)];
  const all = { do: 'deploy', code: nextCode, spreadMs: 0, places: null, downMs: 0 } as const;
  const downMs = random.pick([1_000, 4_000]);
  const back = { do: 'deploy', code: firstCode, spreadMs: 0, places, downMs } as const;
  return [
    { at, ...all },
    { at: at + random.pick([500, 2_000]), ...back },
  ];
}

/**
 * A follower runs on another machine from now on, and nobody has told the old one; just then the
 * leader is cut off from everybody but that.
 */
function makeLeftBehind(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 0.4) return [];
  return Array.from({ length: random.integer(1, 8) }, () => {
    const at = random.integer(1_000, chaosMs);
    const forMs = random.pick([1_000, 3_000]);
    return [
      { at, forMs, do: 'supersede' as const, place: random.integer(1, 3) },
      { at, forMs, do: 'isolate' as const, place: 'leader' as const, fromClients: false },
    ];
  }).flat();
}

function makeCatastrophe(random: Random, { chaosMs }: Shape): Decision[] {
  if (random.next() >= 0.06) return [];
  const at = random.integer(2_000, chaosMs);
  return [
    {
      at,
      do: 'loseQuorum',
      dice: random.integer(0, 1_000),
      comesBack: random.next() < 0.6,
      askedAfterMs: random.pick([0, 1_000, 5_000]),
    },
  ];
}

/** What loses data: at most one place in a seed, and rarely. */
function makeLosses(random: Random, { chaosMs }: Shape): Decision[] {
  const dice = random.next();
  const place = random.integer(1, 3);
  const at = random.integer(1_000, chaosMs);
  if (dice < 0.15) return [{ at, do: 'wipe', place }];
  if (dice >= 0.25) return [];
  const backup = random.integer(500, at);
  return [
    { at: backup, do: 'backup', place },
    { at, do: 'restore', place },
  ];
}
