/**
 * What a group says of itself: GET /v1/status, GET /v1/members, GET /v1/usage. Each asks every member
 * for what it has in memory, founds no group, and reads no key.
 *
 * The members are asked one by one, not at one moment: a lag is what the leader has committed and
 * a member had not applied when each was asked, so a busy group never shows 0 everywhere.
 */
import { create } from '@bufbuild/protobuf';
import { AuthCallerSchema, AuthWhoIsSchema } from '../../api/gen/member_pb.js';
import type { MemberStatus } from '../../api/member.ts';
import { type GroupStatus, groupStatus, type Unreachable } from '../members/status.ts';
import { ask, type Call, json } from './call.ts';
import { problem } from './problems.ts';

const headers = { 'cache-control': 'no-store, no-transform' };

type Reported = (MemberStatus & { readonly lagEntries: number | null }) | Unreachable;

interface Report extends GroupStatus {
  readonly members: readonly Reported[];
  /** False: no place that answered belongs to a group. */
  readonly born: boolean;
}

export async function status(call: Call): Promise<Response> {
  const report = await reportOf(call);
  if (report instanceof Response) return report;
  const { tenant, leader, members } = report;
  return json({ tenant, leader, members }, headers);
}

/** Who belongs to the group, as its leader has it; places, as PUT takes them. */
export async function members(call: Call): Promise<Response> {
  const report = await reportOf(call);
  if (report instanceof Response) return report;
  const { tenant, leader } = report;
  const { voters = [], learners = [] } = leaderOf(report) ?? {};
  const listed = report.members.map((member) =>
    'born' in member
      ? { place: member.place, role: member.role, lag_entries: member.lagEntries }
      : { place: member.place, role: null, lag_entries: null, error: member.error },
  );
  return json({ tenant, leader, voters, learners, members: listed }, headers);
}

/** What the tenant takes. The number of keys is not among it: it costs a look at each of them. */
export async function usage(call: Call): Promise<Response> {
  const report = await reportOf(call);
  if (report instanceof Response) return report;
  const leader = leaderOf(report);
  const disks = report.members.map((member) =>
    'born' in member
      ? {
          place: member.place,
          database_bytes: member.databaseBytes,
          log_entries: entriesOf(member),
          applied_index: member.appliedIndex,
        }
      : { place: member.place, error: member.error },
  );
  return json(
    {
      tenant: report.tenant,
      revision: leader?.revision ?? null,
      compact_revision: leader === null ? null : compactedOf(leader),
      database_bytes: leader?.databaseBytes ?? null,
      log_entries: leader === null ? null : entriesOf(leader),
      members: disks,
    },
    headers,
  );
}

/**
 * 503 when there is a group and nobody leads it, with all that is known of its members. While auth is enabled
 * it is told to users only.
 */
async function reportOf(call: Call): Promise<Report | Response> {
  const found = await groupStatus(call.env, call.tenant);
  const answered = found.members.filter((member) => 'born' in member);
  if (answered.some(({ authEnabled }) => authEnabled)) {
    const plan = {
      kind: 'read',
      op: { case: 'authWhoIs', value: create(AuthWhoIsSchema) },
    } as const;
    const known = await ask(call, plan, AuthCallerSchema);
    if (known instanceof Response) return known;
  }
  const report = { ...withLag(found), born: answered.some(({ born }) => born) };
  const { tenant, leader, members } = report;
  if (answered.length > 0 && (leader !== null || !report.born)) return report;
  const detail =
    answered.length === 0 ? 'no member could be reached' : 'no member says that it leads';
  return problem('no-leader', detail, { extras: { tenant, leader, members } });
}

function withLag(found: GroupStatus): GroupStatus & { readonly members: readonly Reported[] } {
  const leader = leaderOf(found);
  const members = found.members.map((member) => {
    if (!('born' in member)) return member;
    const known = leader !== null && member.born;
    const lagEntries = known ? Math.max(0, leader.commitIndex - member.appliedIndex) : null;
    return { ...member, lagEntries };
  });
  return { ...found, members };
}

function leaderOf({ leader, members }: GroupStatus): MemberStatus | null {
  const found = members.find(({ place }) => place === leader);
  return found !== undefined && 'born' in found ? found : null;
}

function entriesOf({ firstIndex, lastIndex }: MemberStatus): number {
  return Math.max(0, lastIndex - firstIndex + 1);
}

/** -1 stands for "never", which no reader of JSON would guess. */
function compactedOf({ compactRevision }: MemberStatus): number | null {
  return compactRevision < 0 ? null : compactRevision;
}
