/**
 * etcd's downgrade job: that an operator has announced to go back by one minor version. etcd 3.5 keeps
 * the announcement and waits for older binaries to join; here it is kept and told, and nothing waits.
 */
import { create } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import {
  DowngradeRequest_DowngradeAction as Action,
  type DowngradeRequest,
  type DowngradeResponse,
  DowngradeResponseSchema,
} from '../api/gen/maintenance_pb.js';
import { etcdVersions } from '../api/version.ts';
import { kinds } from './records.ts';
import { header } from './reply.ts';
import { failure, type Outcome, type Store } from './store.ts';

const noName = '';
/** Of three numbers the last is not looked at; what a pre-release or a build adds isn't either. */
const versionPattern = /^(\d{1,9})\.(\d{1,9})(?:\.\d{1,9}(?:[-+][0-9A-Za-z.+-]{1,64})?)?$/;

function downgradeTarget({ records }: Store): string | null {
  const data = records.get(kinds.downgrade, noName);
  return data && new TextDecoder().decode(data);
}

/** Whether an announcement of this version could be made now; null: it could. */
export function downgradeRefusal(store: Store, version: string): EtcdErrorName | null {
  const [, major, minor] = versionPattern.exec(version) ?? [];
  if (major === undefined || minor === undefined) return 'WrongDowngradeVersionFormat';
  const [ourMajor = 0, ourMinor = 0] = etcdVersions.etcdcluster.split('.').map(Number);
  if (Number(major) !== ourMajor || Number(minor) !== ourMinor - 1)
    return 'InvalidDowngradeTargetVersion';
  return downgradeTarget(store) === null ? null : 'DowngradeInProcess';
}

/** `index`: of the log entry. */
export function applyDowngrade(
  store: Store,
  { action, version }: DowngradeRequest,
  index: number,
): Outcome<DowngradeResponse> {
  const { records, progress } = store;
  const refused = refusalOf(store, action, version);
  if (refused) return failure(refused);
  if (action === Action.ENABLE)
    records.put(kinds.downgrade, noName, new TextEncoder().encode(version), index);
  else if (action === Action.CANCEL) records.delete(kinds.downgrade, noName, index);
  const response = { header: header(progress.revision), version: etcdVersions.etcdcluster };
  return { ok: true, response: create(DowngradeResponseSchema, response) };
}

function refusalOf(store: Store, action: Action, version: string): EtcdErrorName | null {
  switch (action) {
    case Action.VALIDATE:
    case Action.ENABLE:
      return downgradeRefusal(store, version);
    case Action.CANCEL:
      return downgradeTarget(store) === null ? 'NoInflightDowngrade' : null;
    default:
      action satisfies never;
      return 'UnknownMethod';
  }
}
