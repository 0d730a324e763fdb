/**
 * After the disturbance: a quorum heals and has to serve, then everybody heals and has to agree.
 *
 * Bounds are in virtual time: a write is acknowledged within half a minute by a quorum that is well,
 * whatever the rest does; all come to rest; and with the repair alarm alone, asked by nobody, every
 * member catches up within three hours.
 */
import { drain } from '../../../src/kv/range.ts';
import { placeOf } from '../../../src/node-do/identity.ts';
import { allMembers } from '../../../src/raft/configuration.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import { range } from '../../support/history/history.ts';
import { Random } from '../../support/random.ts';
import { Client } from './clients.ts';
import { comesToRest, writeSomething, writeWithinMs } from './demands.ts';
import { groupIdOf } from './groups.ts';
import { groupOf } from './oracle.ts';
import type { Life } from './place.ts';
import { placesMax } from './plan.ts';
import { preferredLeads } from './preference.ts';
import { outcomeOf, requestOf } from './requests.ts';
import type { Simulation } from './simulation.ts';
import { judgeHistory } from './verdict.ts';

const idleWithinMs = 30_000;
/** What one who has waited for a lock still asks: a handful of requests, of some seconds each. */
const unlockWithinMs = 120_000;
const repairWithinMs = 3 * 3_600_000;
/** An alarm after a minute, and its six retries. */
const alarmsGivenUpMs = 600_000;
const recoverWithinMs = 60_000;
/** An attempt may fail until the newcomers are up to date. */
const growWithinMs = 120_000;
const survivor = 91;

/** False: a violation was found. */
export function recover(simulation: Simulation): boolean {
  const { world } = simulation;
  for (const client of simulation.everyClient) client.giveUp();
  const areIdle = () => simulation.clients.every(({ isIdle }) => isIdle) && simulation.admin.isIdle;
  simulation.pass(idleWithinMs, areIdle);
  if (!areIdle()) simulation.fail('a client waits longer than its deadline');
  const areLockersIdle = () => simulation.lockers.every(({ isIdle }) => isIdle);
  simulation.pass(unlockWithinMs, areLockersIdle);
  if (!areLockersIdle()) simulation.fail('a client waits for a lock longer than it wanted to');
  if (simulation.violation) return false;

  if (!isRecovered(simulation)) return false;
  const down = healQuorum(simulation);
  simulation.trace(() => `*** a quorum is healed; down: ${[...down].join() || 'nobody'}`);
  const begunAt = world.now;
  const client = new Client(simulation, survivor);
  // A cold router asks the founding places only; this one has heard of the others.
  client.know(members(simulation).map(placeOf));
  if (!writeSomething(simulation, client)) return false;
  simulation.count('milliseconds to the first write', Math.round(world.now - begunAt));
  if (!comesToRest(simulation, 'a quorum')) return false;
  if (!losesAlarms(simulation)) return false;

  healAll(simulation, down);
  simulation.trace(() => '*** all are healed');
  // Who crashed at work has no alarm: the group is asked once more, and nobody in particular.
  if (!writeSomething(simulation, client)) return false;
  if (simulation.groups.isRecovered && !grows(simulation)) return false;
  simulation.pass(repairWithinMs, () => areEqual(simulation) && simulation.isAtRest);
  if (simulation.violation) return false;
  if (!endsLeases(simulation)) return false;
  if (!comesToRest(simulation, 'everybody')) return false;
  checkEquality(simulation);
  if (simulation.violation) return false;
  if (!preferredLeads(simulation, client)) return false;
  if (!refusesRecovery(simulation)) return false;
  finalRead(simulation, client);
  const { groups, leases, locks, oracle } = simulation;
  // What a survivor did not hold is lost: a lease may have been granted again, or its expiry.
  if (!groups.isRecovered) {
    leases.judge();
    locks.judgeAll(oracle.committedIndex);
  }
  if (simulation.violation) return false;
  judgeHistory(simulation);
  return simulation.violation === null;
}

/** A quorum that is lost for good is given up by a survivor that is well. */
function isRecovered(simulation: Simulation): boolean {
  const { groups, recovery, zombies } = simulation;
  simulation.isOver = true;
  recovery.replaceDead();
  if (!recovery.isPending) return true;
  simulation.network.mendAll();
  for (const life of zombies) if (!life.ended) life.end('superseded, and gone');
  zombies.clear();
  for (const place of simulation.places.values()) {
    place.armedCrash = null;
    place.thaw();
    place.downUntil = 0;
  }
  simulation.pass(recoverWithinMs, () => groups.isRecovered);
  if (!groups.isRecovered)
    simulation.fail('liveness: a quorum is lost for good, and its survivor is not recovered');
  return simulation.violation === null;
}

/** Nobody asks: what is left of the leases their deadlines and watchdogs end. */
function endsLeases(simulation: Simulation): boolean {
  const areGone = () =>
    members(simulation).every((id) => {
      const { life } = simulation.place(placeOf(id));
      const group = life && groupOf(life);
      return group?.machine.leasePage(null, 1).length === 0;
    });
  simulation.pass(repairWithinMs, areGone);
  if (!areGone()) simulation.fail('liveness: a lease is left, and nobody ends it');
  return simulation.violation === null;
}

/** After a recovery: places that belong to nobody become voters of the new group. */
function grows(simulation: Simulation): boolean {
  const { admin, oracle, recovery } = simulation;
  const { voters = [], learners = [] } = oracle.newestCommitted?.configuration ?? {};
  const newcomers = recovery.freshPlaces().slice(0, Math.max(0, 3 - voters.length));
  if (newcomers.length === 0) return true;
  const wanted = {
    voters: [...voters.map(placeOf), ...newcomers],
    learners: learners.map(placeOf),
  };
  let done = false;
  const attempt = async () => {
    while (!done && simulation.violation === null)
      done = await admin.change('grow after recovery', wanted);
  };
  admin.know(voters.map(placeOf));
  void attempt();
  simulation.pass(growWithinMs, () => done);
  if (!done) simulation.fail('liveness: the new group does not grow');
  return simulation.violation === null;
}

/** While a quorum answers no group is given up. */
function refusesRecovery(simulation: Simulation): boolean {
  const random = new Random(simulation.plan.shape.seed * 23);
  const place = simulation.place(placeOf(random.pick(members(simulation))));
  let answer: string | null | undefined;
  void simulation.recovery.ask(place, groupIdOf(place.wake()) ?? '').then((given) => {
    answer = given;
  });
  simulation.pass(recoverWithinMs, () => answer !== undefined);
  if (answer !== null) simulation.fail(`${place.number} gave up a group of which a quorum answers`);
  return simulation.violation === null;
}

/** Returns the places that stay down. */
function healQuorum(simulation: Simulation): Set<number> {
  const { network, plan, zombies } = simulation;
  const random = new Random(plan.shape.seed * 17);
  network.mendAll();
  simulation.lateAlarmsMs = 0;
  for (const life of zombies) if (!life.ended) life.end('superseded, and gone');
  zombies.clear();
  const down = new Set<number>();
  const isDown = (id: MemberId) => down.has(placeOf(id));
  if (random.next() < 0.7)
    for (let place = 1; place <= placesMax; place += 1) {
      if (random.next() < 0.4) continue;
      down.add(place);
      if (!isGroupKnown(simulation, isDown) || !simulation.hasQuorumWithout(isDown))
        down.delete(place);
    }
  for (let number = 1; number <= placesMax; number += 1) {
    const place = simulation.place(number);
    place.armedCrash = null;
    place.mendAlarm();
    place.thaw();
    place.commitMsMax = plan.shape.commitMsMax;
    place.downUntil = 0;
    if (down.has(number)) {
      const keeps = random.next() < 0.5;
      place.crash('stays down', { keeps, downMs: Number.POSITIVE_INFINITY });
    }
  }
  upgrade(simulation);
  return down;
}

/**
 * Whether somebody is there who knows that the group was born: the others adopt it from a member. Else
 * the first place has to be there, which may have told nobody yet, and all that it asks.
 */
function isGroupKnown(simulation: Simulation, isDown: (id: MemberId) => boolean): boolean {
  const { oracle } = simulation;
  return [...oracle.shadows.keys()].some(
    (id) => !isDown(id) && !oracle.isGone(id) && simulation.place(placeOf(id)).disk.knowsGroup,
  );
}

/** Whoever is to serve can apply what is in any log: the newest code that was ever deployed. */
function upgrade({ newestCode, places }: Simulation): void {
  for (const place of places.values()) {
    if (place.code === newestCode) continue;
    place.code = newestCode;
    place.crash('deploy', { keeps: true, downMs: 0 });
  }
}

/** In some seeds nobody is reminded of who is down: their alarms are dropped, and they forget. */
function losesAlarms(simulation: Simulation): boolean {
  const random = new Random(simulation.plan.shape.seed * 19);
  if (random.next() >= 0.25) return true;
  for (const place of simulation.places.values()) place.failAlarm();
  simulation.pass(alarmsGivenUpMs);
  for (const place of simulation.places.values()) {
    place.mendAlarm();
    place.evict();
  }
  return simulation.violation === null;
}

function healAll(simulation: Simulation, down: ReadonlySet<number>): void {
  for (const number of down) simulation.place(number).downUntil = 0;
}

/** Of the newest committed configuration, those whose storage is there. */
function members(simulation: Simulation): MemberId[] {
  const { newestCommitted } = simulation.oracle;
  if (!newestCommitted) return [];
  return allMembers(newestCommitted.configuration).filter((id) => !simulation.oracle.isGone(id));
}

function lifeOf(simulation: Simulation, id: MemberId): Life {
  return simulation.place(placeOf(id)).wake();
}

/** Looks without waking anybody: who sleeps has to be woken by its alarm, or by the others. */
function areEqual(simulation: Simulation): boolean {
  const target = simulation.oracle.committedIndex;
  return members(simulation).every((id) => {
    const life = simulation.place(placeOf(id)).life;
    const group = life && groupOf(life);
    return group?.self === id && group.machine.appliedIndex >= target;
  });
}

function checkEquality(simulation: Simulation): void {
  const target = simulation.oracle.committedIndex;
  let expected: string | null = null;
  for (const id of members(simulation)) {
    const life = lifeOf(simulation, id);
    const group = groupOf(life);
    const applied = group?.machine.appliedIndex ?? -1;
    if (group?.self !== id || applied < target) {
      simulation.fail(`liveness: ${id} has applied ${applied} of ${target} after three hours`);
      return;
    }
    const hash = drain(group.machine.logicalHash());
    expected ??= hash;
    if (hash !== expected) simulation.fail(`${id} holds another state than the others`);
  }
}

function finalRead(simulation: Simulation, client: Client): void {
  const call = range('a', 'zz');
  let done = false;
  const pending = simulation.history.begin(client.number, call);
  void client.ask('read', requestOf(call), 20_000).then((outcome) => {
    if (typeof outcome === 'string') simulation.fail('liveness: the last read failed');
    else pending.answer(outcomeOf(call, outcome, (...ids) => simulation.serverOf(...ids)));
    done = true;
  });
  simulation.pass(writeWithinMs, () => done);
  if (!done) simulation.fail('liveness: the last read has no answer');
}
