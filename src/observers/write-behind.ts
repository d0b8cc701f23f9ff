import { warnOnce } from "../internal/warn.js";
import { StoreError } from "../kit.js";
import { flushBeforeExit, forgetFlush } from "./before-exit.js";
import { DroppedError, type WriteBehindSettings, type WriteReport } from "./options.js";
import { type Batch, createRetryQueue, type Share } from "./retry-queue.js";

/** What differs between the observers that write to a store. */
export interface WriteBehindPlan<V> extends Omit<WriteBehindSettings, "intervalMs"> {
  /** The name of the observer, for messages. */
  readonly name: string;
  /** Writes a batch, all or nothing. Must be idempotent: calls may be repeated, and two may overlap. */
  readonly write: (batch: ReadonlyMap<string, V>) => unknown;
  /** Combines two values of one key. */
  readonly merge: (a: V, b: V) => V;
  /** How many milliseconds the first pending value waits for others. */
  readonly delayMs: number;
  /** The maximum number of pending values, without the batch in progress. */
  readonly max: number;
  /** The maximum size of a batch. A full batch is written at once, ready or not. */
  readonly batchSize: number;
  /** The time of `performance.now()` from which a key may be written again. */
  readonly readyAt?: (key: string) => number;
  /** Called with the keys of a written batch, and the time when the write started. */
  readonly onWritten?: (keys: Iterable<string>, startedAt: number) => void;
}

/** A bounded queue in front of a store. */
export interface WriteBehind<V> {
  /** Returns whether there is room for one more key, and counts a drop if not. Saves creating the value. */
  checkRoom(shares?: readonly Share[]): boolean;
  /** Adds a value, or counts it as dropped. Never throws and never waits. */
  add(key: string, value: V, shares?: readonly Share[]): void;
  /** Counts a value as dropped that cannot be written at all. */
  drop(reason: string): void;
  state(): WriteReport;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Queues values and writes them in batches: one store call at a time, with a time limit, and with exponential back-off
 * after failures. Uses the monotonic clock. Only the timers of `close` keep the process alive; a process that ends by
 * itself writes what is pending first.
 */
export function writeBehind<V>(plan: WriteBehindPlan<V>): WriteBehind<V> {
  const { name, write, merge, delayMs, max, onWritten, readyAt = () => 0 } = plan;
  const { onError = ignore, storeTimeoutMs, closeTimeoutMs } = plan;
  const batchSize = Math.min(plan.batchSize, max);
  const queue = createRetryQueue<V>(max, batchSize, merge);
  const now = () => performance.now();
  const reasons = {
    full: `${max} values are pending; further values are dropped until the store has recovered`,
    "share full": "too many values of one key or owner are pending; its further values are dropped",
    closed: "closed; further values are dropped",
  };
  const warnUnwritten = warnOnce("KEYBEARER_UNWRITTEN");

  let inProgress = 0;
  let failures = 0; // consecutive
  let retryAt = 0;
  let dropped = 0;
  let reportedDropped = 0; // the part of `dropped` in earlier totals
  let dropReported = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = 0;
  let running: Promise<void> | undefined;
  let nextFlush: Promise<void> | undefined;
  let abortCall = (): void => {};
  let closed = false;
  let closing: Promise<void> | undefined;

  const state = (): WriteReport => Object.freeze({ pending: queue.size() + inProgress, dropped });

  const report = (error: unknown): void => {
    new Promise((resolve) => resolve(onError(error, state()))).catch(() => {});
  };

  const drop = (reason: string, count = 1): void => {
    dropped += count;
    if (dropReported) return;
    dropReported = true;
    report(new DroppedError(`${name}: ${reason}`));
  };

  /** For a host without `onError`, which would otherwise lose values silently. */
  const handleUnwritten = (): void => {
    if (onError === ignore) warnUnwritten(`${name}: ${queue.size()} values were not written. Pass "onError"`);
  };

  const reportTotal = (): void => {
    if (dropped === reportedDropped) return;
    const count = dropped - reportedDropped;
    reportedDropped = dropped;
    dropReported = false;
    report(new DroppedError(`${name}: ${count} values were dropped`));
  };

  /** Calls the store with a time limit. A later result is ignored. */
  const callStore = (call: () => unknown): Promise<unknown> => {
    let timeout: ReturnType<typeof setTimeout> | undefined;
    return new Promise((resolve, reject) => {
      abortCall = () => reject(new StoreError(`${name}: the store did not respond in time`));
      timeout = setTimeout(abortCall, storeTimeoutMs);
      timeout.unref?.();
      new Promise((called) => called(call())).then(resolve, reject);
    }).finally(() => clearTimeout(timeout));
  };

  const handleFailure = (batch: Batch<V>, error: unknown): void => {
    retryAt = now() + backoff(++failures);
    const { overflowed, rejectedKey } = queue.requeue(batch);
    report(error);
    if (overflowed > 0) drop(reasons.full, overflowed);
    if (rejectedKey === undefined) return;
    dropped++;
    report(
      new DroppedError(`${name}: dropped ${rejectedKey}, which the store rejects while it accepts others`),
    );
  };

  const writeBatch = async (batch: Batch<V>): Promise<void> => {
    const startedAt = now();
    const values = new Map([...batch].map(([key, { value }]) => [key, value]));
    inProgress = values.size;
    try {
      await callStore(() => write(values));
    } catch (error) {
      inProgress = 0;
      handleFailure(batch, error);
      throw error;
    }
    inProgress = 0;
    failures = 0;
    queue.batchWritten();
    onWritten?.(values.keys(), startedAt);
  };

  const isReadyNow = (): ((key: string) => boolean) => {
    const at = now() + 1; // a timer may fire early by a fraction of a millisecond
    return (key) => readyAt(key) <= at;
  };

  /** Writes what is pending at the start. Values added during it are written only if they fill a batch. */
  const drain = async (everything: boolean): Promise<void> => {
    let left = everything ? queue.size() : queue.count(isReadyNow());
    while (left > 0 || queue.size() >= batchSize) {
      const batch = queue.take(everything || queue.size() >= batchSize ? () => true : isReadyNow());
      if (batch.size === 0) break;
      await writeBatch(batch);
      left -= batch.size;
      if (queue.size() < max / 2) reportTotal();
    }
    reportTotal();
  };

  const start = (everything: boolean): Promise<void> => {
    stopTimer();
    running = drain(everything).finally(() => {
      running = undefined;
      let firstReady = Number.POSITIVE_INFINITY;
      for (const key of queue.keys()) firstReady = Math.min(firstReady, readyAt(key));
      if (queue.size() > 0) schedule(writeTime(firstReady));
      else forgetFlush(flushOnExit);
    });
    return running;
  };

  const onTimer = (): void => {
    stopTimer();
    if (running === undefined) start(false).catch(() => {}); // already reported to onError
  };

  const stopTimer = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };

  /** Schedules a write, unless one is in progress or scheduled earlier. */
  const schedule = (at: number): void => {
    if (closed || running !== undefined || (timer !== undefined && timerAt <= at)) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(onTimer, Math.max(0, at - now()));
    timer.unref?.();
  };

  /** Returns when to write a key that is ready at `ready`: batched with others, and not during a back-off. */
  const writeTime = (ready: number): number => Math.max(ready, failures > 0 ? retryAt : now() + delayMs);

  const flush = (): Promise<void> => {
    if (running === undefined) return start(true);
    nextFlush ??= running
      .catch(() => {})
      .then(() => {
        nextFlush = undefined;
        return flush(); // another write may have started
      });
    return nextFlush;
  };

  const flushOnExit = (): void => {
    flush().catch(handleUnwritten);
  };

  /**
   * Retries at short intervals, because the host waits to exit. A store call in progress is aborted after half of the
   * time, so that a hung call leaves time for another.
   */
  const closeQueue = async (): Promise<void> => {
    closed = true;
    stopTimer();
    forgetFlush(flushOnExit);
    const deadline = now() + closeTimeoutMs;
    const timers = [
      setTimeout(abortCall, closeTimeoutMs / 2), // the current call
      setTimeout(() => abortCall(), closeTimeoutMs), // whichever call is in progress then
    ];
    try {
      for (let pause = 50; ; pause = Math.min(pause * 2, 250)) {
        try {
          return await flush();
        } catch (error) {
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(pause, deadline - now()))));
          if (now() >= deadline) throw error;
        }
      }
    } finally {
      for (const one of timers) clearTimeout(one);
      closing = undefined;
    }
  };

  return Object.freeze({
    checkRoom(shares?: readonly Share[]): boolean {
      const problem = closed ? "closed" : queue.fullness(shares);
      if (problem !== undefined) drop(reasons[problem]);
      return problem === undefined;
    },

    add(key: string, value: V, shares?: readonly Share[]): void {
      const outcome = closed ? "closed" : queue.add(key, value, shares);
      if (outcome !== "added" && outcome !== "merged") drop(reasons[outcome]);
      if (outcome !== "added") return;
      flushBeforeExit(flushOnExit);
      if (queue.size() < batchSize) schedule(writeTime(readyAt(key)));
      else schedule(failures > 0 ? retryAt : now());
    },

    drop: (reason: string) => drop(reason),
    state,
    flush,
    close: () => {
      if (closing === undefined) {
        closing = closeQueue();
        // Signal handlers ignore the promise, and an unhandled rejection would end the process.
        closing.catch(handleUnwritten);
      }
      return closing;
    },
  });
}

function ignore(): void {}

/** Returns a delay of 2 s, 4 s … 60 s in milliseconds, randomly reduced by up to half so that processes spread out. */
function backoff(failures: number): number {
  return Math.min(60_000, 1_000 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
}
