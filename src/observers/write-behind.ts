import { StoreError } from "../kit.js";
import { type Batch, createBacklog } from "./backlog.js";
import { DroppedError, type WriteBehindSettings } from "./options.js";

/** What the observers of one kind leave to {@link writeBehind}. */
export interface WriteBehindPlan<V> extends WriteBehindSettings {
  /** The observer, for messages. */
  readonly name: string;
  /** Writes a batch, all or nothing; must bear to be given the same again, and two at a time. */
  readonly write: (batch: ReadonlyMap<string, V>) => unknown;
  /** What two values of one key come to. */
  readonly merge: (a: V, b: V) => V;
  /** Milliseconds that the first unwritten value waits for others. */
  readonly delayMs: number;
  /** How many values may wait, beside the batch that is under way. */
  readonly max: number;
  /** How many go in one call. When as many wait, they go at once, ready or not. */
  readonly batchSize: number;
  /** From which moment of `performance.now()` on a key may be written again. */
  readonly readyAt?: (key: string) => number;
  /** Told which keys were written, and when their write began. */
  readonly onWritten?: (keys: Iterable<string>, began: number) => void;
}

/** A bounded queue in front of a store. */
export interface WriteBehind<V> {
  /** Whether there is room for one more key; if not, it is counted as dropped. Saves making the value. */
  admits(): boolean;
  /** Takes a value in, or counts it as dropped; never throws, never waits. */
  add(key: string, value: V): void;
  /** Counts something as dropped that cannot be written at all. */
  drop(why: string): void;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Keeps values until a store has them: one call at a time, within a time limit. After a failure everything
 * rests, for one second at first and at most a minute. Times are read from the monotonic clock, and no timer
 * keeps the process running, but that of `close`.
 */
export function writeBehind<V>(plan: WriteBehindPlan<V>): WriteBehind<V> {
  const { name, write, merge, delayMs, max, onWritten, readyAt = () => 0 } = plan;
  const { onError = () => {}, storeTimeoutMs, closeTimeoutMs } = plan;
  const batchSize = Math.min(plan.batchSize, max);
  const backlog = createBacklog<V>(max, batchSize, merge);
  const now = () => performance.now();
  const crowded = `${max} wait for the store, and further ones are dropped`;
  const late = "closed already; what comes now is dropped";

  let underWay = 0;
  let failures = 0; // in a row
  let restUntil = 0;
  let dropped = 0;
  let accounted = 0; // how many of the dropped were in a total already
  let announced = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = 0;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let abandon = (): void => {};
  let closed = false;
  let closing: Promise<void> | undefined;

  const tell = (error: unknown): void => {
    const report = Object.freeze({ pending: backlog.size() + underWay, dropped });
    new Promise((resolve) => resolve(onError(error, report))).catch(() => {});
  };

  const drop = (why: string, count = 1): void => {
    dropped += count;
    if (announced) return;
    announced = true;
    tell(new DroppedError(`${name}: ${why}`));
  };

  const tellTotal = (): void => {
    if (dropped === accounted) return;
    const count = dropped - accounted;
    accounted = dropped;
    announced = false;
    tell(new DroppedError(`${name}: ${count} in all had to be dropped`));
  };

  /** Waits for an answer, but not for ever; one that comes later counts for nothing. */
  const answered = (call: () => unknown): Promise<unknown> => {
    let limit: ReturnType<typeof setTimeout> | undefined;
    return new Promise((resolve, reject) => {
      abandon = () => reject(new StoreError(`${name}: the store did not answer in time`));
      limit = setTimeout(abandon, storeTimeoutMs);
      limit.unref?.();
      new Promise((called) => called(call())).then(resolve, reject);
    }).finally(() => clearTimeout(limit));
  };

  const failed = (batch: Batch<V>, error: unknown): void => {
    restUntil = now() + restAfter(++failures);
    const { crowdedOut, refused } = backlog.giveBack(batch);
    tell(error);
    if (crowdedOut > 0) drop(crowded, crowdedOut);
    if (refused === undefined) return;
    dropped++;
    tell(new DroppedError(`${name}: dropped ${refused}, which the store refuses while it takes others`));
  };

  const send = async (batch: Batch<V>): Promise<void> => {
    const began = now();
    const values = new Map([...batch].map(([key, { value }]) => [key, value]));
    underWay = values.size;
    try {
      await answered(() => write(values));
    } catch (error) {
      underWay = 0;
      failed(batch, error);
      throw error;
    }
    underWay = 0;
    failures = 0;
    backlog.wrote();
    onWritten?.(values.keys(), began);
  };

  /** What may be written at this moment. */
  const readyNow = (): ((key: string) => boolean) => {
    const at = now() + 1; // a timer may fire early by a fraction of a millisecond
    return (key) => readyAt(key) <= at;
  };

  /** Writes what waits now. What comes meanwhile waits for its turn, unless it fills a batch. */
  const drain = async (everything: boolean): Promise<void> => {
    let left = everything ? backlog.size() : backlog.count(readyNow());
    while (left > 0 || backlog.size() >= batchSize) {
      const batch = backlog.take(everything || backlog.size() >= batchSize ? () => true : readyNow());
      if (batch.size === 0) break;
      await send(batch);
      left -= batch.size;
      if (backlog.size() < max / 2) tellTotal();
    }
    tellTotal();
  };

  const start = (everything: boolean): Promise<void> => {
    stopTimer();
    running = drain(everything).finally(() => {
      running = undefined;
      let ready = Number.POSITIVE_INFINITY;
      for (const key of backlog.keys()) ready = Math.min(ready, readyAt(key));
      if (backlog.size() > 0) arm(turn(ready));
    });
    return running;
  };

  const onTimer = (): void => {
    stopTimer();
    if (running === undefined) start(false).catch(() => {}); // onError was told
  };

  const stopTimer = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };

  const arm = (at: number): void => {
    if (closed || running !== undefined || (timer !== undefined && timerAt <= at)) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(onTimer, Math.max(0, at - now()));
    timer.unref?.();
  };

  /** When to write a key that is ready then: not during a rest, and together with others. */
  const turn = (ready: number): number => Math.max(ready, failures > 0 ? restUntil : now() + delayMs);

  const flush = (): Promise<void> => {
    if (running === undefined) return start(true);
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined;
        return flush(); // somebody else may have started by now
      });
    return next;
  };

  /**
   * Failures are tried again in short order, because the host is waiting to end; and a call that was under way
   * already gets half of the time at most, so that one which hangs does not take it all.
   */
  const end = async (): Promise<void> => {
    closed = true;
    stopTimer();
    const endsAt = now() + closeTimeoutMs;
    const limits = [
      setTimeout(abandon, closeTimeoutMs / 2),
      setTimeout(() => abandon(), closeTimeoutMs), // whichever it is by then
    ];
    try {
      for (let pause = 50; ; pause = Math.min(pause * 2, 250)) {
        try {
          return await flush();
        } catch (error) {
          await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(pause, endsAt - now()))));
          if (now() >= endsAt) throw error;
        }
      }
    } finally {
      for (const limit of limits) clearTimeout(limit);
      closing = undefined;
    }
  };

  return Object.freeze({
    admits(): boolean {
      const hasRoom = !closed && backlog.size() < max;
      if (!hasRoom) drop(closed ? late : crowded);
      return hasRoom;
    },

    add(key: string, value: V): void {
      const outcome = closed ? "late" : backlog.add(key, value);
      if (outcome === "late") drop(late);
      if (outcome === "full") drop(crowded);
      if (outcome !== "added") return;
      if (backlog.size() < batchSize) arm(turn(readyAt(key)));
      else arm(failures > 0 ? restUntil : now());
    },

    drop: (why: string) => drop(why),
    flush,
    close: () => {
      closing ??= end();
      return closing;
    },
  });
}

/** Between a half and all of 2 s, 4 s … 60 s, so that processes which failed together do not come back together. */
function restAfter(failures: number): number {
  return Math.min(60_000, 1_000 * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);
}
