import { settledWithin, withTimeout } from "../internal/timeout.js";
import { emit, type Observer, StoreError } from "../kit.js";
import type { InvalidationBus } from "./bus/bus.js";
import type { Entries } from "./entries.js";

/** Sends and receives the ids of changed keys. Lost messages cost time, not correctness. */
export interface Announcements {
  /** Invalidates a key in other processes. Never rejects; resolves within 250 ms. */
  publish(id: string): Promise<void>;
  close(): Promise<void>;
}

/** The message that invalidates every key: the `keyId` of audit entries about an owner. */
export const ALL_KEYS = "";

const PUBLISH_TIMEOUT_MS = 250;
const CLOSE_TIMEOUT_MS = 1_000;
const MAX_ID_LENGTH = 4_000;
const MAX_PENDING_MESSAGES = 1_000;

export function createAnnouncements(
  bus: InvalidationBus | undefined,
  retryMs: number,
  observers: readonly Observer[],
  entries: Entries,
): Announcements {
  let pending = 0;
  let closed = false;
  let retry: NodeJS.Timeout | undefined;
  let subscription: Promise<() => Promise<void>> | undefined;

  const receive = (id: unknown): void => {
    if (id === ALL_KEYS) entries.clear();
    else if (typeof id === "string" && id.length <= MAX_ID_LENGTH) entries.evict(id);
  };

  const subscribe = (): void => {
    if (bus === undefined) return;
    subscription = (async () => bus.subscribe(receive))();
    subscription.catch(() => {
      if (closed) return;
      retry = setTimeout(subscribe, retryMs);
      retry.unref();
    });
  };
  subscribe();

  const send = async (id: string): Promise<void> => {
    if (pending >= MAX_PENDING_MESSAGES) {
      throw new StoreError(`The invalidation bus has ${MAX_PENDING_MESSAGES} pending messages`);
    }
    pending += 1;
    try {
      await bus?.publish?.(id);
    } finally {
      pending -= 1;
    }
  };

  return {
    async publish(id) {
      if (bus?.publish === undefined) return;
      try {
        await withTimeout(send(id), PUBLISH_TIMEOUT_MS, {
          onTimeout: () =>
            new StoreError(`The invalidation bus did not respond within ${PUBLISH_TIMEOUT_MS} ms`),
        });
      } catch (cause) {
        const error = new StoreError("A changed key could not be announced to other processes", cause);
        emit(observers, { type: "background.failed", at: new Date(), task: "invalidate", keyId: id, error });
      }
    },

    async close() {
      closed = true;
      clearTimeout(retry);
      const unsubscribe = async () => (await subscription)?.();
      await settledWithin(unsubscribe(), CLOSE_TIMEOUT_MS);
    },
  };
}
