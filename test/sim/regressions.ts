/** Seeds that failed once, with what they found. CI runs them first. */
export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 2, found: 'a batch that the core had no room for was offered again without a pause' },
  { seed: 66, found: 'no repair alarm where a compaction ended after the last turn' },
  { seed: 256, found: 'a member that lagged hid the living members from the router' },
];
