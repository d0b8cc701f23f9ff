import { randomUUID } from "node:crypto";
import { LRUCache } from "lru-cache";
import { emit, type Observer, StoreError } from "../kit.js";
import type { InvalidationBus } from "./bus/bus.js";
import { decodeMessage, encodeMessage, type News } from "./bus/message.js";
import { createCatchUp } from "./catch-up.js";
import type { Entries } from "./entries.js";
import { within } from "./within.js";

/** What a cache knows of the changes that other processes make. */
export interface Link {
  /**
   * Whether every change of which others had told before a moment ago has arrived. While it has not, nothing
   * may be read from memory, or kept.
   */
  isSound(now: number): boolean;
  /** What has to be waited for before something is answered from memory, if anything. */
  catchUp(now: number): Promise<void> | undefined;
  /** Tells the others; never fails, and never waits for long. */
  announce(id: string, added: boolean): Promise<void>;
  ready(): Promise<void>;
  close(): Promise<void>;
}

// A ping is due with every heartbeat and has twice that time to come back.
const LEASE_IN_HEARTBEATS = 3;
const SILENT_HEARTBEATS = 10;
// How long subscribe() may take, doubled each time: a bus that is slow gets there, and one that hangs piles up little.
const FIRST_PATIENCE = 10; // heartbeats
const LONGEST_PATIENCE = 2_560;
const PUBLISH_MS = 250;
const CLOSE_MS = 1_000;
const MAX_SENDERS = 10_000;
const MAX_UNSETTLED = 1_000;

/** The link of a cache without a bus. */
export function createLoneLink(entries: Entries): Link {
  let closed = false;
  return {
    isSound: () => !closed,
    catchUp: () => undefined,
    announce: async () => {},
    ready: async () => {},
    async close() {
      closed = true;
      entries.forgetAll();
    },
  };
}

/**
 * The link over a bus. An own ping that comes back proves that everything which the bus took before it has
 * arrived too, and so the cache may be used for a while from the moment at which that ping was sent: a lease,
 * compared with the clock at every lookup. A process whose connection is dead, without anybody having noticed,
 * finds its lease over before it answers anything that may be stale, whatever its timers do.
 */
export function createLink(
  bus: InvalidationBus,
  heartbeatMs: number,
  observers: readonly Observer[],
  entries: Entries,
): Link {
  const self = randomUUID();
  const lease = LEASE_IN_HEARTBEATS * heartbeatMs;
  const made = performance.now();
  const heard = new LRUCache<string, number>({ max: MAX_SENDERS });
  const pings = new Map<number, number>();
  let sent = 0;
  let unsettled = 0;
  let listening: Promise<() => Promise<void>> | undefined;
  let attempts = 0; // what an earlier one brings is not heard
  let joined: boolean;
  let waited: number; // heartbeats
  let patience = FIRST_PATIENCE;
  let connected = false;
  let silent = 0; // heartbeats
  let leaseEnd = Number.NEGATIVE_INFINITY;
  let inUse = false;
  let told = false;
  let closing: Promise<void> | undefined;
  const readiness = deferred();

  const publish = async (number: number, news: News): Promise<void> => {
    if (unsettled >= MAX_UNSETTLED) throw new StoreError("The invalidation bus takes no more messages");
    unsettled += 1;
    try {
      await bus.publish(encodeMessage({ from: self, number, ...news }));
    } finally {
      unsettled -= 1;
    }
  };

  const ping = (): void => {
    const number = ++sent;
    pings.set(number, performance.now());
    publish(number, { type: "ping" }).catch(() => pings.delete(number));
  };

  const tell = (type: "cache.bypassed" | "cache.resumed"): void => {
    told = type === "cache.bypassed";
    emit(observers, { type, at: new Date() });
  };

  const suspend = (): void => {
    leaseEnd = Number.NEGATIVE_INFINITY;
    if (!inUse) return;
    inUse = false;
    entries.forgetAll();
    tell("cache.bypassed");
  };

  const isSound = (now: number): boolean => {
    if (now < leaseEnd) return true;
    suspend();
    return false;
  };

  const renew = (number: number): void => {
    const sentAt = pings.get(number);
    pings.delete(number);
    if (sentAt === undefined || performance.now() >= sentAt + lease) return;
    leaseEnd = sentAt + lease;
    silent = 0;
    inUse = true;
    if (told) tell("cache.resumed");
    readiness.resolve();
  };

  const receive = (text: string): void => {
    const message = decodeMessage(text);
    if (message === undefined) {
      entries.forgetAll(); // whatever it was to say
      return;
    }
    const { from, number } = message;
    const expected = (heard.get(from) ?? 0) + 1;
    heard.set(from, number);
    // What was lost between may have been about any key.
    if (number !== expected || message.type === "everything") entries.forgetAll();
    if (from === self) {
      if (message.type === "ping") renew(number);
    } else if (message.type === "changed") {
      entries.forget(message.id);
      if (message.added) entries.forgetAbsences();
    }
  };

  const onState = (up: boolean): void => {
    if (closing !== undefined) return;
    connected = up;
    silent = 0;
    pings.clear(); // what comes back over an earlier connection proves nothing about this one
    suspend();
    if (up) ping();
  };

  const listen = (): void => {
    const attempt = ++attempts;
    const isCurrent = () => attempt === attempts;
    const hear = (text: string) => isCurrent() && receive(text);
    const see = (up: boolean) => isCurrent() && onState(up);
    joined = false;
    waited = 0;
    listening = (async () => bus.subscribe(hear, see))();
    const join = (leave: () => Promise<void>) => {
      if (!isCurrent()) return leave();
      joined = true;
      patience = FIRST_PATIENCE;
    };
    listening.then(join).catch(() => {
      if (isCurrent()) giveUp();
    });
  };

  const giveUp = (): void => {
    attempts += 1;
    listening = undefined;
    onState(false);
  };

  const wait = (now: number): void => {
    waited = joined || isSound(now) ? 0 : waited + 1;
    if (waited < patience) return;
    patience = Math.min(patience * 2, LONGEST_PATIENCE);
    giveUp();
  };

  const reconnect = (): void => {
    try {
      bus.reconnect?.();
    } catch {
      // The cache stays bypassed, and observers have been told.
    }
  };

  const beat = (): void => {
    const now = performance.now();
    if (!isSound(now) && !told && now >= made + lease) tell("cache.bypassed");
    for (const [number, sentAt] of pings) if (now >= sentAt + lease) pings.delete(number);
    if (listening === undefined) listen();
    else wait(now);
    if (!connected) return;
    silent += 1;
    if (silent % SILENT_HEARTBEATS === 0) reconnect();
    else ping();
  };

  const stop = async (): Promise<void> => {
    clearInterval(timer);
    leaseEnd = Number.NEGATIVE_INFINITY;
    inUse = false;
    entries.forgetAll();
    pings.clear();
    readiness.reject(new StoreError("The cache was closed"));
    const leave = async () => (await listening)?.();
    await within(leave(), CLOSE_MS).catch(() => {}); // a connection that is gone has nothing to take leave of
  };

  const timer = setInterval(beat, heartbeatMs);
  timer.unref();
  listen();

  return {
    isSound,
    catchUp: createCatchUp(),

    async announce(id, added) {
      try {
        await within(publish(++sent, { type: "changed", id, added }), PUBLISH_MS);
      } catch (error) {
        // Others see with the next message that this one is missing.
        const failure = new StoreError("The change of a key could not be told to other processes", error);
        const at = new Date();
        emit(observers, { type: "background.failed", at, task: "invalidate", keyId: id, error: failure });
      }
    },

    ready: () => readiness.promise,

    close() {
      closing ??= stop();
      return closing;
    },
  };
}

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function deferred(): Deferred {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {}); // nobody has to wait for it
  return { promise, resolve, reject };
}
