/**
 * The one place that reads the flags which the platform puts on exceptions of `stub.fetch`
 * (shared/platform-facts.md section 6).
 *
 * The only question that matters to a write is whether it may have reached a core. "No" needs
 * proof; everything that is not proof is "maybe".
 */
export interface PlatformFault {
  /** False: the request certainly did not reach the member. */
  readonly maybeDelivered: boolean;
  /** The platform sheds load: asking again at once makes it worse. */
  readonly overloaded: boolean;
  readonly reason: string;
}

export function platformFault(error: unknown): PlatformFault {
  const flags: { overloaded?: unknown; remote?: unknown } =
    typeof error === 'object' && error !== null ? error : {};
  // `remote` says that the callee threw it. A member may have passed on the overload of somebody
  // it called in turn, after it took our write; only our own end's refusal proves anything.
  const overloaded = flags.overloaded === true && flags.remote !== true;
  return {
    maybeDelivered: !overloaded,
    overloaded,
    reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
  };
}
