/** Which peer URLs name a place, and which are none at all. (etcd's own view of the rest: test/conformance/bad-input.) */
import { describe, expect, it } from 'vitest';
import { hintOf } from '../../src/api/location-hints.ts';
import { parsePeerUrls } from '../../src/api/peer-urls.ts';

describe('peer URLs', () => {
  it.each([
    [['http://place-4:2380'], 4, null],
    [['https://place-4.weur:1'], 4, 'weur'],
    [['HTTP://PLACE-4:1'], 4, null],
    [['http://place-999.apac-ne:2380'], 999, 'apac-ne'],
    [['http://10.0.0.1:2380', 'http://place-7:2380', 'https://place-7.me:2380'], 7, null],
  ])('%j name place %d', (urls, place, hint) => {
    expect(parsePeerUrls(urls)).toMatchObject({ place, hint });
  });

  it.each([
    ['http://10.0.0.1:2380'],
    ['http://place-4.example.com:2380'],
    ['http://placeholder:2380'],
    ['http://user:pw@place-4:2380'],
    ['http://[::1]:2380'],
    ['http://h:'],
    ['http://:1'],
    ['http://h:99999?q#f'],
    ['unix://h:1'],
  ])('%s names none', (url) => {
    expect(parsePeerUrls([url])).toMatchObject({ place: null, urls: [url] });
  });

  it.each([
    [['http://place-0:1']],
    [['http://place-04:1']],
    [['http://place-1000:1']],
    [['http://place-4.mars:1']],
    [['http://place-4.:1']],
    [['http://place-4:1', 'http://place-5:1']],
    [['http://place-4:1', 'nope']],
    [[`http://${'a'.repeat(20_000)}:1`]],
    [[]],
  ])('%j are invalid', (urls) => {
    expect(parsePeerUrls(urls)).toBeNull();
  });

  it('are kept trimmed, with their scheme in small letters', () => {
    expect(parsePeerUrls([' HTTPS://A:1\n'])?.urls).toEqual(['https://A:1']);
  });
});

describe('LOCATION_HINTS', () => {
  it('gives each place its hint, and passes over what is none', () => {
    const list = '1=weur, 2=enam,3=mars,4,=afr';
    expect([1, 2, 3, 4, 12].map((place) => hintOf(list, place))).toEqual([
      'weur',
      'enam',
      null,
      null,
      null,
    ]);
    expect(hintOf(undefined, 1)).toBeNull();
  });
});
