/**
 * Half-open intervals of keys, each with a value, and the question which of them contain a key.
 *
 * A treap ordered by (begin, end), each node with the largest end below it; a single key is found in
 * a map. Keys are binary strings (src/api/intervals.ts). Adding, removing: O(log n) expected; asking:
 * O(log n) and as much for each interval found.
 */
interface Node<T> {
  readonly begin: string;
  /** null: up to the last key. */
  readonly end: string | null;
  readonly value: T;
  readonly priority: number;
  left: Node<T> | null;
  right: Node<T> | null;
  endMax: string | null;
}

export class IntervalIndex<T> {
  private readonly single = new Map<string, T>();
  private root: Node<T> | null = null;
  private seed = 1;

  /** The value of exactly that interval, made and kept when there is none. */
  at(begin: string, end: string | null, make: () => T): T {
    const known = this.find(begin, end);
    if (known !== undefined) return known;
    const value = make();
    if (isSingle(begin, end)) this.single.set(begin, value);
    else {
      const priority = this.nextPriority();
      const node = { begin, end, value, priority, left: null, right: null, endMax: end };
      this.root = insert(this.root, node);
    }
    return value;
  }

  remove(begin: string, end: string | null): void {
    if (isSingle(begin, end)) this.single.delete(begin);
    else this.root = remove(this.root, begin, end);
  }

  /** Calls `visit` with the value of each interval that contains the key. */
  visit(key: string, visit: (value: T) => void): void {
    const single = this.single.get(key);
    if (single !== undefined) visit(single);
    stab(this.root, key, visit);
  }

  private find(begin: string, end: string | null): T | undefined {
    if (isSingle(begin, end)) return this.single.get(begin);
    for (let node = this.root; node; ) {
      const order = compare(begin, end, node);
      if (order === 0) return node.value;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** A sequence that spreads well; the shape of the tree is nobody's to guess, so any will do. */
  private nextPriority(): number {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed;
  }
}

function isSingle(begin: string, end: string | null): boolean {
  return end !== null && end.length === begin.length + 1 && end === `${begin}\0`;
}

function compare(begin: string, end: string | null, node: Node<unknown>): number {
  if (begin !== node.begin) return begin < node.begin ? -1 : 1;
  if (end === node.end) return 0;
  return isBefore(end, node.end) ? -1 : 1;
}

/** Of two ends; null is the last. */
function isBefore(end: string | null, other: string | null): boolean {
  return end !== null && (other === null || end < other);
}

function update<T>(node: Node<T>): Node<T> {
  node.endMax = node.end;
  for (const child of [node.left, node.right])
    if (child && isBefore(node.endMax, child.endMax)) node.endMax = child.endMax;
  return node;
}

function insert<T>(root: Node<T> | null, node: Node<T>): Node<T> {
  if (!root) return node;
  if (compare(node.begin, node.end, root) < 0) {
    root.left = insert(root.left, node);
    return update(root.left.priority > root.priority ? rotateRight(root, root.left) : root);
  }
  root.right = insert(root.right, node);
  return update(root.right.priority > root.priority ? rotateLeft(root, root.right) : root);
}

function rotateRight<T>(root: Node<T>, left: Node<T>): Node<T> {
  root.left = left.right;
  left.right = update(root);
  return left;
}

function rotateLeft<T>(root: Node<T>, right: Node<T>): Node<T> {
  root.right = right.left;
  right.left = update(root);
  return right;
}

function remove<T>(root: Node<T> | null, begin: string, end: string | null): Node<T> | null {
  if (!root) return null;
  const order = compare(begin, end, root);
  if (order === 0) return merge(root.left, root.right);
  if (order < 0) root.left = remove(root.left, begin, end);
  else root.right = remove(root.right, begin, end);
  return update(root);
}

/** Everything of `left` lies before everything of `right`. */
function merge<T>(left: Node<T> | null, right: Node<T> | null): Node<T> | null {
  if (!left || !right) return left ?? right;
  if (left.priority > right.priority) {
    left.right = merge(left.right, right);
    return update(left);
  }
  right.left = merge(left, right.left);
  return update(right);
}

function stab<T>(node: Node<T> | null, key: string, visit: (value: T) => void): void {
  // Nothing below ends after the key.
  if (!node || !isAfter(node.endMax, key)) return;
  stab(node.left, key, visit);
  if (key < node.begin) return;
  if (isAfter(node.end, key)) visit(node.value);
  stab(node.right, key, visit);
}

function isAfter(end: string | null, key: string): boolean {
  return end === null || key < end;
}
