import { randomUUID } from "node:crypto";
import { settledWithin } from "../internal/timeout.js";
import { emit, type KeyChanges, type KeyStore, StoreError, withStoreTimeout } from "../kit.js";
import { decodeMessage, encodeMessage } from "./bus/message.js";
import type { Entries } from "./entries.js";
import type { Lease } from "./lease.js";
import type { Settings } from "./options.js";
import { deferred, publishWithin } from "./publish.js";

/** A store that reports which keys changed. */
export type FeedStore = KeyStore & Required<Pick<KeyStore, "changes">>;

const CLOSE_TIMEOUT_MS = 1_000;
const SUBSCRIBE_HEARTBEATS = 10; // between attempts

/**
 * Creates a lease that is renewed by reading from the store which keys changed. It lasts for a heartbeat and the time
 * limit of the store, counted from the start of the last reading, so a change is in force after that time, whoever made
 * it. When the lease ends, the cache starts empty, which also covers a store that lost changes in a failover.
 *
 * Messages of the bus evict keys earlier. Losing one delays nothing beyond the lease.
 */
export function createFeedLease(
  store: FeedStore,
  { bus, heartbeatMs, timeoutMs, observers }: Settings,
  entries: Entries,
): Lease {
  const self = randomUUID();
  const leaseMs = heartbeatMs + timeoutMs;
  const createdAt = performance.now();
  let position: string | undefined;
  let isReading = false;
  let leaseEnd = Number.NEGATIVE_INFINITY;
  let inUse = false;
  let bypassReported = false;
  let sent = 0;
  let closing: Promise<void> | undefined;
  const readiness = deferred();

  const report = (type: "cache.bypassed" | "cache.resumed"): void => {
    bypassReported = type === "cache.bypassed";
    emit(observers, { type, at: new Date() });
  };

  const isValid = (now: number): boolean => {
    if (now < leaseEnd) return true;
    if (inUse) {
      inUse = false;
      entries.clear();
      report("cache.bypassed");
    }
    return false;
  };

  const read = async (): Promise<void> => {
    const startedAt = performance.now();
    const since = isValid(startedAt) ? position : undefined; // after a lapse the cache is empty
    const call = (async () => store.changes(since))();
    const changes = checkChanges(await withStoreTimeout(call, timeoutMs));
    if (closing !== undefined) return;
    isValid(performance.now()); // the lease may have ended during the reading
    if (changes.keyIds === "all") entries.clear();
    else for (const id of changes.keyIds) entries.evict(id);
    position = changes.position;
    leaseEnd = startedAt + leaseMs;
    inUse = true;
    if (bypassReported) report("cache.resumed");
    readiness.resolve();
  };

  const beat = (): void => {
    const now = performance.now();
    if (!isValid(now) && !bypassReported && now >= createdAt + leaseMs) report("cache.bypassed");
    if (isReading) return;
    isReading = true;
    read()
      .catch(() => {}) // the lease ends, which is reported
      .finally(() => {
        isReading = false;
      });
  };

  const receive = (text: string): void => {
    const message = decodeMessage(text);
    if (message === undefined)
      entries.evict(text); // stores send the id alone
    else if (message.type === "changed") entries.evict(message.id);
    else if (message.type === "everything") entries.clear();
  };

  const timer = setInterval(beat, heartbeatMs);
  timer.unref();
  beat();
  const unsubscribe = bus && subscribe(bus.subscribe.bind(bus), receive, SUBSCRIBE_HEARTBEATS * heartbeatMs);

  const stop = async (): Promise<void> => {
    clearInterval(timer);
    leaseEnd = Number.NEGATIVE_INFINITY;
    inUse = false;
    entries.clear();
    readiness.reject(new StoreError("The cache was closed"));
    if (unsubscribe) await settledWithin(unsubscribe(), CLOSE_TIMEOUT_MS);
  };

  return {
    isValid,
    catchUp: () => undefined,
    async publishChange(id) {
      const message = () => encodeMessage({ from: self, number: ++sent, type: "changed", id });
      if (bus) await publishWithin(() => bus.publish(message()), id, observers);
    },
    ready: () => readiness.promise,
    close() {
      closing ??= stop();
      return closing;
    },
  };
}

/** @throws StoreError if the value is not a {@link KeyChanges}. */
function checkChanges(value: KeyChanges): KeyChanges {
  const { position, keyIds } = value;
  const isList = Array.isArray(keyIds) && keyIds.every((id) => typeof id === "string");
  if (typeof position === "string" && (keyIds === "all" || isList)) return { position, keyIds };
  throw new StoreError("The key store did not return the changed keys");
}

type Subscribe = (
  onMessage: (message: string) => void,
  onState: (up: boolean) => void,
) => Promise<() => Promise<void>>;

/** Subscribes, and tries again after a failure. Returns the function that unsubscribes. */
function subscribe(
  start: Subscribe,
  onMessage: (message: string) => void,
  delayMs: number,
): () => Promise<void> {
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let subscription: Promise<(() => Promise<void>) | undefined>;
  const receive = (message: string) => void (stopped || onMessage(message));
  const attempt = (): void => {
    subscription = (async () => start(receive, () => {}))().catch(() => {
      if (!stopped) timer = setTimeout(attempt, delayMs).unref();
      return undefined;
    });
  };
  attempt();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await (await subscription)?.();
  };
}
