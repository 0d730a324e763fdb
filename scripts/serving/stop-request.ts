/** When a program that npm runs is to end. */
const parentPollMs = 200;

/**
 * Resolves on a signal, and when the npm that runs the script is killed without a chance to pass one on.
 * `script`: its name in package.json; under another one, or none, the parent is not ours to follow.
 */
export function stopRequest(script: string): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
      process.on(signal, () => resolve());
    if (process.env.npm_lifecycle_event !== script) return;
    const npm = process.ppid;
    setInterval(() => {
      if (process.ppid !== npm) resolve();
    }, parentPollMs).unref();
  });
}
