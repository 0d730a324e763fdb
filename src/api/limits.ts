/**
 * Every limit that more than one part of the service must agree on. Sizes in bytes, times in
 * milliseconds. Limits of one part only stand in that part.
 */
const MiB = 1024 * 1024;

/** Largest encoded write request (etcd's --max-request-bytes default); above: RequestTooLarge. */
export const maxRequestBytes = 1.5 * MiB;

/** Largest message taken at all (etcd's gRPC receive limit); above: ResourceExhausted. */
export const maxMessageBytes = 2 * MiB;

/** Operations in one list of a transaction (etcd's --max-txn-ops default). */
export const maxTxnOps = 128;

/** Nesting of transactions inside transactions. */
export const maxTxnDepth = 16;

/** Keys and values of one reply together; above: ReplyTooLarge. */
export const maxReplyBytes = 16 * MiB;

/** Key versions that one log entry may write; above: TooManyChanges, before the first write. */
export const maxChangesPerEntry = 100_000;

/**
 * Keys that compares and ranges of the transactions in one log entry may look at; above:
 * TooManyVisits. Every member does this work in one turn. Read-only transactions are not bounded
 * by it: they are read in pages, like ranges.
 */
export const maxVisitsPerEntry = 200_000;

/** Answers kept of commands that take effect once (src/kv/once.ts); above, the oldest go. */
export const maxOnceRecords = 65_536;

/** Keys and values in the reply of a command that takes effect once; above: ReplyTooLarge. */
export const maxOnceReplyBytes = 16 * 1024;

/** How long such an answer is kept, if there is room. */
export const onceKeptMs = 24 * 3_600_000;

/**
 * How long a router may go on repeating such a command: the longest deadline, and half of it for
 * clocks that differ. A younger record stays, whatever comes.
 */
export const onceRepeatedMs = 90_000;

/** Bytes of commands in one log entry, unless a single command is larger. */
export const maxBatchBytes = 512 * 1024;

/** Places that a group may be founded on; birth asks all of them, whatever the size. */
export const foundingPlaces = [1, 2, 3, 4, 5] as const;

/** Learners that may be added through /v3 (etcd's --max-learners default); above: TooManyLearners. */
export const learnersMax = 1;

/** Deadline of a client's request that names none. */
export const defaultRequestTimeoutMs = 5_000;

/** Longest deadline a client may ask for. */
export const maxRequestTimeoutMs = 60_000;

/** Version of the router-member and member-member protocols (member.proto, peer.proto). */
export const protocolVersion = 1;

/** Longest time that a timer of the runtime knows; a longer one fires at once. */
export const timerMaxMs = 2 ** 31 - 1;
