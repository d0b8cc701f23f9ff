/** A value that waits to be written. */
interface Waiting<V> {
  value: V;
  failures: number;
  /** The most that may travel together with it, itself included. */
  company: number;
  /** How often it was refused alone, after others had been written since the time before. */
  refusals: number;
  writtenBefore: number;
}

/** What is on its way to the store. */
export type Batch<V> = ReadonlyMap<string, Waiting<V>>;

/** What became of a batch that failed. */
export interface Returned {
  /** How many found no room any more. */
  readonly crowdedOut: number;
  /** The one that was given up, because it is the fault itself. */
  readonly refused: string | undefined;
}

/** The bounded queue of {@link writeBehind}: one value per key, first come, first served. */
export interface Backlog<V> {
  size(): number;
  keys(): Iterable<string>;
  /** How many of them may be written. */
  count(mayGo: (key: string) => boolean): number;
  /** Takes a value in, or moves the one of its key on; but what it has no room for. */
  add(key: string, value: V): "added" | "merged" | "full";
  /** Takes out the next batch of what may be written. */
  take(mayGo: (key: string) => boolean): Batch<V>;
  /** Takes a batch back that was not written. */
  giveBack(batch: Batch<V>): Returned;
  /** To be told of every batch that was written. */
  wrote(): void;
}

// As often must a value be refused alone, while others are written, before it is given up.
const MAX_REFUSALS = 10;

/**
 * What failed goes to the end of the queue and, from its second failure on, travels in ever smaller batches: a
 * bad value holds up less and less beside itself, and is alone in the end. It is given up only when it was
 * refused alone, again and again, while others were written. In an outage, when nothing is, nothing is given up.
 */
export function createBacklog<V>(max: number, batchSize: number, merge: (a: V, b: V) => V): Backlog<V> {
  const queue = new Map<string, Waiting<V>>();
  let written = 0; // batches

  const isAtFault = (item: Waiting<V>): boolean => {
    if (item.writtenBefore !== written) item.refusals++;
    item.writtenBefore = written;
    return item.refusals >= MAX_REFUSALS;
  };

  return Object.freeze({
    size: () => queue.size,
    keys: () => queue.keys(),

    count(mayGo: (key: string) => boolean): number {
      let count = 0;
      for (const key of queue.keys()) if (mayGo(key)) count++;
      return count;
    },

    add(key: string, value: V) {
      const known = queue.get(key);
      if (known !== undefined) {
        known.value = merge(known.value, value);
        return "merged";
      }
      if (queue.size >= max) return "full";
      queue.set(key, { value, failures: 0, company: batchSize, refusals: 0, writtenBefore: -1 });
      return "added";
    },

    take(mayGo: (key: string) => boolean): Batch<V> {
      const batch = new Map<string, Waiting<V>>();
      let most = batchSize;
      for (const [key, item] of queue) {
        if (!mayGo(key)) continue;
        most = Math.min(most, item.company);
        if (batch.size >= most) break;
        batch.set(key, item);
      }
      for (const key of batch.keys()) queue.delete(key);
      return batch;
    },

    giveBack(batch: Batch<V>): Returned {
      let crowdedOut = 0;
      let refused: string | undefined;
      for (const [key, item] of batch) {
        const since = queue.get(key); // the same key again, while this one was on its way
        if (++item.failures > 1) item.company = Math.ceil(batch.size / 2);
        if (batch.size === 1 && isAtFault(item)) {
          refused = key;
        } else if (since !== undefined) {
          queue.set(key, { ...item, value: merge(item.value, since.value) });
        } else if (queue.size < max) {
          queue.set(key, item);
        } else {
          crowdedOut++;
        }
      }
      return { crowdedOut, refused };
    },

    wrote() {
      written++;
    },
  });
}
