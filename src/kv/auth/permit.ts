/** The one decision: may this caller do what needs this, in the state as it is? */
import type { EtcdErrorName } from '../../api/errors.ts';
import { binaryString } from '../../api/intervals.ts';
import { attachedKeys } from '../attachments.ts';
import type { Store } from '../store.ts';
import type { Auth } from './auth.ts';
import { type Grants, intervalOf } from './grants.ts';
import type { Need, Needs } from './needs.ts';

/** Its roles grant everything. */
export const rootRole = 'root';

export type Caller =
  /** Holds the deployment's secret. */
  | { readonly kind: 'operator' }
  | { readonly kind: 'token'; readonly token: string }
  /** For whom the operator answers: a client certificate named it, and the bridge has looked at that. */
  | { readonly kind: 'named'; readonly name: string }
  /** Whose token was looked at before, by somebody of ours. */
  | { readonly kind: 'user'; readonly name: string; readonly version: bigint };

/** Keys of leases that may still be looked at: by the commands of one entry, or for one read. */
export interface Visits {
  visitsLeft: number;
}

/** `caller` null: nobody has said who it is. Null: it may. */
export function permit(
  store: Store,
  caller: Caller | null,
  needs: Needs,
  visits: Visits,
): EtcdErrorName | null {
  const { auth } = store;
  if (!auth.enabled) return null;
  if (caller === null) return 'UserEmpty';
  if (caller.kind === 'operator') return null;
  const name = nameOf(auth, caller);
  if (name === null) return 'InvalidAuthToken';
  const user = auth.user(name);
  if (!user) return 'PermissionDenied';
  if (user.roles.includes(rootRole)) return null;
  const grants = auth.grantsOf(name);
  for (const need of needs) {
    const refused = lacks(store, grants, need, visits);
    if (refused) return refused;
  }
  return null;
}

/** Null: the token is none, or its user is gone, or has another password since it was given out. */
function nameOf(auth: Auth, caller: Exclude<Caller, { kind: 'operator' }>): string | null {
  if (caller.kind === 'named') return caller.name;
  const known = caller.kind === 'user' ? caller : auth.userOf(caller.token);
  return known && auth.user(known.name)?.version === known.version ? known.name : null;
}

function lacks(store: Store, grants: Grants, need: Need, visits: Visits): EtcdErrorName | null {
  switch (need.kind) {
    case 'root':
      return 'PermissionDenied';
    case 'keys': {
      const [begin, end] = intervalOf(need.key, need.rangeEnd);
      return grants[need.access].covers(begin, end) ? null : 'PermissionDenied';
    }
    case 'lease': {
      const granted = grants[need.access];
      for (const page of attachedKeys(store.sql, need.id.toString())) {
        visits.visitsLeft -= page.length;
        if (visits.visitsLeft < 0) return 'TooManyVisits';
        if (!page.every((key) => granted.has(binaryString(key)))) return 'PermissionDenied';
      }
      return null;
    }
    default:
      return need satisfies never;
  }
}
