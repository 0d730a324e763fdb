/** The workerd package has no types. It is CommonJS; what Node imports is this object. */
declare module 'workerd' {
  const workerd: {
    /** Path of the binary. */
    readonly default: string;
    readonly version: string;
  };
  export = workerd;
}
