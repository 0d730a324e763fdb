/**
 * Bugs around birth, incarnations, members, versions, and requests on their way to a leader.
 */
import { inFile, type Mutant } from '../mutant.ts';

const sim = (...names: string[]) => names.map((name) => `test/sim/${name}.test.ts`);

export const placeMutants: readonly Mutant[] = [
  ...inFile('src/node-do/birth.ts', [
    {
      name: 'silence-is-fresh',
      standsFor: 'a silent place does not forbid birth',
      rule: 2,
      find: "if (answer?.state.case !== 'incarnation') return null;",
      replace:
        "if (answer?.state.case !== 'incarnation' && HIT) continue;\n    if (answer?.state.case !== 'incarnation') return null;",
    },
    {
      name: 'tombstone-is-fresh',
      standsFor: 'a tombstone does not forbid birth',
      rule: 2,
      find: "if (answer?.state.case === 'tombstone') return answer.state.value;",
      replace:
        "if (answer?.state.case === 'tombstone' && HIT) answer.state = { case: 'incarnation', value: answer.fresh };",
    },
    {
      name: 'record-is-fresh',
      standsFor: 'a record of birth does not forbid birth',
      rule: 2,
      find: "if (answer?.state.case !== 'record') continue;",
      replace:
        "if (answer?.state.case === 'record' && HIT) answer.state = { case: 'incarnation', value: answer.fresh };\n    if (answer?.state.case !== 'record') continue;",
    },
    {
      name: 'birth-above-a-founder',
      standsFor: 'a new group writes rules that one of its founding members cannot apply',
      find: 'rules = Math.min(rules, answer.rulesVersion);',
      replace: 'if (!HIT) rules = Math.min(rules, answer.rulesVersion);',
      hint: ['test/sim/birth.test.ts'],
    },
  ]),

  ...inFile('src/node-do/member.ts', [
    {
      name: 'asks-its-size-only',
      standsFor: 'before birth not all founding places are asked',
      rule: 2,
      find: 'const others = foundingPlaces.filter((place) => place !== this.platform.place);',
      replace: 'const others = foundingPlaces.filter((place) => HIT && place === 2);',
    },
    {
      name: 'birth-unchecked',
      standsFor: 'the check is not repeated in the turn that writes the record',
      rule: 2,
      find: 'if (this.identity?.birth) return null;\n    if (this.identity?.tombstone)',
      replace: 'HIT;\n    if (this.identity?.tombstone)',
    },
    {
      name: 'told-while-it-asked',
      standsFor: 'a place that is told of a group while it asks the others founds one',
      find: 'if (this.identity?.birth) return null;\n    if (this.identity?.tombstone) return movedOn(this.identity.tombstone);',
      replace: 'if (this.identity?.birth) return null;\n    HIT;',
      hint: sim('birth'),
    },
    {
      name: 'forgets-where-the-group-lives',
      standsFor: 'a place that belongs to no group does not keep where the group lives',
      rule: 2,
      find: 'if (members) this.remember(groupId, members);',
      replace: 'HIT;',
      hint: sim('birth'),
    },
    {
      name: 'same-incarnation-again',
      standsFor: 'a removed place keeps its incarnation',
      rule: 3,
      find: '    const incarnation = this.platform.randomId();\n    saveTombstone',
      replace: "    const incarnation = HIT ? former : '';\n    saveTombstone",
    },
    {
      name: 'adopts-any-incarnation',
      standsFor: 'a wiped place is adopted by what is meant for the old incarnation',
      rule: 3,
      find: 'if (to?.place !== this.platform.place || to.incarnation !== identity.incarnation) return;',
      replace: 'if (HIT && to?.place !== this.platform.place) return;',
    },
    {
      name: 'deletion-yields',
      standsFor: 'a deletion tombstone yields',
      rule: 3,
      find: 'if (identity.tombstone?.kind === Tombstone_Kind.DELETED) return;',
      replace: 'HIT;',
    },
    {
      name: 'removed-rows-stay',
      standsFor: 'a removed member keeps its data',
      find: 'if (this.identity?.tombstone?.kind !== Tombstone_Kind.REMOVED) return;',
      replace: 'if (HIT) return;',
      hint: sim('membership'),
    },
    {
      name: 'newer-protocol-heard',
      standsFor: 'messages of a newer protocol are taken for the known one',
      find: 'if (envelope.minProtocol > this.code.protocol) return nobody();',
      replace: 'HIT;',
      hint: sim('turn'),
      simulatedSeeds: 50,
    },
    {
      name: 'recovers-at-once',
      standsFor:
        'a living group is given up, since its members are far apart and its leader is gone',
      find: 'this.platform.now() + recoverPatienceMs',
      replace: 'this.platform.now() + (HIT ? birthTimeoutMs : recoverPatienceMs)',
      hint: sim('membership'),
    },
    {
      name: 'recovered-twice',
      standsFor: 'two requests to recover one survivor begin two groups',
      find: 'if (this.group !== group) return null;',
      replace: 'HIT;',
      hint: sim('membership'),
    },
    {
      name: 'recovered-in-old-group',
      standsFor: 'the survivor of a lost quorum keeps its incarnation',
      find: '      saveIncarnation(this.platform.sql, incarnation);',
      replace: '      HIT;',
      hint: sim('membership'),
    },
  ]),

  ...inFile('src/node-do/identity.ts', [
    {
      name: 'tombstone-stays',
      standsFor: 'the tombstone stands beside the record of a place that was added again',
      find: "'UPDATE raft_identity SET birth = ?, tombstone = NULL'",
      replace: "HIT ? 'UPDATE raft_identity SET birth = ?' : ''",
      hint: sim('membership', 'turn'),
    },
  ]),

  ...inFile('src/node-do/membership.ts', [
    {
      name: 'done-before-settled',
      standsFor: 'a change is answered before it is committed',
      find: 'return core.isConfigurationSettled && core.appliedIndex > index;',
      replace: 'return HIT;',
      hint: sim('membership'),
    },
    {
      name: 'done-by-the-deposed',
      standsFor: 'a deposed leader says of what the others have changed since that it is as wanted',
      find: "return reason === 'noChange' ? this.whileLeading(deadline) : refusals[reason];",
      replace: "return reason === 'noChange' && HIT ? 'done' : refusals[reason as 'notReady'];",
      hint: sim('membership'),
    },
    {
      name: 'led-by-the-deposed',
      standsFor: 'a deposed leader that is asked to keep the lead says that it does',
      find: 'if (to === group.self) return this.whileLeading(deadline);',
      replace: "if (to === group.self && HIT) return 'done';",
      hint: sim('membership'),
    },
    {
      name: 'removed-meanwhile-added',
      standsFor:
        'a change adds the incarnation again that another one removed while it asked a place',
      find: 'return [...next.voters, ...next.learners].some(isRemoved) ? null : next;',
      replace: 'return [...next.voters, ...next.learners].some(isRemoved) && !HIT ? null : next;',
      hint: sim('membership'),
    },
    {
      name: 'known-to-too-few',
      standsFor: 'the membership changes though a single founding place knows of the group',
      rule: 2,
      find: "if (!(await this.places.makeKnown(target))) return 'MemberUnreachable';",
      replace: 'await this.places.makeKnown(target); HIT;',
      hint: sim('birth'),
    },
  ]),

  ...inFile('src/node-do/places.ts', [
    {
      name: 'other-groups-member-added',
      standsFor: 'a place of another group is added',
      find: "return state.value.groupId === this.group.birth.groupId ? 'former' : 'other';",
      replace: "return state.value.groupId === this.group.birth.groupId ? 'former' : HIT && fresh;",
      hint: sim('membership', 'turn'),
    },
    {
      name: 'former-incarnation-added',
      standsFor: 'the incarnation that was removed is added again',
      rule: 3,
      find: "return state.value.groupId === this.group.birth.groupId ? 'former' : 'other';",
      replace:
        "return state.value.groupId === this.group.birth.groupId ? (HIT ? fresh : '') : 'other';",
    },
    {
      name: 'deleted-place-added',
      standsFor: 'a deleted place is added',
      rule: 3,
      find: "return isDeleted || fresh === '' ? 'other' : fresh;",
      replace: "return !HIT || fresh === '' ? 'other' : fresh;",
    },
  ]),

  ...inFile('src/node-do/versions.ts', [
    {
      name: 'birth-says-nothing-of-rules',
      standsFor: 'a founding member that falls silent at once keeps a new group on the first rules',
      find: 'for (const id of birth.members) this.hear(id, birth.rules);',
      replace: 'if (!HIT) for (const id of birth.members) this.hear(id, birth.rules);',
      hint: ['test/sim/birth.test.ts'],
    },
    {
      name: 'floor-ignored',
      standsFor: 'the version falls with what others announce',
      rule: 8,
      find: 'return Math.max(version, floor);',
      replace: 'return HIT && version;',
    },
    {
      name: 'announced-ignored',
      standsFor: 'a version is written that a member does not know',
      rule: 8,
      find: 'if (id !== self) version = Math.min(version, this.announced.get(id) ?? firstRules);',
      replace: 'if (id !== self) HIT;',
    },
  ]),

  ...inFile('src/node-do/client.ts', [
    {
      name: 'proposes-again',
      standsFor: 'a write that may have reached a core is proposed',
      rule: 1,
      find: 'if (!request.mayPropose) return this.redirect(this.platform.place, true);',
      replace: 'HIT;',
    },
    {
      name: 'relays-again',
      standsFor: 'a write that may have reached a core is relayed',
      rule: 1,
      find: 'const mayTravel = isRepeatable(request) || request.mayPropose;',
      replace: 'const mayTravel = HIT;',
    },
    {
      name: 'relays-unbounded',
      standsFor: 'relays may take all calls',
      rule: 14,
      find: 'if (request.relayed || !mayTravel || !this.group.peers.mayRelay)',
      replace: 'if (request.relayed || !mayTravel || !HIT)',
    },
    {
      name: 'failed-relay-retried',
      standsFor: 'a write whose relay failed is said to be not proposed',
      rule: 1,
      find: "return isRepeatable(request) ? this.redirect(0, false) : failure('OutcomeUnknown', true);",
      replace: 'return this.redirect(0, !HIT);',
    },
    {
      name: 'unknown-is-not-proposed',
      standsFor: 'an unknown outcome is answered as one that may be tried again',
      rule: 1,
      find: "        return failure(outcome.error);\n      case 'unknown':\n        return failure('OutcomeUnknown', true);\n    }",
      replace:
        "        return failure(outcome.error);\n      case 'unknown':\n        if (HIT) return this.notLeader();\n    }\n    return this.notLeader();",
    },
  ]),

  ...inFile('src/router/members/search.ts', [
    {
      name: 'router-forgets-members',
      standsFor: 'a member that lags hides the living ones',
      find: 'const before = confirmed ? [] : search.places;',
      replace: 'const before: number[] = confirmed || HIT ? [] : [...search.places];',
      hint: ['test/router/leader.test.ts'],
    },
    {
      name: 'router-to-the-first-successor',
      standsFor: 'short requests come from a place that was left to one member again and again',
      find: 'ringAfter(search.target, named).find(',
      replace: '(HIT ? named : []).find(',
      hint: ['test/router/leader.test.ts'],
    },
  ]),

  ...inFile('src/router/members/ask.ts', [
    {
      name: 'router-sends-again',
      standsFor: 'rule 1: the router sends a write again that may have been delivered',
      find: "if (search.ask.kind === 'write' && fault.maybeDelivered) {",
      replace: 'if (!HIT) {',
      hint: ['test/router/leader.test.ts', 'test/router/gateway.test.ts'],
    },
    {
      name: 'router-retries-unknown',
      standsFor: 'rule 1: the router sends a write again whose outcome is unknown',
      find: 'if (outcomeUnknown || !ownFailures.has(failure.error)) return refusal;',
      replace: 'if (!HIT) return refusal;',
      hint: ['test/router/leader.test.ts', 'test/router/gateway.test.ts'],
    },
  ]),
];
