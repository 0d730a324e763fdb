/**
 * The dialog that edits one key. It never overwrites what its user has not seen: a save names the revision
 * that was opened (If-Match), and if the key has changed meanwhile, what it says now is shown beside the
 * user's text, who then chooses. The user's text is never replaced without being asked.
 */
import { keyText } from './key-list.js';
import { idOf } from './live-keys.js';
import { Problem } from './service.js';
import { bytesOf, lineEndOf, sizeText, withLineEnd } from './text.js';

/** @typedef {import('./service.js').Item} Item */
/** @typedef {import('./service.js').KeyName} KeyName */
/** @typedef {import('./service.js').Service} Service */

/** What is edited, and what it was when that began. */
/**
 * @typedef {object} Draft
 * @property {Service} service
 * @property {KeyName | null} name null: a key that is yet to be named
 * @property {string} prefix of a new key
 * @property {number | null} base the revision that the user has seen; null: that there is no such key
 * @property {string} before the text that the field began with
 * @property {'\n' | '\r\n'} lineEnd
 * @property {boolean} isUnknown a save had no answer
 */

const shownCharsMax = 20_000;
/** A browser's text field takes seconds to lay out much more. */
const editedCharsMax = 100_000;

export class Editor {
  /** @type {Draft | null} */
  #draft = null;
  /** @type {Item | null} what the key is now, where that is not what the user has seen */
  #theirs = null;
  #isBusy = false;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {(id: string | null) => void} onClose with the key that was edited
   */
  constructor(dialog, onClose) {
    const part = (/** @type {string} */ selector) => {
      const found = dialog.querySelector(selector);
      if (!found) throw new Error(`the editor has no ${selector}`);
      return /** @type {HTMLElement} */ (found);
    };
    this.dialog = dialog;
    this.form = /** @type {HTMLFormElement} */ (part('form'));
    this.key = /** @type {HTMLInputElement} */ (part('[name=key]'));
    this.value = /** @type {HTMLTextAreaElement} */ (part('[name=value]'));
    this.title = part('h2');
    this.keyField = part('#key-field');
    this.keyPrefix = part('#key-prefix');
    this.valueField = part('#value-field');
    this.note = part('#note');
    this.conflict = part('#conflict');
    this.conflictText = part('#conflict-text');
    this.conflictField = part('#conflict-field');
    this.conflictValue = /** @type {HTMLTextAreaElement} */ (part('#conflict-value'));
    this.takeTheirs = part('#take-theirs');
    this.problem = part('#editor-problem');
    this.delete = part('#delete');
    this.save = /** @type {HTMLButtonElement} */ (part('#save'));
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#save();
    });
    this.value.addEventListener('keydown', ({ key, ctrlKey, metaKey }) => {
      if (key === 'Enter' && (ctrlKey || metaKey)) this.form.requestSubmit(this.save);
    });
    this.delete.addEventListener('click', () => void this.#delete());
    this.delete.addEventListener('blur', () => this.#askAgain());
    this.takeTheirs.addEventListener('click', () => this.#takeTheirs());
    part('#keep-mine').addEventListener('click', () => this.#keepMine());
    part('#cancel').addEventListener('click', () => dialog.close());
    dialog.addEventListener('cancel', (event) => this.#guardEscape(event));
    dialog.addEventListener('close', () => {
      const name = this.#draft?.name ?? null;
      this.#draft = null;
      onClose(name === null ? null : idOf(name));
    });
  }

  /** @param {Service} service @param {string} prefix */
  openNew(service, prefix) {
    this.#begin({ service, name: null, prefix, base: null, before: '', lineEnd: '\n' });
    this.title.textContent = 'New key';
    this.keyField.hidden = false;
    this.keyPrefix.textContent = prefix;
    this.key.value = '';
    this.key.readOnly = false;
    this.#show({ value: '', encoding: 'utf8' });
    this.delete.hidden = true;
    this.key.focus();
  }

  /** @param {Service} service @param {Item} item */
  open(service, item) {
    const { mod_revision: base, value } = item;
    const before = item.encoding === 'utf8' ? value : '';
    const lineEnd = lineEndOf(value);
    this.#begin({ service, name: item, prefix: '', base, before, lineEnd });
    this.title.textContent = keyText(item);
    this.keyField.hidden = true;
    this.#show(item);
    this.delete.hidden = false;
    if (this.valueField.hidden) this.delete.focus();
    else this.value.focus();
    this.value.setSelectionRange(0, 0);
  }

  /**
   * Somebody has changed keys. (Or it was our own save, whose answer is still to come.)
   * @param {ReadonlyMap<string, Item>} items
   */
  hear(items) {
    const draft = this.#draft;
    if (draft === null || draft.name === null || this.#isBusy) return;
    this.#compare(draft, items.get(idOf(draft.name)) ?? null);
  }

  /** @param {Omit<Draft, 'isUnknown'>} draft */
  #begin(draft) {
    this.#draft = { ...draft, isUnknown: false };
    this.#theirs = null;
    this.conflict.hidden = true;
    this.problem.hidden = true;
    this.#askAgain();
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** @param {Pick<Item, 'value' | 'encoding'>} item */
  #show(item) {
    const isText = item.encoding === 'utf8';
    const isShort = item.value.length <= editedCharsMax;
    this.value.value = isText ? item.value.slice(0, isShort ? editedCharsMax : shownCharsMax) : '';
    // Mixed line ends, for one, do not survive a text field.
    const isKept = isText && this.#text() === item.value;
    this.valueField.hidden = !isText;
    this.value.readOnly = !isKept;
    this.save.hidden = !isKept;
    this.note.hidden = isKept;
    const size = sizeText(bytesOf(item));
    if (!isText)
      this.note.textContent = `This value is no text but ${size}, so it is not edited here.`;
    else if (!isShort)
      this.note.textContent = `This is the beginning of ${size}: too large to edit here.`;
    else
      this.note.textContent =
        'A text field cannot keep this value as it is (its line ends, mostly), so it is only shown.';
  }

  /** The text as it is to be saved. */
  #text() {
    return withLineEnd(this.value.value, this.#draft?.lineEnd ?? '\n');
  }

  /**
   * Shows what the key is now, if that is not what the user has seen.
   * @param {Draft} draft
   * @param {Item | null} now
   */
  #compare(draft, now) {
    const revision = now?.mod_revision ?? null;
    if (revision === draft.base) return;
    if (now !== null && now.encoding === 'utf8' && now.value === this.#text()) {
      // It says what the user wants it to say: most of all after a save that had no answer.
      draft.base = revision;
      this.conflict.hidden = true;
      if (draft.isUnknown) this.dialog.close();
      return;
    }
    if (now !== null && draft.base !== null && this.#text() === draft.before) {
      // Nothing of the user's is in the field.
      this.open(draft.service, now);
      return this.#fail(`Somebody has just changed it, at revision ${revision}.`);
    }
    this.#theirs = now;
    this.conflict.hidden = false;
    this.takeTheirs.textContent = now === null ? 'Close' : 'Take theirs';
    this.conflictField.hidden = now === null;
    if (now === null) {
      this.conflictText.textContent = 'Somebody has deleted this key meanwhile.';
      return;
    }
    const what =
      draft.base === null ? 'There is such a key already, written' : 'Somebody has changed it';
    this.conflictText.textContent = `${what} at revision ${revision}.`;
    this.conflictValue.value =
      now.encoding === 'base64'
        ? `${sizeText(bytesOf(now))} that are no text`
        : now.value.slice(0, shownCharsMax) + (now.value.length > shownCharsMax ? ' …' : '');
  }

  #takeTheirs() {
    const { service } = this.#draft ?? {};
    if (service === undefined || this.#theirs === null) this.dialog.close();
    else this.open(service, this.#theirs);
  }

  /** The user has seen theirs, and is about to write over it: at the next save, and no other change. */
  #keepMine() {
    if (this.#draft === null) return;
    this.#draft.base = this.#theirs?.mod_revision ?? null;
    this.conflict.hidden = true;
    this.value.focus();
  }

  async #save() {
    const draft = this.#draft;
    if (draft === null || this.#isBusy) return;
    if (!this.conflict.hidden) return this.#fail('Say first what is to happen with their change.');
    if (draft.name === null) {
      if (this.key.value === '') return this.#fail('The key needs a name.');
      draft.name = { key: draft.prefix + this.key.value };
    } else if (draft.base !== null && this.#text() === draft.before) {
      return this.dialog.close();
    }
    const { name, base } = draft;
    const text = this.#text();
    await this.#ask(draft, name, () => draft.service.put(name, text, base));
  }

  /** The first time it only asks. */
  async #delete() {
    const draft = this.#draft;
    if (draft === null || draft.name === null || draft.base === null || this.#isBusy) return;
    if (!this.conflict.hidden) return this.#fail('Say first what is to happen with their change.');
    if (this.delete.dataset.asked !== 'yes') {
      this.delete.dataset.asked = 'yes';
      this.delete.textContent = 'Delete it for good?';
      return;
    }
    const { name, base } = draft;
    await this.#ask(draft, name, () => draft.service.remove(name, base));
  }

  #askAgain() {
    this.delete.dataset.asked = 'no';
    this.delete.textContent = 'Delete';
  }

  /**
   * @param {Draft} draft
   * @param {KeyName} name
   * @param {() => Promise<void>} write
   */
  async #ask(draft, name, write) {
    this.#setBusy(true);
    this.problem.hidden = true;
    try {
      await write();
      if (this.#draft === draft) this.dialog.close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (this.#draft === draft) await this.#explain(draft, name, error);
    } finally {
      this.#setBusy(false);
    }
  }

  /** @param {Draft} draft @param {KeyName} name @param {Problem} problem */
  async #explain(draft, name, problem) {
    draft.isUnknown ||= problem.outcomeUnknown;
    if (problem.code !== 'precondition-failed') {
      const more = 'Nobody knows whether it was done. Save again: it will be done once.';
      return this.#fail(problem.outcomeUnknown ? `${problem.message} ${more}` : problem.message);
    }
    this.key.readOnly = true;
    try {
      this.#compare(draft, await draft.service.read(name));
    } catch {
      this.#fail('Somebody has changed it meanwhile, and it cannot be read at the moment.');
    }
  }

  /** @param {string} message */
  #fail(message) {
    this.problem.textContent = message;
    this.problem.hidden = false;
  }

  /** @param {boolean} isBusy */
  #setBusy(isBusy) {
    this.#isBusy = isBusy;
    this.save.disabled = isBusy;
    this.save.textContent = isBusy ? 'Saving' : 'Save';
  }

  /** Escape does not drop a text; the second one does. */
  #guardEscape(/** @type {Event} */ event) {
    const isChanged = !this.value.readOnly && this.#text() !== this.#draft?.before;
    const message = 'There are changes that are not saved. Escape again drops them.';
    if (!isChanged || this.problem.textContent === message) return;
    event.preventDefault();
    this.#fail(message);
  }
}
