/**
 * The errors that a client of etcd's API can see: gRPC code and text, exactly as etcd 3.5 has them.
 *
 * Domain code answers with the name; only the router turns a name into HTTP (one table there).
 */

/** gRPC status codes that this service uses. */
export const GrpcCode = {
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;

export type GrpcCode = (typeof GrpcCode)[keyof typeof GrpcCode];

/** As gRPC's own texts have it. */
export function nameOfCode(code: GrpcCode): string {
  return Object.entries(GrpcCode).find(([, value]) => value === code)?.[0] ?? 'Unknown';
}

export interface ErrorFacts {
  readonly code: GrpcCode;
  readonly message: string;
}

const {
  InvalidArgument,
  OutOfRange,
  NotFound,
  ResourceExhausted,
  FailedPrecondition,
  Unavailable,
  DeadlineExceeded,
} = GrpcCode;

export const etcdErrors = {
  EmptyKey: { code: InvalidArgument, message: 'etcdserver: key is not provided' },
  KeyNotFound: { code: InvalidArgument, message: 'etcdserver: key not found' },
  ValueProvided: { code: InvalidArgument, message: 'etcdserver: value is provided' },
  LeaseProvided: { code: InvalidArgument, message: 'etcdserver: lease is provided' },
  TooManyOps: { code: InvalidArgument, message: 'etcdserver: too many operations in txn request' },
  DuplicateKey: {
    code: InvalidArgument,
    message: 'etcdserver: duplicate key given in txn request',
  },
  InvalidSortOption: { code: InvalidArgument, message: 'etcdserver: invalid sort option' },
  RequestTooLarge: { code: InvalidArgument, message: 'etcdserver: request is too large' },
  Compacted: {
    code: OutOfRange,
    message: 'etcdserver: mvcc: required revision has been compacted',
  },
  FutureRev: {
    code: OutOfRange,
    message: 'etcdserver: mvcc: required revision is a future revision',
  },
  LeaseNotFound: { code: NotFound, message: 'etcdserver: requested lease not found' },
  LeaseExist: { code: FailedPrecondition, message: 'etcdserver: lease already exists' },
  LeaseTTLTooLarge: { code: OutOfRange, message: 'etcdserver: too large lease TTL' },
  NoSpace: { code: ResourceExhausted, message: 'etcdserver: mvcc: database space exceeded' },
  TooManyRequests: { code: ResourceExhausted, message: 'etcdserver: too many requests' },
  /** Ours: the answer would be larger than `maxReplyBytes`; ask with a limit and page on. */
  ReplyTooLarge: {
    code: ResourceExhausted,
    message: 'quorate: the reply is too large; use limit and read in pages',
  },
  /** Ours: one command would change more keys than `maxChangesPerEntry`. */
  TooManyChanges: {
    code: ResourceExhausted,
    message: 'quorate: the request changes too many keys at once; delete in smaller ranges',
  },
  /** Ours: a transaction that writes would look at more keys than `maxVisitsPerEntry`. */
  TooManyVisits: {
    code: ResourceExhausted,
    message: 'quorate: the transaction looks at too many keys; use smaller ranges',
  },
  MemberExist: { code: FailedPrecondition, message: 'etcdserver: member ID already exist' },
  PeerURLExist: { code: FailedPrecondition, message: 'etcdserver: Peer URLs already exists' },
  /** etcd has a code for it, and loses it on the way out. */
  MemberNotEnoughStarted: {
    code: GrpcCode.Unknown,
    message: 'etcdserver: re-configuration failed due to not enough started members',
  },
  MemberBadURLs: {
    code: InvalidArgument,
    message: 'etcdserver: given member URLs are invalid',
  },
  MemberNotFound: { code: NotFound, message: 'etcdserver: member not found' },
  MemberNotLearner: {
    code: FailedPrecondition,
    message: 'etcdserver: can only promote a learner member',
  },
  TooManyLearners: {
    code: FailedPrecondition,
    message: 'etcdserver: too many learner members in cluster',
  },
  MemberUnreachable: {
    code: Unavailable,
    message: 'quorate: a place that is to become a member does not answer, or belongs elsewhere',
  },
  LearnerNotReady: {
    code: FailedPrecondition,
    message: 'etcdserver: can only promote a learner member which is in sync with leader',
  },
  BadMembership: {
    code: InvalidArgument,
    message: 'quorate: a membership needs voters, names no place twice and has a bounded size',
  },
  Unhealthy: { code: Unavailable, message: 'etcdserver: unhealthy cluster' },
  Corrupt: { code: GrpcCode.DataLoss, message: 'etcdserver: corrupt cluster' },
  WrongDowngradeVersionFormat: {
    code: InvalidArgument,
    message: 'etcdserver: wrong downgrade target version format',
  },
  InvalidDowngradeTargetVersion: {
    code: InvalidArgument,
    message: 'etcdserver: invalid downgrade target version',
  },
  DowngradeInProcess: {
    code: FailedPrecondition,
    message: 'etcdserver: cluster has a downgrade job in progress',
  },
  NoInflightDowngrade: {
    code: FailedPrecondition,
    message: 'etcdserver: no inflight downgrade job',
  },
  /** An action of a downgrade that nobody knows; etcd has no code for it. */
  UnknownMethod: { code: GrpcCode.Unknown, message: 'etcdserver: unknown method' },
  BadLeaderTransferee: {
    code: FailedPrecondition,
    message: 'etcdserver: bad leader transferee',
  },
  /** Ours: the key of a command that is to take effect once has been used for another one. */
  IdempotencyMismatch: {
    code: InvalidArgument,
    message: 'quorate: this idempotency key has been used for another request',
  },
  /** Ours: a serializable read asked for a newer state than this member can show to have. */
  TooStale: {
    code: Unavailable,
    message: 'quorate: this member cannot show that its state is as new as was asked for',
  },
  RootUserNotExist: {
    code: FailedPrecondition,
    message: 'etcdserver: root user does not exist',
  },
  RootRoleNotExist: {
    code: FailedPrecondition,
    message: 'etcdserver: root user does not have root role',
  },
  UserAlreadyExist: {
    code: FailedPrecondition,
    message: 'etcdserver: user name already exists',
  },
  UserEmpty: { code: InvalidArgument, message: 'etcdserver: user name is empty' },
  UserNotFound: { code: FailedPrecondition, message: 'etcdserver: user name not found' },
  RoleAlreadyExist: {
    code: FailedPrecondition,
    message: 'etcdserver: role name already exists',
  },
  RoleNotFound: { code: FailedPrecondition, message: 'etcdserver: role name not found' },
  RoleEmpty: { code: InvalidArgument, message: 'etcdserver: role name is empty' },
  AuthFailed: {
    code: InvalidArgument,
    message: 'etcdserver: authentication failed, invalid user ID or password',
  },
  /** Of etcd's auth package, which has no code for it. */
  NoPasswordUser: {
    code: GrpcCode.Unknown,
    message: 'auth: authentication failed, password was given for no password user',
  },
  PermissionNotGiven: { code: InvalidArgument, message: 'etcdserver: permission not given' },
  PermissionDenied: {
    code: GrpcCode.PermissionDenied,
    message: 'etcdserver: permission denied',
  },
  RoleNotGranted: {
    code: FailedPrecondition,
    message: 'etcdserver: role is not granted to the user',
  },
  PermissionNotGranted: {
    code: FailedPrecondition,
    message: 'etcdserver: permission is not granted to the role',
  },
  AuthNotEnabled: {
    code: FailedPrecondition,
    message: 'etcdserver: authentication is not enabled',
  },
  InvalidAuthToken: {
    code: GrpcCode.Unauthenticated,
    message: 'etcdserver: invalid auth token',
  },
  InvalidAuthMgmt: { code: InvalidArgument, message: 'etcdserver: invalid auth management' },
  NoLeader: { code: Unavailable, message: 'etcdserver: no leader' },
  LeaderChanged: { code: Unavailable, message: 'etcdserver: leader changed' },
  Stopped: { code: Unavailable, message: 'etcdserver: server stopped' },
  /** The write was sent and nobody can say whether it was or will be applied. */
  OutcomeUnknown: {
    code: Unavailable,
    message: 'etcdserver: request timed out, possibly due to connection lost',
  },
  Timeout: { code: Unavailable, message: 'etcdserver: request timed out' },
  DeadlineExceeded: { code: DeadlineExceeded, message: 'context deadline exceeded' },
  /** The member does not know the rules version in the log: it needs newer code. */
  NotCapable: { code: FailedPrecondition, message: 'etcdserver: not capable' },
} as const satisfies Record<string, ErrorFacts>;

export type EtcdErrorName = keyof typeof etcdErrors;

export function isEtcdErrorName(name: string): name is EtcdErrorName {
  return Object.hasOwn(etcdErrors, name);
}
