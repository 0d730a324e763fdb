/**
 * The bindings and variables the router lives on, and what they mean once read.
 *
 * A variable with a value nobody meant (MEMBERS="4") falls back to the default, which is always the
 * closed or the usual one: a typing error must not open a deployment.
 */
export interface RouterEnv {
  readonly RAFT_NODE: DurableObjectNamespace;
  /** Secret that clients send as `Authorization: Bearer`. Empty or absent: no token is right. */
  readonly API_TOKEN?: string;
  /** "true": requests without a token are served too. */
  readonly OPEN_DEFAULT?: string;
  /** "true": any well-formed name under /t/ is a tenant. */
  readonly OPEN_TENANTS?: string;
  /** Size of a group that is created: 1, 3 or 5. */
  readonly MEMBERS?: string;
  /** Where the objects of places are created: "1=weur,2=enam". */
  readonly LOCATION_HINTS?: string;
  /** Origins whose pages may use /v1, separated by commas; "*": all. Absent: none. */
  readonly CORS_ORIGINS?: string;
  /** "true": fault injection routes exist. */
  readonly CHAOS?: string;
}

/** Work that has to be done though the client of its request has gone. */
export type KeepGoing = (work: Promise<unknown>) => void;

const defaultGroupSize = 3;

export function groupSize(env: RouterEnv): 1 | 3 | 5 {
  switch (env.MEMBERS) {
    case '1':
      return 1;
    case '5':
      return 5;
    default:
      return defaultGroupSize;
  }
}
