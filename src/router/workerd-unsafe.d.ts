/** workerd's module for fault injection; it exists with the compatibility flag `unsafe_module`. */
declare module 'workerd:unsafe' {
  const unsafe: {
    /** Ends the object's life in memory as an eviction does; its storage stays. */
    evict(stub: DurableObjectStub, options: { webSockets: 'hibernate' | 'close' }): Promise<void>;
  };
  // biome-ignore lint/style/noDefaultExport: it is how the runtime exports it
  export default unsafe;
}
