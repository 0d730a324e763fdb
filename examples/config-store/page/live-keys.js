/**
 * The keys under a prefix, kept up to date by the service's watch.
 *
 * It reads all of them at one revision and then hears of every later change, once and in order. When the
 * connection is lost the browser's EventSource comes back by itself and says the last revision that it
 * has heard of (Last-Event-ID), so that nothing is missed and nothing is told twice. Only where the service
 * cannot go on from there (`compacted`, `overflow`) are the keys read anew.
 *
 * Knows nothing of the page: it fires `keys` (detail: the ids that changed, null: all) and `state`.
 */
import { key64, Problem, tooMuch } from './service.js';

/** @typedef {import('./service.js').Item} Item */
/** @typedef {import('./service.js').KeyName} KeyName */
/** @typedef {import('./service.js').Service} Service */

/** @typedef {{ revision: number, events: ((Item & { type: 'put' }) | (KeyName & { type: 'delete' }))[] }} Change */

/**
 * reading: all keys; live: every change is heard; reconnecting: the browser is; waiting: to try again, after
 * `problem`; refused: `problem` does not go away by trying.
 * @typedef {{ phase: 'reading' | 'live' | 'reconnecting', problem: null }
 *   | { phase: 'waiting' | 'refused', problem: Problem }} State
 */

/** How a connection ended: it was open, it was not even opened, or its end says "read anew". */
/** @typedef {'lost' | 'unopened' | 'anew'} Ending */

const limits = { keysMax: 2_000, charsMax: 64 * 1024 * 1024 };
const pauseMinMs = 1_000;
const pauseMaxMs = 15_000;
/** These events are the last of their connection, and say that it cannot go on from where it was. */
const lastEvents = ['compacted', 'overflow', 'too-large'];

export class LiveKeys extends EventTarget {
  /** @type {Map<string, Item>} by `idOf` */
  items = new Map();
  /** All changes up to this one are in `items`. */
  revision = 0;
  /** @type {State} */
  state = { phase: 'reading', problem: null };
  #ended = new AbortController();
  #chars = 0;

  /**
   * @param {Service} service
   * @param {string} prefix
   * @param {{ EventSource: typeof EventSource, pause: typeof pause }} [parts] other ones in tests
   */
  constructor(service, prefix, parts = { EventSource: globalThis.EventSource, pause }) {
    super();
    this.service = service;
    this.prefix = prefix;
    this.parts = parts;
  }

  /** Returns when it is closed or refused. */
  async run() {
    const { signal } = this.#ended;
    let failures = 0;
    while (!signal.aborted) {
      try {
        this.#tell({ phase: 'reading', problem: null });
        const { items, revision } = await this.service.list(this.prefix, limits, signal);
        this.#replace(items, revision);
        await this.#follow(() => {
          failures = 0;
        });
        await this.parts.pause(pauseMinMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        if (!passes(error)) return this.#tell({ phase: 'refused', problem: error });
        this.#tell({ phase: 'waiting', problem: error });
        await this.parts.pause(Math.min(pauseMaxMs, pauseMinMs * 2 ** failures), signal);
        failures += 1;
      }
    }
  }

  close() {
    this.#ended.abort();
  }

  /**
   * Returns when the keys have to be read anew.
   * @param {() => void} onOpen
   */
  async #follow(onOpen) {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const url = await this.service.watchUrl(this.prefix, this.revision + 1, signal);
      const ending = await this.#listen(url, onOpen);
      if (ending === 'anew') return;
      if (ending === 'unopened') {
        // EventSource does not say why. If what it asked for is gone, reading anew is the answer too.
        throw new Problem(503, 'no-watch', 'The service does not take watches at the moment.');
      }
    }
  }

  /**
   * One EventSource, over as many connections as it makes by itself. Rejects with a Problem when there is
   * more than this page can show.
   * @param {string} url
   * @param {() => void} onOpen
   * @returns {Promise<Ending>}
   */
  #listen(url, onOpen) {
    const { signal } = this.#ended;
    const source = new this.parts.EventSource(url);
    let wasOpen = false;
    /** @type {Promise<Ending>} */
    const ending = new Promise((resolve, reject) => {
      signal.onabort = () => resolve('anew');
      source.addEventListener('open', () => {
        wasOpen = true;
        onOpen();
        this.#tell({ phase: 'live', problem: null });
      });
      source.addEventListener('error', () => {
        // Closed for good: the answer was an error (the ticket is used, history is gone, no member is up).
        if (source.readyState === this.parts.EventSource.CLOSED)
          resolve(wasOpen ? 'lost' : 'unopened');
        else this.#tell({ phase: 'reconnecting', problem: null });
      });
      source.addEventListener('change', ({ data }) => {
        if (!this.#apply(JSON.parse(data))) reject(tooMuch(this.prefix, limits.keysMax));
      });
      source.addEventListener('progress', ({ data }) => this.#advance(JSON.parse(data).revision));
      for (const name of lastEvents) source.addEventListener(name, () => resolve('anew'));
    });
    // Else it would come back by itself after `compacted`, and be refused for ever.
    return ending.finally(() => source.close());
  }

  /** @param {Item[]} items @param {number} revision */
  #replace(items, revision) {
    this.items = new Map(items.map((item) => [idOf(item), item]));
    this.#chars = items.reduce((sum, { value }) => sum + value.length, 0);
    this.revision = revision;
    this.#fire('keys', null);
  }

  /**
   * All of one revision at once, as it was written. False: it is more than the limits.
   * @param {Change} change
   */
  #apply({ revision, events }) {
    // What is in the list already is no news. (The service tells a revision once; this costs nothing.)
    if (revision <= this.revision) return true;
    const ids = new Set(events.map((event) => this.#applyOne(event)));
    this.revision = revision;
    this.#fire('keys', ids);
    return this.items.size <= limits.keysMax && this.#chars <= limits.charsMax;
  }

  /** @param {Change['events'][number]} event @returns {string} */
  #applyOne(event) {
    const id = idOf(event);
    this.#chars -= this.items.get(id)?.value.length ?? 0;
    if (event.type === 'delete') {
      this.items.delete(id);
    } else {
      this.items.set(id, event);
      this.#chars += event.value.length;
    }
    return id;
  }

  /** @param {number} revision */
  #advance(revision) {
    this.revision = Math.max(this.revision, revision);
    this.#fire('state', this.state);
  }

  /** @param {State} state */
  #tell(state) {
    this.state = state;
    this.#fire('state', state);
  }

  /** @param {string} type @param {unknown} detail */
  #fire(type, detail) {
    if (!this.#ended.signal.aborted) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {KeyName} item */
export function idOf(item) {
  return key64(item);
}

/**
 * Whether it may be otherwise in a while.
 * @param {Problem} problem
 */
function passes({ status, code }) {
  return code !== 'too-much' && (status === 0 || status === 410 || status === 429 || status >= 500);
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    // Not all pages at the same moment.
    const timer = setTimeout(done, ms * (0.5 + Math.random() / 2));
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
