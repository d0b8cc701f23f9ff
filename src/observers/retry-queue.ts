/** A value that waits to be written. */
interface QueuedValue<V> {
  value: V;
  readonly shares: readonly Share[];
  failures: number;
  /** The maximum size of a batch with this value. */
  maxBatch: number;
  /** How often the value was rejected alone, counted once between two successful batches. */
  rejections: number;
  /** The number of successful batches at the last rejection. */
  writtenBatches: number;
}

/** How many values of a group, such as those of one key, may be in the queue. */
export interface Share {
  readonly group: string;
  readonly max: number;
}

/** The values of one store call. */
export type Batch<V> = ReadonlyMap<string, QueuedValue<V>>;

/** The result of {@link RetryQueue.requeue}. */
export interface RequeueResult {
  /** The number of values that no longer fit into the queue. */
  readonly overflowed: number;
  /** The key of a value that is given up, because only this value makes writes fail. */
  readonly rejectedKey: string | undefined;
}

/** A bounded first-in, first-out queue with at most one value per key. */
export interface RetryQueue<V> {
  size(): number;
  keys(): Iterable<string>;
  /** Returns the number of keys that are ready. */
  count(isReady: (key: string) => boolean): number;
  /** Returns why a value with a new key cannot be added; `undefined` if there is room. */
  fullness(shares?: readonly Share[]): "full" | "share full" | undefined;
  /** Adds a value, or merges it with the one of the same key. */
  add(key: string, value: V, shares?: readonly Share[]): "added" | "merged" | "full" | "share full";
  /** Removes and returns the next batch of keys that are ready. */
  take(isReady: (key: string) => boolean): Batch<V>;
  /** Puts the values of a failed batch back. */
  requeue(batch: Batch<V>): RequeueResult;
  /** Records that a batch was written. */
  batchWritten(): void;
}

const MAX_REJECTIONS = 10;

/**
 * Creates the queue of {@link writeBehind}. Failed values go to the end of the queue; from their second failure on,
 * batches are halved until a bad value is isolated. It is given up only after it was rejected alone ten times while
 * other batches were written, so nothing is given up in an outage.
 */
export function createRetryQueue<V>(max: number, batchSize: number, merge: (a: V, b: V) => V): RetryQueue<V> {
  const queue = new Map<string, QueuedValue<V>>();
  const sizes = new Map<string, number>();
  let writtenBatches = 0;

  const put = (key: string, item: QueuedValue<V>): void => {
    queue.set(key, item);
    for (const { group } of item.shares) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  };

  const remove = (key: string, { shares }: QueuedValue<V>): void => {
    queue.delete(key);
    for (const { group } of shares) {
      const size = (sizes.get(group) ?? 0) - 1;
      if (size > 0) sizes.set(group, size);
      else sizes.delete(group);
    }
  };

  const fullness = (shares: readonly Share[] = []) => {
    if (queue.size >= max) return "full";
    return shares.some(({ group, max }) => (sizes.get(group) ?? 0) >= max) ? "share full" : undefined;
  };

  const isBad = (item: QueuedValue<V>): boolean => {
    if (item.writtenBatches !== writtenBatches) item.rejections++;
    item.writtenBatches = writtenBatches;
    return item.rejections >= MAX_REJECTIONS;
  };

  return Object.freeze({
    size: () => queue.size,
    keys: () => queue.keys(),

    count(isReady: (key: string) => boolean): number {
      let count = 0;
      for (const key of queue.keys()) if (isReady(key)) count++;
      return count;
    },

    fullness,

    add(key: string, value: V, shares: readonly Share[] = []) {
      const queued = queue.get(key);
      if (queued !== undefined) {
        queued.value = merge(queued.value, value);
        return "merged";
      }
      const full = fullness(shares);
      if (full !== undefined) return full;
      put(key, { value, shares, failures: 0, maxBatch: batchSize, rejections: 0, writtenBatches: -1 });
      return "added";
    },

    take(isReady: (key: string) => boolean): Batch<V> {
      const batch = new Map<string, QueuedValue<V>>();
      let maxBatch = batchSize;
      for (const [key, item] of queue) {
        if (!isReady(key)) continue;
        maxBatch = Math.min(maxBatch, item.maxBatch);
        if (batch.size >= maxBatch) break;
        batch.set(key, item);
      }
      for (const [key, item] of batch) remove(key, item);
      return batch;
    },

    requeue(batch: Batch<V>): RequeueResult {
      let overflowed = 0;
      let rejectedKey: string | undefined;
      for (const [key, item] of batch) {
        const newer = queue.get(key); // added during the write
        if (++item.failures > 1) item.maxBatch = Math.ceil(batch.size / 2);
        if (batch.size === 1 && isBad(item)) {
          rejectedKey = key;
        } else if (newer !== undefined) {
          queue.set(key, { ...item, value: merge(item.value, newer.value) });
        } else if (queue.size < max) {
          put(key, item);
        } else {
          overflowed++;
        }
      }
      return { overflowed, rejectedKey };
    },

    batchWritten() {
      writtenBatches++;
    },
  });
}
