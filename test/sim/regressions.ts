/**
 * Seeds that failed once, with what they found. CI runs them first. Each fails again when its fault
 * is put back (npm run mutants -- --simulate 20 --only no-room,newer-answer); what no seed shows any more has a test
 * of its own: the end of a compaction in queues.test.ts, members that lag in test/router/leader.test.ts, and a
 * keep-alive that never ends in stuck.test.ts.
 */
export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 2, found: 'a batch that the core had no room for was offered again without a pause' },
  { seed: 11, found: 'an answer in a protocol that this code does not know was listened to' },
  { seed: 219, found: 'a watchdog whose clock was set ahead while it asked rang for ever' },
  {
    seed: 974,
    found: 'a change without an answer came after the heal, and needed who stayed down (oracle)',
  },
  {
    seed: 4810,
    found: 'the founder stayed down, and had told nobody that the group was born (oracle)',
  },
  { seed: 5152, found: 'a withheld write got the answer of the entry that took its place' },
  {
    seed: 230044132,
    found: 'a chunk came with the first one of another snapshot, and its member ended its life',
  },
  {
    seed: 956243374,
    found: 'a quorum was taken for lost while a member that had been set back answered (oracle)',
  },
  {
    seed: 956243562,
    found: 'a member that had been set back led and removed itself, unnoticed by the oracle',
  },
  {
    seed: 320665501,
    found: 'a read of a superseded life was measured later than it came (oracle)',
  },
  {
    seed: 23175524,
    found:
      'what a superseded leader appended and lost was taken for the expiry of a lease (oracle)',
  },
  { seed: 23175977, found: 'the storage of a removed member was brought back (oracle)' },
  {
    seed: 79136677,
    found: 'what a superseded leader committed alone stood for the history of a lock (oracle)',
  },
  {
    seed: 79136777,
    found:
      'the one founding place that knew of a group that had moved was wiped, and founded another',
  },
  { seed: 5325, found: 'a place that was to vote never came, and kept its group awake' },
  {
    seed: 500000728,
    found:
      'a call about members that waited its turn at a leader that was removed was never answered',
  },
  {
    seed: 500001456,
    found: 'a storage that was set back knew no more of newer rules, and its member led (oracle)',
  },
  {
    seed: 500004319,
    found: 'an answer crossed the moment at which its member was set back, in its order (oracle)',
  },
  {
    seed: 600000268,
    found:
      'a change of members that came to a member which had ended threw instead of being sent on',
  },
  {
    seed: 599463383,
    found:
      'a revocation that was under way for long took a key with it that was put meanwhile (oracle)',
  },
  {
    seed: 1000001271,
    found:
      'a founder crashed in the turn that wrote the birth record, and came back with older code (oracle)',
  },
  {
    seed: 1000003898,
    found:
      'a leader was deposed by the answer of a member that lagged, and nobody let that one catch up',
  },
  {
    seed: 1000015694,
    found:
      'a quorum was taken for lost while a founding member answered that had not heard of its group (oracle)',
  },
  {
    seed: 1000065510,
    found:
      'the alarm of a life was dropped, and its clock set back: it took the alarm for set, and no lease ended',
  },
  {
    seed: 1000054000,
    found: 'the answer that a client holds the lock came when its lease was over (oracle)',
  },
  {
    seed: 1000069364,
    found: 'a member was removed in the turn in which it acknowledged that it was named again',
  },
  {
    seed: 1000042304,
    found:
      'the router went from a place that was left to one member again and again, and the one that could lead slept',
  },
  {
    seed: 1000043257,
    found:
      'a change made the group depend on a place that was wiped before it knew of its birth (simulator)',
  },
  {
    seed: 1000040774,
    found:
      'a recovered group was to take a place as a voter that is its learner already (simulator)',
  },
  {
    seed: 1000061859,
    found:
      'a restored storage led under a boot that one member knew to be used up, and which ignored it for ever',
  },
];
