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

/** A place in a ring, in order of the last use. The ring itself has no entry; the next of it is the oldest. */
interface Link<V> {
  previous: Link<V>;
  next: Link<V>;
  readonly entry: Entry<V> | undefined;
}

interface Entry<V> {
  readonly key: string;
  readonly value: V;
  readonly weight: number;
  readonly owner: Owner<V>;
  /** The place among all entries. */
  all: Link<V>;
  /** The place among the entries of the owner. */
  own: Link<V>;
}

interface Owner<V> {
  readonly name: string;
  readonly ring: Link<V>;
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
  const ring = createRing<V>();
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
      remove((isAboveShare ? owner.ring : ring).next.entry as Entry<V>);
    }
  };

  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      moveToEnd(entry.all, ring);
      moveToEnd(entry.own, entry.owner.ring);
      return entry.value;
    },

    peek: (key) => entries.get(key)?.value,

    set(key, value, name, weight = 1) {
      const replaced = entries.get(key);
      if (replaced !== undefined) remove(replaced);
      if (weight > max) return;
      makeRoom(name, weight);
      const owner = owners.get(name) ?? { name, ring: createRing<V>(), weight: 0 };
      owners.set(name, owner);
      const entry: Entry<V> = { key, value, weight, owner, all: ring, own: owner.ring };
      entry.all = append(ring, entry);
      entry.own = append(owner.ring, entry);
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

function createRing<V>(): Link<V> {
  const ring = { entry: undefined } as Link<V>;
  ring.previous = ring;
  ring.next = ring;
  return ring;
}

function append<V>(ring: Link<V>, entry: Entry<V>): Link<V> {
  const link = { previous: ring.previous, next: ring, entry };
  ring.previous.next = link;
  ring.previous = link;
  return link;
}

function unlink<V>({ previous, next }: Link<V>): void {
  previous.next = next;
  next.previous = previous;
}

function moveToEnd<V>(link: Link<V>, ring: Link<V>): void {
  if (link.next === ring) return;
  unlink(link);
  link.previous = ring.previous;
  link.next = ring;
  ring.previous.next = link;
  ring.previous = link;
}
