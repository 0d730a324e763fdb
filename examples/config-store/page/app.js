/**
 * The page: which keys it shows is in its address (`?tenant=acme&prefix=config/`), the rest is the service's.
 */
import { Editor } from './editor.js';
import { KeyList } from './key-list.js';
import { LiveKeys } from './live-keys.js';
import { Problem, Service } from './service.js';
import { serviceUrl } from './settings.js';

/** @typedef {import('./live-keys.js').State} State */

const prefixUnlessSaid = 'config/';
const samples = {
  greeting: 'hello',
  'limits.json': '{\n  "requestsPerSecond": 50\n}',
  'features/dark-mode': 'on',
};
const stateTexts = {
  reading: 'Reading',
  live: 'Live',
  reconnecting: 'Reconnecting',
  waiting: 'Trying again',
  refused: 'Stopped',
};

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

const scope = /** @type {HTMLFormElement} */ (element('scope'));
const tokenField = element('token-field');
const keys = element('keys');
const template = /** @type {HTMLTemplateElement} */ (element('row'));

/** The token is kept in this page alone, and never in its address. */
let token = '';
let service = new Service(serviceUrl, '', '');
let live = new LiveKeys(service, '');

const list = new KeyList(keys, template, (id) => {
  const item = live.items.get(id);
  if (item) editor.open(service, item);
});
const editor = new Editor(/** @type {HTMLDialogElement} */ (element('editor')), (id) => {
  if (id === null) element('add').focus();
  else list.focus(id);
});

/** Shows what the address says, from scratch. */
function begin() {
  const query = new URLSearchParams(location.search);
  const tenant = query.get('tenant') ?? '';
  const prefix = query.get('prefix') ?? prefixUnlessSaid;
  field('tenant').value = tenant;
  field('prefix').value = prefix;
  document.title = prefix === '' ? 'Configuration' : `${prefix} · Configuration`;
  live.close();
  service = new Service(serviceUrl, tenant, token);
  live = new LiveKeys(service, prefix);
  live.addEventListener('state', () => showState(live.state));
  live.addEventListener('keys', (event) => {
    const { detail } = /** @type {CustomEvent<ReadonlySet<string> | null>} */ (event);
    showSoon(detail);
  });
  list.show(new Map(), null);
  element('empty').hidden = true;
  void live.run();
}

/** @param {string} name */
function field(name) {
  return /** @type {HTMLInputElement} */ (scope.elements.namedItem(name));
}

/** @type {Set<string> | null} ids that changed since the last frame; null: all */
let pending = new Set();
let isFrameAsked = false;

/** However many changes come, the list is shown once a frame. @param {ReadonlySet<string> | null} ids */
function showSoon(ids) {
  pending = ids === null || pending === null ? null : pending.union(ids);
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(() => {
    isFrameAsked = false;
    list.show(live.items, pending);
    pending = new Set();
    showEmpty();
    showState(live.state);
    editor.hear(live.items);
  });
}

function showEmpty() {
  const { prefix } = live;
  element('empty').hidden = live.items.size > 0;
  element('empty-text').textContent =
    prefix === '' ? 'There are no keys yet.' : `No key begins with “${prefix}” yet.`;
}

/** @param {State} state */
function showState({ phase, problem }) {
  element('state').dataset.phase = phase;
  setText('state-text', stateTexts[phase]);
  setText('revision', live.revision > 0 ? `revision ${live.revision}` : '');
  setText('problem', problem?.message ?? '');
  element('problem').hidden = problem === null;
  keys.classList.toggle('stale', phase !== 'live' && phase !== 'reading');
  if (problem?.status !== 401) return;
  tokenField.hidden = false;
  field('token').focus();
}

/** Only what is new is set: a screen reader says it each time. @param {string} id @param {string} text */
function setText(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

scope.addEventListener('submit', (event) => {
  event.preventDefault();
  token = field('token').value;
  const query = new URLSearchParams({ prefix: field('prefix').value });
  const tenant = field('tenant').value.trim();
  if (tenant !== '') query.set('tenant', tenant);
  history.pushState(null, '', `?${query}`);
  begin();
});
element('add').addEventListener('click', () => editor.openNew(service, live.prefix));
element('samples').addEventListener('click', async () => {
  try {
    for (const [name, value] of Object.entries(samples))
      await service.put({ key: live.prefix + name }, value, null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    setText('problem', error.message);
    element('problem').hidden = false;
  }
});
window.addEventListener('popstate', begin);
begin();
