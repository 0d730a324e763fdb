/** The comparer must be able to fail: a conformance figure is worth what its comparer refuses. */
import { describe, expect, it } from 'vitest';
import { compare } from './compare.ts';
import { type Answer, type Exchange, groupOf, loadExchanges, revisionOf } from './exchange.ts';
import { Served, viaFollower } from './followers.ts';
import { putBack, substitute } from './variables.ts';

function exchange(recorded: Partial<Exchange>): Exchange {
  return { name: 'x-y', method: 'POST', path: '/', body: null, ...recorded };
}

function matches(recorded: Partial<Exchange>, actual: Answer): boolean {
  return compare(exchange(recorded), actual).matches;
}

describe('an answer matches', () => {
  it('when it equals the recorded one but for ids and terms', () => {
    const response = { header: { member_id: '1', revision: '2' }, count: '1' };
    const actual = { count: '1', header: { member_id: '99', revision: '2' } };
    expect(matches({ status: 200, response }, { status: 200, response: actual })).toBe(true);
  });

  it('when it equals an alternative', () => {
    const recorded = { status: 200, response: 'a', alternatives: [{ status: 200, response: 'b' }] };
    expect(matches(recorded, { status: 200, response: 'b' })).toBe(true);
    expect(matches(recorded, { status: 200, response: 'c' })).toBe(false);
  });

  it('when it fails with the same code and the same message of etcd, whatever the status', () => {
    const recorded = { status: 400, response: { error: 'x', code: 3, message: 'etcdserver: no' } };
    const wording = { error: 'y', code: 3, message: 'etcdserver: no' };
    expect(matches(recorded, { status: 412, response: wording })).toBe(true);
    expect(matches(recorded, { status: 400, response: { ...wording, code: 5 } })).toBe(false);
    const otherText = { ...wording, message: 'etcdserver: yes' };
    expect(matches(recorded, { status: 400, response: otherText })).toBe(false);
  });

  it('when only the wording of a JSON parser differs', () => {
    const recorded = { status: 400, response: { code: 3, message: 'invalid character' } };
    expect(matches(recorded, { status: 400, response: { code: 3, message: 'bad' } })).toBe(true);
  });
});

describe('an answer does not match', () => {
  it.each<[string, Partial<Exchange>, Answer]>([
    ['another revision', ok({ header: { revision: '2' } }), good({ header: { revision: '3' } })],
    ['a number for a string', ok({ count: '1' }), good({ count: 1 })],
    ['a field too many', ok({ count: '1' }), good({ count: '1', more: false })],
    ['a field too few', ok({ count: '1', more: true }), good({ count: '1' })],
    ['another order of keys in a list', ok({ kvs: ['a', 'b'] }), good({ kvs: ['b', 'a'] })],
    ['a success for a failure', { status: 400, response: { code: 3, message: 'x' } }, good({})],
    ['a broken connection', ok({}), { status: null, response: 'Error: socket hang up' }],
  ])('with %s', (_what, recorded, actual) => {
    expect(matches(recorded, actual)).toBe(false);
  });

  function ok(response: Exclude<Exchange['response'], undefined>): Partial<Exchange> {
    return { status: 200, response };
  }

  function good(response: Exclude<Exchange['response'], undefined>): Answer {
    return { status: 200, response };
  }
});

describe('the recording', () => {
  it('is complete and unique by name', () => {
    const exchanges = loadExchanges(null);
    expect(exchanges.length).toBe(711);
    expect(new Set(exchanges.map(({ name }) => name)).size).toBe(711);
    expect(loadExchanges('watch-create-now').length).toBe(288);
    expect(groupOf(exchange({ name: 'txn-a-b' }))).toBe('txn');
  });

  it('may be entered later, at the revision that the server had there', () => {
    const exchanges = loadExchanges('auth-status-disabled', 'lock-lease-a');
    expect(exchanges.length).toBe(34);
    expect(revisionOf(exchanges[0] as Exchange)).toBe(102);
    expect(() => loadExchanges(null, 'no-such')).toThrow('no exchange is named no-such');
  });
});

describe('a read that a follower is to answer as etcd did', () => {
  const headers = { 'kv-via': 'follower' };
  it.each<[string, Partial<Exchange>, object]>([
    ['a linearizable one', { body: { key: 'YQ==' } }, headers],
    ['one that says so', { body: { serializable: false } }, headers],
    ['a serializable one may be older', { body: { serializable: true } }, {}],
    ['as its text says', { raw_body: '{"serializable": true}' }, {}],
  ])('%s', (_what, recorded, expected) => {
    expect(viaFollower(exchange(recorded))).toEqual(expected);
  });

  it('counts by who says that it served', () => {
    const served = new Served();
    const hear = (path: string, by?: string) =>
      served.heard(exchange({ path }), by === undefined ? {} : { 'kv-served-by': by });
    hear('/v3/kv/range', 'follower;place=2');
    hear('/v3/kv/range', 'learner;place=4');
    hear('/v3/kv/range', 'leader;place=1');
    hear('/v3/kv/range');
    hear('/v3/kv/put', 'follower;place=2');
    expect(served.count()).toEqual({ byFollowers: 2, byLeader: 1 });
  });
});

describe('captured values', () => {
  it('are put into what is sent, with an offset, and back into answers', () => {
    const variables = new Map([
      ['rev', '41'],
      ['lease', '7587862094894389249'],
    ]);
    expect(substitute('{"r":"${rev+1}","x":"${none}"}', variables)).toBe(
      '{"r":"42","x":"${none}"}',
    );
    expect(substitute('${lease-1}', variables)).toBe('7587862094894389248');
    expect(putBack('41 7587862094894389249', variables)).toBe('41 ${lease}');
  });
});
