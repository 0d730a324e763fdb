/**
 * What the page asks of Quorate's REST API: list, read, put and delete of keys, and the address of a watch.
 *
 * Every write has a condition, so that it never overwrites what its author has not seen. A key is named by
 * `key64`, which carries any bytes; a path would do for most keys, but not for `a/../b`.
 */

/**
 * A key as /v1 tells it.
 * @typedef {object} Item
 * @property {string} key
 * @property {'base64'} [key_encoding] only when the key is not UTF-8
 * @property {string} value
 * @property {'utf8' | 'base64'} encoding
 * @property {number} mod_revision of its last change: its entity tag
 * @property {number} version how often it was written since it was created
 */

/** @typedef {Pick<Item, 'key' | 'key_encoding'>} KeyName */

/** @typedef {{ items: Item[], revision: number }} Listing */

/** @typedef {{ keysMax: number, charsMax: number }} Limits */

/** What came instead of an answer. */
export class Problem extends Error {
  /** @override */
  name = 'Problem';

  /**
   * @param {number} status of HTTP; 0: there was no answer
   * @param {string} code one word, see docs/rest.md
   * @param {string} message
   * @param {boolean} outcomeUnknown nobody knows whether the write was made
   */
  constructor(status, code, message, outcomeUnknown = false) {
    super(message);
    this.status = status;
    this.code = code;
    this.outcomeUnknown = outcomeUnknown;
  }
}

const firstPageKeys = 500;

export class Service {
  /** @type {string} */
  #root;
  /** @type {string} */
  #token;

  /**
   * @param {string} url of the service
   * @param {string} tenant empty: the default one
   * @param {string} token empty: none is needed
   */
  constructor(url, tenant, token) {
    this.#root = url + (tenant === '' ? '' : `/t/${encodeURIComponent(tenant)}`);
    this.#token = token;
  }

  /**
   * All keys with that prefix, as they were at one revision, however many pages that takes.
   * @param {string} prefix
   * @param {Limits} limits
   * @param {AbortSignal} signal
   * @returns {Promise<Listing>}
   */
  async list(prefix, { keysMax, charsMax }, signal) {
    /** @type {Item[]} */
    const items = [];
    let chars = 0;
    let limit = firstPageKeys;
    /** @type {string | null} */
    let cursor = null;
    for (;;) {
      const after = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const path = `/v1/kv?prefix=${encodeURIComponent(prefix)}&limit=${limit}${after}`;
      let page;
      try {
        page = await this.#json('GET', path, { signal });
      } catch (error) {
        // Large values: fewer of them in a page.
        if (limit === 1 || !(error instanceof Problem) || error.code !== 'reply-too-large')
          throw error;
        limit = Math.floor(limit / 4) || 1;
        continue;
      }
      for (const item of page.items) {
        items.push(item);
        chars += item.value.length;
      }
      if (page.count > keysMax || chars > charsMax) throw tooMuch(prefix, keysMax);
      cursor = page.next_cursor;
      if (cursor === null) return { items, revision: page.revision };
    }
  }

  /**
   * null: there is no such key.
   * @param {KeyName} key
   * @returns {Promise<Item | null>}
   */
  async read(key) {
    try {
      return await this.#json('GET', pathOf(key), { headers: { accept: 'application/json' } });
    } catch (error) {
      if (error instanceof Problem && error.code === 'key-not-found') return null;
      throw error;
    }
  }

  /**
   * Writes the value if the key's last change is that revision; null: if there is no such key. Else the
   * Problem is `precondition-failed`.
   * @param {KeyName} key
   * @param {string} value
   * @param {number | null} revision
   */
  async put(key, value, revision) {
    /** @type {Record<string, string>} */
    const headers = revision === null ? { 'if-none-match': '*' } : { 'if-match': `"${revision}"` };
    await this.#json('PUT', pathOf(key), { headers, body: value });
  }

  /**
   * @param {KeyName} key
   * @param {number} revision
   */
  async remove(key, revision) {
    await this.#json('DELETE', pathOf(key), { headers: { 'if-match': `"${revision}"` } });
  }

  /**
   * For an EventSource: every change from that revision on. EventSource cannot send a token, so it shows a
   * ticket, which is good for one connection.
   * @param {string} prefix
   * @param {number} from
   * @param {AbortSignal} signal
   * @returns {Promise<string>}
   */
  async watchUrl(prefix, from, signal) {
    const query = `prefix=${encodeURIComponent(prefix)}&from=${from}&progress=1`;
    const url = `${this.#root}/v1/watch?${query}`;
    if (this.#token === '') return url;
    const body = JSON.stringify({ scope: 'watch', ttl: 60 });
    const { ticket } = await this.#json('POST', '/v1/tickets', { body, signal });
    return `${url}&ticket=${encodeURIComponent(ticket)}`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {RequestInit & { headers?: Record<string, string> }} init
   * @returns {Promise<any>}
   */
  async #json(method, path, init) {
    const authorization = this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` };
    const isWrite = method === 'PUT' || method === 'DELETE';
    /** @type {Response} */
    let response;
    /** @type {any} */
    let body;
    try {
      const headers = { ...init.headers, ...authorization };
      response = await fetch(this.#root + path, { ...init, method, headers });
      body = await response.json().catch(() => null);
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Problem(0, 'unreachable', 'The service does not answer.', isWrite);
    }
    if (response.ok && body !== null) return body;
    const { code = 'unreadable', detail = response.statusText, outcome } = body ?? {};
    const isUnknown = outcome === 'unknown' || (isWrite && body === null);
    throw new Problem(response.status, code, detail, isUnknown);
  }
}

/** @param {string} prefix @param {number} keysMax */
export function tooMuch(prefix, keysMax) {
  const which = prefix === '' ? 'There are' : `Under ${JSON.stringify(prefix)} are`;
  const message = `${which} more keys than this page shows (${keysMax}). Choose a longer prefix.`;
  return new Problem(0, 'too-much', message);
}

/** @param {KeyName} key */
function pathOf(key) {
  return `/v1/kv?key64=${key64(key)}`;
}

/**
 * The key's bytes in base64url.
 * @param {KeyName} name
 */
export function key64({ key, key_encoding }) {
  const base64 = key_encoding === 'base64' ? key : base64Of(new TextEncoder().encode(key));
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @param {Uint8Array} bytes */
function base64Of(bytes) {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
