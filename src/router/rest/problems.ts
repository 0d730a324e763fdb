/**
 * Problem documents (RFC 9457) of /v1: every code there is, its status and whether trying again
 * makes sense; and which of them each error of the store becomes. The only table of its kind.
 */
import { type EtcdErrorName, etcdErrors } from '../../api/errors.ts';

/** What a write's client may conclude. */
type Outcome = 'not-applied' | 'unknown';

interface ProblemFacts {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
}

const problems = {
  'bad-request': { status: 400, title: 'The request is not well formed', retryable: false },
  'bad-snapshot': {
    status: 400,
    title: 'This is no snapshot, or not all of one',
    retryable: false,
  },
  'bad-key-encoding': { status: 400, title: 'The key is not well encoded', retryable: false },
  'range-required': { status: 400, title: 'Say which keys are meant', retryable: false },
  'future-revision': { status: 400, title: 'That revision is yet to come', retryable: false },
  'reply-too-large': { status: 400, title: 'The answer would be too large', retryable: false },
  unauthenticated: { status: 401, title: 'A valid token is needed', retryable: false },
  'permission-denied': { status: 403, title: 'No role of the user allows it', retryable: false },
  'key-not-found': { status: 404, title: 'There is no such key', retryable: false },
  'lease-not-found': { status: 404, title: 'There is no such lease', retryable: false },
  'tenant-not-found': { status: 404, title: 'There is no such tenant', retryable: false },
  'not-found': { status: 404, title: 'There is nothing at this path', retryable: false },
  'method-not-allowed': { status: 405, title: 'Not with this method', retryable: false },
  'tenant-exists': { status: 409, title: 'There is, or was, such a tenant', retryable: false },
  'lease-exists': { status: 409, title: 'There is such a lease already', retryable: false },
  'lock-held': { status: 409, title: 'Somebody else holds it', retryable: true },
  compacted: { status: 410, title: 'That revision has been compacted', retryable: false },
  'precondition-failed': { status: 412, title: 'The precondition does not hold', retryable: false },
  'fenced-out': { status: 412, title: 'The lock has moved on', retryable: false },
  'lock-lost': { status: 412, title: 'It is not yours any more', retryable: false },
  'value-too-large': { status: 413, title: 'The value is too large', retryable: false },
  'txn-too-large': { status: 413, title: 'The transaction is too large', retryable: false },
  'idempotency-mismatch': { status: 422, title: 'The key was used otherwise', retryable: false },
  'data-corrupt': { status: 500, title: 'Members hold different data', retryable: false },
  'internal-error': { status: 500, title: 'This is a bug', retryable: false },
  'no-leader': { status: 503, title: 'The group has no leader at the moment', retryable: true },
  'leader-changed': { status: 503, title: 'The leader changed meanwhile', retryable: true },
  overloaded: { status: 503, title: 'Too much to do at the moment', retryable: true },
  'not-ready': { status: 503, title: 'The member cannot serve yet', retryable: true },
  'too-stale': { status: 503, title: 'The replica is not as new as asked', retryable: true },
  'request-timeout': { status: 504, title: 'The deadline has passed', retryable: true },
  'commit-timeout': { status: 504, title: 'Nobody knows whether it was applied', retryable: false },
  'space-quota': { status: 507, title: 'The space of this tenant is used up', retryable: false },
} as const satisfies Record<string, ProblemFacts>;

export type ProblemCode = keyof typeof problems;

export function statusOf(code: ProblemCode): number {
  return problems[code].status;
}

const codeOf: Readonly<Record<EtcdErrorName, ProblemCode>> = {
  EmptyKey: 'bad-request',
  KeyNotFound: 'key-not-found',
  ValueProvided: 'bad-request',
  LeaseProvided: 'bad-request',
  TooManyOps: 'txn-too-large',
  DuplicateKey: 'bad-request',
  InvalidSortOption: 'bad-request',
  RequestTooLarge: 'value-too-large',
  Compacted: 'compacted',
  FutureRev: 'future-revision',
  LeaseNotFound: 'lease-not-found',
  LeaseExist: 'lease-exists',
  LeaseTTLTooLarge: 'bad-request',
  NoSpace: 'space-quota',
  Corrupt: 'data-corrupt',
  WrongDowngradeVersionFormat: 'bad-request',
  InvalidDowngradeTargetVersion: 'bad-request',
  DowngradeInProcess: 'bad-request',
  NoInflightDowngrade: 'bad-request',
  UnknownMethod: 'bad-request',
  TooManyRequests: 'overloaded',
  ReplyTooLarge: 'reply-too-large',
  TooManyChanges: 'txn-too-large',
  TooManyVisits: 'txn-too-large',
  IdempotencyMismatch: 'idempotency-mismatch',
  TooStale: 'too-stale',
  RootUserNotExist: 'bad-request',
  RootRoleNotExist: 'bad-request',
  UserAlreadyExist: 'bad-request',
  UserEmpty: 'unauthenticated',
  UserNotFound: 'bad-request',
  RoleAlreadyExist: 'bad-request',
  RoleNotFound: 'bad-request',
  RoleEmpty: 'bad-request',
  AuthFailed: 'unauthenticated',
  NoPasswordUser: 'unauthenticated',
  PermissionNotGiven: 'bad-request',
  PermissionDenied: 'permission-denied',
  RoleNotGranted: 'bad-request',
  PermissionNotGranted: 'bad-request',
  AuthNotEnabled: 'bad-request',
  InvalidAuthToken: 'unauthenticated',
  InvalidAuthMgmt: 'bad-request',
  NoLeader: 'no-leader',
  LeaderChanged: 'leader-changed',
  Stopped: 'not-ready',
  OutcomeUnknown: 'commit-timeout',
  Timeout: 'request-timeout',
  DeadlineExceeded: 'request-timeout',
  NotCapable: 'not-ready',
  MemberUnreachable: 'not-ready',
  LearnerNotReady: 'not-ready',
  Unhealthy: 'not-ready',
  BadMembership: 'bad-request',
  MemberExist: 'bad-request',
  PeerURLExist: 'bad-request',
  MemberNotEnoughStarted: 'bad-request',
  MemberBadURLs: 'bad-request',
  MemberNotFound: 'bad-request',
  MemberNotLearner: 'bad-request',
  TooManyLearners: 'bad-request',
  BadLeaderTransferee: 'bad-request',
};

export function problemOf(error: EtcdErrorName): ProblemCode {
  return codeOf[error];
}

const typeBase = 'https://quorate.dev/errors/';

/** Seconds after which a client may find a leader again. */
const retryAfterSeconds = '1';

export interface ProblemMore {
  readonly headers?: Readonly<Record<string, string>>;
  /** Members of the document that belong to this code alone. */
  readonly extras?: Readonly<Record<string, unknown>>;
  readonly outcome?: Outcome;
}

export function problem(code: ProblemCode, detail: string, more: ProblemMore = {}): Response {
  const { status, title, retryable } = problems[code];
  const outcome = more.outcome ?? 'not-applied';
  const document = {
    type: typeBase + code,
    title,
    status,
    code,
    detail,
    instance: `urn:uuid:${crypto.randomUUID()}`,
    retryable,
    outcome,
    ...more.extras,
  };
  const headers: Record<string, string> = {
    'cache-control': 'no-store, no-transform',
    'content-type': 'application/problem+json',
    ...more.headers,
  };
  if (status === 503) headers['retry-after'] = retryAfterSeconds;
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  return new Response(JSON.stringify(document), { status, headers });
}

export function methodNotAllowed(request: Request, allow: string): Response {
  const detail = `${request.method} is not offered here`;
  return problem('method-not-allowed', detail, { headers: { allow } });
}

/** The problem that an error of the store is to a client of /v1. */
export function storeProblem(
  error: EtcdErrorName,
  outcomeUnknown: boolean,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
  extras: Readonly<Record<string, unknown>> = {},
): Response {
  const text = etcdErrors[error].message;
  const full = detail === '' ? text : `${text} (${detail})`;
  // Whatever the member called it: a write nobody can speak for is never a plain timeout.
  if (outcomeUnknown) return problem('commit-timeout', full, { headers, outcome: 'unknown' });
  return problem(codeOf[error], full, { headers, extras });
}

/** Thrown while a request is read: ends it with that problem. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ProblemCode;
  readonly extras: Readonly<Record<string, unknown>>;
  constructor(code: ProblemCode, detail: string, extras: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.code = code;
    this.extras = extras;
  }
}
