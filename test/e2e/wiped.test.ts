/**
 * A member whose storage is gone: the others go on without it, and it does not come back by itself.
 * The first member's loss is the hardest, since it gave birth to the group and led it.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';

function wipe(dataDir: string, incarnation: string): void {
  const objects = join(dataDir, 'objects', 'quorate-raft-node');
  for (const file of readdirSync(objects).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name))) {
    const database = new DatabaseSync(join(objects, file));
    const row = database.prepare('SELECT incarnation FROM raft_identity').get();
    database.close();
    if (row?.incarnation !== incarnation) continue;
    for (const suffix of ['', '-wal', '-shm'])
      rmSync(join(objects, file + suffix), { force: true });
    return;
  }
  throw new Error(`no database of ${incarnation}`);
}

it.each([1, 2, 3])('a group serves on without the storage of member %i', async (place) => {
  await withServer({ members: 3 }, async (server) => {
    const gateway = new Gateway(server.url);
    expect(await gateway.put('a', '1')).toMatchObject({ acknowledged: true });
    const member = (await gateway.status()).members.find((one) => one.place === place);
    await server.kill9();
    wipe(server.dataDir, String(member?.incarnation));
    await server.restart();

    const [kv] = await gateway.all('a');
    expect(kv?.value.toString()).toBe('1');
    expect(await gateway.put('a', '2')).toMatchObject({ acknowledged: true });
    const after = (await gateway.status()).members.find((one) => one.place === place);
    expect(after?.born ?? false).toBe(false);
    gateway.close();
  });
});

it('a group that has lost two of three storages refuses, and founds no second group', async () => {
  await withServer({ members: 3 }, async (server) => {
    const gateway = new Gateway(server.url);
    expect(await gateway.put('a', '1')).toMatchObject({ acknowledged: true });
    const { members } = await gateway.status();
    // The last member learns of the commit when the burst is over.
    await sleep(500);
    await server.kill9();
    for (const place of [1, 2])
      wipe(server.dataDir, String(members.find((one) => one.place === place)?.incarnation));
    await server.restart();

    expect(await gateway.put('a', '2')).toMatchObject({ acknowledged: false });
    // What is left can still be looked at.
    const reply = await gateway.send(
      'POST',
      '/v3/kv/range',
      JSON.stringify({ key: btoa('a'), serializable: true }),
    );
    expect(reply.status).toBe(200);
    expect(reply.text).toContain(btoa('1'));
    gateway.close();
  });
});
