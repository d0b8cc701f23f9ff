/** A cache that several owners share. Created by {@link createSharedCache}. */
export interface SharedCache<V> {
  get(key: string): V | undefined;
  /** Like `get`, but does not count as a use. */
  peek(key: string): V | undefined;
  /** Adds or replaces an entry. `weight` counts towards the maximum; 1 by default. */
  set(key: string, value: V, owner: string, weight?: number): void;
  delete(key: string): void;
  clear(): void;
}

/** A node of a circular doubly linked list, least recently used first. The head has no entry. */
interface ListNode<V> {
  previous: ListNode<V>;
  next: ListNode<V>;
  readonly entry: Entry<V> | undefined;
}

interface Entry<V> {
  readonly key: string;
  readonly value: V;
  readonly weight: number;
  readonly owner: Owner<V>;
  /** The node in the list of all entries. */
  all: ListNode<V>;
  /** The node in the list of the entries of the owner. */
  own: ListNode<V>;
}

interface Owner<V> {
  readonly name: string;
  readonly list: ListNode<V>;
  weight: number;
}

/** What an owner can hold of a full cache before it replaces its own entries. */
const SHARE = 1 / 16;

/**
 * Creates a cache with a maximum total weight. An owner may fill all the room that is left. In a full cache, an owner
 * above its share replaces its own least recently used entries, so it cannot evict those of others; an owner below its
 * share replaces the least recently used entries of all.
 *
 * @param onRemove called with each entry that is removed or replaced.
 */
export function createSharedCache<V>(
  max: number,
  onRemove?: (key: string, value: V) => void,
): SharedCache<V> {
  const entries = new Map<string, Entry<V>>();
  const owners = new Map<string, Owner<V>>();
  const list = createList<V>();
  let total = 0;

  const remove = ({ key, value, weight, owner, all, own }: Entry<V>): void => {
    entries.delete(key);
    unlink(all);
    unlink(own);
    total -= weight;
    owner.weight -= weight;
    if (owner.weight === 0) owners.delete(owner.name);
    onRemove?.(key, value);
  };

  const makeRoom = (name: string, weight: number): void => {
    while (total + weight > max) {
      const owner = owners.get(name);
      const isAboveShare = owner !== undefined && owner.weight + weight > max * SHARE;
      remove((isAboveShare ? owner.list : list).next.entry as Entry<V>);
    }
  };

  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      moveToEnd(entry.all, list);
      moveToEnd(entry.own, entry.owner.list);
      return entry.value;
    },

    peek: (key) => entries.get(key)?.value,

    set(key, value, name, weight = 1) {
      const replaced = entries.get(key);
      if (replaced !== undefined) remove(replaced);
      if (weight > max) return;
      makeRoom(name, weight);
      const owner = owners.get(name) ?? { name, list: createList<V>(), weight: 0 };
      owners.set(name, owner);
      const entry: Entry<V> = { key, value, weight, owner, all: list, own: owner.list };
      entry.all = append(list, entry);
      entry.own = append(owner.list, entry);
      entries.set(key, entry);
      total += weight;
      owner.weight += weight;
    },

    delete(key) {
      const entry = entries.get(key);
      if (entry !== undefined) remove(entry);
    },

    clear() {
      for (const entry of [...entries.values()]) remove(entry);
    },
  };
}

/** Returns a weight for {@link createSharedCache}: 1, and 1 more for each KiB of JSON. `Infinity` for what is not JSON. */
export function weightOf(...values: readonly unknown[]): number {
  try {
    return 1 + Math.floor(JSON.stringify(values).length / 1_024);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function createList<V>(): ListNode<V> {
  const list = { entry: undefined } as ListNode<V>;
  list.previous = list;
  list.next = list;
  return list;
}

function append<V>(list: ListNode<V>, entry: Entry<V>): ListNode<V> {
  const node = { previous: list.previous, next: list, entry };
  list.previous.next = node;
  list.previous = node;
  return node;
}

function unlink<V>({ previous, next }: ListNode<V>): void {
  previous.next = next;
  next.previous = previous;
}

function moveToEnd<V>(node: ListNode<V>, list: ListNode<V>): void {
  if (node.next === list) return;
  unlink(node);
  node.previous = list.previous;
  node.next = list;
  list.previous.next = node;
  list.previous = node;
}
