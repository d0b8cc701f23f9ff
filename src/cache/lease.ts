import { randomUUID } from "node:crypto";
import { LRUCache } from "lru-cache";
import { settledWithin } from "../internal/timeout.js";
import { emit, type Observer, StoreError } from "../kit.js";
import type { InvalidationBus } from "./bus/bus.js";
import { decodeMessage, encodeMessage, type MessageBody } from "./bus/message.js";
import { createCatchUp } from "./catch-up.js";
import type { Entries } from "./entries.js";
import { deferred, publishWithin } from "./publish.js";

/** Permission to use cached keys for a limited time, renewed over the bus. */
export interface Lease {
  /** Whether cached keys may be returned and lookups cached. */
  isValid(now: number): boolean;
  /** A promise that must be awaited before a cached key is returned, if there is one. */
  catchUp(now: number): Promise<void> | undefined;
  /** Invalidates a key in other processes. Never rejects; resolves within 250 ms. */
  publishChange(id: string): Promise<void>;
  ready(): Promise<void>;
  close(): Promise<void>;
}

// A ping is sent with every heartbeat and has two more heartbeats to come back.
const LEASE_HEARTBEATS = 3;
const RECONNECT_HEARTBEATS = 10;
// How long subscribe() may take, in heartbeats. Exponential back-off bounds the attempts on a hung bus.
const MIN_SUBSCRIBE_HEARTBEATS = 10;
const MAX_SUBSCRIBE_HEARTBEATS = 2_560;
const CLOSE_TIMEOUT_MS = 1_000;
const MAX_SENDERS = 10_000;
const MAX_PENDING_MESSAGES = 1_000;

/** Creates the lease of a cache without a bus. It is valid until the cache is closed. */
export function createLocalLease(entries: Entries): Lease {
  let closed = false;
  return {
    isValid: () => !closed,
    catchUp: () => undefined,
    publishChange: async () => {},
    ready: async () => {},
    async close() {
      closed = true;
      entries.clear();
    },
  };
}

/**
 * Creates a lease that is renewed over the bus. A ping of this cache that comes back proves that every message that the
 * bus accepted before it has arrived, so the lease is extended from the time when the ping was sent.
 *
 * The end of the lease is compared with the clock at every lookup. It therefore also ends if the connection is dead
 * without an error, or if timers are delayed.
 */
export function createBusLease(
  bus: InvalidationBus,
  heartbeatMs: number,
  observers: readonly Observer[],
  entries: Entries,
): Lease {
  const self = randomUUID();
  const leaseMs = LEASE_HEARTBEATS * heartbeatMs;
  const createdAt = performance.now();
  const lastNumbers = new LRUCache<string, number>({ max: MAX_SENDERS }); // by sender
  const pings = new Map<number, number>(); // time sent, by number
  let sent = 0;
  let pendingMessages = 0;
  let subscription: Promise<() => Promise<void>> | undefined;
  let attempts = 0; // messages of earlier attempts are ignored
  let subscribed: boolean;
  let waited: number; // heartbeats
  let maxWait = MIN_SUBSCRIBE_HEARTBEATS;
  let connected = false;
  let silent = 0; // heartbeats without a returned ping
  let leaseEnd = Number.NEGATIVE_INFINITY;
  let inUse = false;
  let bypassReported = false;
  let closing: Promise<void> | undefined;
  const readiness = deferred();

  const publish = async (number: number, body: MessageBody): Promise<void> => {
    if (pendingMessages >= MAX_PENDING_MESSAGES) {
      throw new StoreError(`The invalidation bus has ${MAX_PENDING_MESSAGES} pending messages`);
    }
    pendingMessages += 1;
    try {
      await bus.publish(encodeMessage({ from: self, number, ...body }));
    } finally {
      pendingMessages -= 1;
    }
  };

  const ping = (): void => {
    const number = ++sent;
    pings.set(number, performance.now());
    publish(number, { type: "ping" }).catch(() => pings.delete(number));
  };

  const report = (type: "cache.bypassed" | "cache.resumed"): void => {
    bypassReported = type === "cache.bypassed";
    emit(observers, { type, at: new Date() });
  };

  const suspend = (): void => {
    leaseEnd = Number.NEGATIVE_INFINITY;
    if (!inUse) return;
    inUse = false;
    entries.clear();
    report("cache.bypassed");
  };

  const isValid = (now: number): boolean => {
    if (now < leaseEnd) return true;
    suspend();
    return false;
  };

  const renew = (number: number): void => {
    const sentAt = pings.get(number);
    pings.delete(number);
    if (sentAt === undefined || performance.now() >= sentAt + leaseMs) return;
    leaseEnd = sentAt + leaseMs;
    silent = 0;
    inUse = true;
    if (bypassReported) report("cache.resumed");
    readiness.resolve();
  };

  const receive = (text: string): void => {
    const message = decodeMessage(text);
    if (message === undefined) {
      entries.clear(); // an unreadable message may be about any key
      return;
    }
    const { from, number } = message;
    const expected = (lastNumbers.get(from) ?? 0) + 1;
    lastNumbers.set(from, number);
    // A sequence gap invalidates every entry.
    if (number !== expected || message.type === "everything") entries.clear();
    if (from === self) {
      if (message.type === "ping") renew(number);
    } else if (message.type === "changed") {
      entries.evict(message.id);
    }
  };

  const onState = (up: boolean): void => {
    if (closing !== undefined) return;
    connected = up;
    silent = 0;
    pings.clear(); // a ping of an earlier connection proves nothing about this one
    suspend();
    if (up) ping();
  };

  const abandonSubscription = (): void => {
    attempts += 1;
    subscription = undefined;
    onState(false);
  };

  const subscribe = (): void => {
    const attempt = ++attempts;
    const isCurrent = () => attempt === attempts;
    subscribed = false;
    waited = 0;
    subscription = (async () =>
      bus.subscribe(
        (text) => isCurrent() && receive(text),
        (up) => isCurrent() && onState(up),
      ))();
    subscription
      .then((unsubscribe) => {
        if (!isCurrent()) return unsubscribe();
        subscribed = true;
        maxWait = MIN_SUBSCRIBE_HEARTBEATS;
      })
      .catch(() => {
        if (isCurrent()) abandonSubscription();
      });
  };

  const checkSubscription = (now: number): void => {
    waited = subscribed || isValid(now) ? 0 : waited + 1;
    if (waited < maxWait) return;
    maxWait = Math.min(maxWait * 2, MAX_SUBSCRIBE_HEARTBEATS);
    abandonSubscription();
  };

  const reconnect = (): void => {
    try {
      bus.reconnect?.();
    } catch {
      // The cache stays bypassed, which was reported.
    }
  };

  const beat = (): void => {
    const now = performance.now();
    if (!isValid(now) && !bypassReported && now >= createdAt + leaseMs) report("cache.bypassed");
    for (const [number, sentAt] of pings) if (now >= sentAt + leaseMs) pings.delete(number);
    if (subscription === undefined) subscribe();
    else checkSubscription(now);
    if (!connected) return;
    silent += 1;
    if (silent % RECONNECT_HEARTBEATS === 0) reconnect();
    else ping();
  };

  const stop = async (): Promise<void> => {
    clearInterval(timer);
    leaseEnd = Number.NEGATIVE_INFINITY;
    inUse = false;
    entries.clear();
    pings.clear();
    readiness.reject(new StoreError("The cache was closed"));
    const unsubscribe = async () => (await subscription)?.();
    await settledWithin(unsubscribe(), CLOSE_TIMEOUT_MS);
  };

  const timer = setInterval(beat, heartbeatMs);
  timer.unref();
  subscribe();

  return {
    isValid,
    catchUp: createCatchUp(),

    // After a failure, the next message reveals the gap to other processes.
    publishChange: (id) => publishWithin(() => publish(++sent, { type: "changed", id }), id, observers),

    ready: () => readiness.promise,

    close() {
      closing ??= stop();
      return closing;
    },
  };
}
