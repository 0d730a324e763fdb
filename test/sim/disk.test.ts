/** The simulated storage: what a crash leaves is always a prefix of the turns. */
import { expect, it } from 'vitest';
import { Disk } from './simulator/disk.ts';

function diskWithTable(): Disk {
  const disk = new Disk();
  disk.transaction(() => disk.run('CREATE TABLE t (a)', []));
  disk.flush();
  return disk;
}

function failHalfway(disk: Disk): void {
  disk.transaction(() => {
    disk.run('INSERT INTO t VALUES (2)', []);
    throw new Error('halfway');
  });
}

it('half a turn never becomes durable', () => {
  const disk = diskWithTable();
  expect(() => failHalfway(disk)).toThrow('halfway');
  expect(() => disk.flush()).toThrow('half a turn');
});

it('a crash loses half a turn and what came before it since the last flush, and no more', () => {
  const disk = diskWithTable();
  disk.transaction(() => disk.run('INSERT INTO t VALUES (0)', []));
  disk.flush();
  disk.transaction(() => disk.run('INSERT INTO t VALUES (1)', []));
  expect(() => failHalfway(disk)).toThrow('halfway');
  disk.lose();
  expect(disk.reader.all('SELECT a FROM t')).toEqual([[0]]);
  disk.transaction(() => disk.run('INSERT INTO t VALUES (3)', []));
  disk.flush();
  expect(disk.reader.all('SELECT a FROM t')).toEqual([[0], [3]]);
});
