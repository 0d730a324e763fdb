/** Deadlines in memory, compared with a list that is too simple to be wrong; and their tables. */
import { describe, expect, it } from 'vitest';
import { createIdentity, loadIdentity, needsUpgrade } from '../../src/node-do/identity.ts';
import { LeaseDeadlines } from '../../src/node-do/lease-deadlines.ts';
import { initialize, LogStore } from '../../src/node-do/log-store.ts';
import { upgradeSchema } from '../../src/node-do/schema.ts';
import { NodeSql } from '../support/node-sql.ts';
import { Random } from '../support/random.ts';

describe('deadlines', () => {
  it('are what the last words about each lease make them, in order of time', () => {
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = new Random(seed);
      const deadlines = new LeaseDeadlines();
      const model = new Map<bigint, { grant: number; at: number; proposed: boolean }>();
      let now = 0;
      for (let step = 1; step <= 200; step += 1) {
        const id = BigInt(random.integer(1, 12));
        const known = model.get(id);
        const dice = random.integer(1, 10);
        if (dice <= 5) {
          // Kept alive or granted anew; a clock may be set back.
          const grant = known && dice <= 3 ? known.grant : step;
          const at = now + random.integer(-5, 50);
          deadlines.set({ id, grant }, at);
          const isSame = known?.grant === grant;
          if (isSame) known.at = Math.max(known.at, at);
          else model.set(id, { grant, at, proposed: false });
        } else if (dice === 6) {
          deadlines.remove(id);
          model.delete(id);
        } else now += random.integer(0, 15);
        const due = [...deadlines.due(now)];
        const rest = [...model].filter(([, { proposed }]) => !proposed);
        const ahead = rest.filter(([, { at }]) => at > now).map(([, { at }]) => at);
        expect(deadlines.next).toBe(ahead.length > 0 ? Math.min(...ahead) : null);
        const expected = rest.filter(([, { at }]) => at <= now).map(([of]) => of);
        expect(due.map((deadline) => deadline.id).toSorted()).toEqual(expected.toSorted());
        const chosen = due.at(0);
        if (!chosen || random.next() < 0.5) continue;
        deadlines.propose(chosen);
        const entry = model.get(chosen.id);
        if (!entry) throw new Error('the model knows what is due');
        expect(deadlines.isProposed(chosen.id)).toBe(true);
        // What became of it is known at once or never.
        if (random.next() < 0.7) deadlines.settle(chosen);
        else entry.proposed = true;
      }
    }
  });
});

it('leases that are gone leave no deadlines behind, however far these were ahead', () => {
  const deadlines = new LeaseDeadlines();
  const { heap } = deadlines as unknown as { heap: unknown[] };
  const yearMs = 365 * 86_400_000;
  for (let id = 1n; id <= 10n; id += 1n) deadlines.set({ id, grant: 1 }, Number(id));
  for (let id = 11n; id <= 10_000n; id += 1n) {
    deadlines.set({ id, grant: 1 }, yearMs);
    deadlines.remove(id);
    expect(heap.length).toBeLessThan(100);
  }
  expect([...deadlines.due(20)].map(({ id }) => Number(id))).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
});

describe('the tables of a member', () => {
  it('of version 1 become what new ones are, and an office in them begins with the upgrade', () => {
    const columns = (sql: NodeSql) =>
      ['raft_identity', 'raft_hard_state', 'lease_deadline'].map((table) =>
        sql.all(`SELECT name, type, "notnull" FROM pragma_table_info('${table}')`),
      );
    const [fresh, old] = [new NodeSql(), new NodeSql()];
    for (const sql of [fresh, old]) {
      createIdentity(sql, 'feed');
      initialize(sql, { voters: [], outgoing: [], learners: [] });
    }
    for (const column of ['repair_at', 'watch_ms', 'watch_at'])
      old.run(`ALTER TABLE raft_identity DROP COLUMN ${column}`);
    old.run('ALTER TABLE raft_hard_state DROP COLUMN marked_at');
    old.run('DROP TABLE lease_deadline');
    old.run('UPDATE raft_identity SET schema_version = 1, repair_ms = 60000');
    expect(needsUpgrade(old)).toBe(true);
    upgradeSchema(old, 1_234);
    expect(needsUpgrade(old)).toBe(false);
    expect(columns(old)).toEqual(columns(fresh));
    expect(loadIdentity(old)?.plan).toEqual({
      repairMs: 60_000,
      repairAt: 0,
      watchMs: 0,
      watchAt: 0,
    });
    const log = new LogStore(old);
    log.boot();
    expect(log.mark.at).toBe(1_234);
  });
});
