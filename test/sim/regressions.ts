/** Seeds that failed once, with what they found. CI runs them first. */
export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 2, found: 'a batch that the core had no room for was offered again without a pause' },
];
