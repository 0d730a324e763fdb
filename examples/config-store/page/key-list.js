/**
 * The list of keys in the page. Whatever somebody stored is set as text, never as HTML. Rows are kept, so
 * that focus and scrolling stay where they are while others change the keys.
 */
import { bytesOf, preview, sizeText } from './text.js';

/** @typedef {import('./service.js').Item} Item */

export class KeyList {
  /** @type {Map<string, HTMLElement>} by id */
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {HTMLTemplateElement} template of a row
   * @param {(id: string) => void} onOpen
   */
  constructor(list, template, onOpen) {
    this.list = list;
    this.template = template;
    list.addEventListener('click', ({ target }) => {
      const row = target instanceof Element ? target.closest('li') : null;
      if (row?.dataset.id !== undefined) onOpen(row.dataset.id);
    });
  }

  /**
   * @param {ReadonlyMap<string, Item>} items
   * @param {ReadonlySet<string> | null} changed null: everything is new, and nothing is shown as changed
   */
  show(items, changed) {
    for (const [id, row] of this.#rows) if (!items.has(id)) this.#remove(id, row);
    const sorted = [...items].sort(([, a], [, b]) => (a.key < b.key ? -1 : 1));
    /** @type {Element | null} */
    let place = this.list.firstElementChild;
    for (const [id, item] of sorted) {
      const row = this.#rows.get(id) ?? this.#add(id);
      if (changed === null || changed.has(id)) fill(row, item);
      if (changed?.has(id)) flash(row);
      if (row === place) place = row.nextElementSibling;
      else this.list.insertBefore(row, place);
    }
  }

  /** @param {string} id */
  focus(id) {
    this.#rows.get(id)?.querySelector('button')?.focus();
  }

  /** @param {string} id */
  #add(id) {
    const copy = /** @type {DocumentFragment} */ (this.template.content.cloneNode(true));
    const row = /** @type {HTMLElement} */ (copy.firstElementChild);
    row.dataset.id = id;
    this.#rows.set(id, row);
    return row;
  }

  /** @param {string} id @param {HTMLElement} row */
  #remove(id, row) {
    // Who stood there with the keyboard stands at the next row now, not at the top of the page.
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    if (row.contains(document.activeElement)) neighbour?.querySelector('button')?.focus();
    row.remove();
    this.#rows.delete(id);
  }
}

/** @param {HTMLElement} row @param {Item} item */
function fill(row, item) {
  const { text, isCut } = preview(item);
  const [key, value, facts] = ['.key', '.value', '.facts'].map(
    (selector) => /** @type {HTMLElement} */ (row.querySelector(selector)),
  );
  if (!key || !value || !facts) throw new Error('a row has a key, a value and facts');
  key.textContent = keyText(item);
  value.textContent = item.value === '' ? 'empty' : text;
  value.classList.toggle('muted', item.value === '');
  value.classList.toggle('binary', item.encoding === 'base64');
  value.classList.toggle('cut', isCut);
  const size = isCut || item.encoding === 'base64' ? `${sizeText(bytesOf(item))} · ` : '';
  const kind = item.encoding === 'base64' ? 'binary, ' : '';
  facts.textContent = `${kind}${size}revision ${item.mod_revision}`;
}

/** @param {Pick<Item, 'key' | 'key_encoding'>} name */
export function keyText({ key, key_encoding }) {
  return key_encoding === 'base64' ? `${key} (base64)` : key;
}

/** @param {HTMLElement} row */
function flash(row) {
  row.animate([{ backgroundColor: 'var(--changed)' }, { backgroundColor: 'transparent' }], {
    duration: 2_000,
    easing: 'ease-out',
  });
}
