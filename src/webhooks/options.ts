import { type Duration, readDuration } from "../internal/duration.js";
import { checkBoolean, checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import type { KeyManager, ManagedKeyStore } from "../kit.js";

const WHERE = "createKeyWebhooks";

/** Where webhooks of an owner are sent. */
export interface WebhookEndpoint {
  /** An `https:` URL; `http:` only with `allowPrivate`. */
  readonly url: string;
  /**
   * The secret that signs, as `whsec_` and base64 of 24 to 64 bytes, or several while one is replaced: the receiver accepts a
   * webhook if it knows one of them.
   */
  readonly secret: string | readonly string[];
}

/** Options of {@link createKeyWebhooks}. */
export interface KeyWebhooksOptions {
  /** The manager of the keys. */
  readonly keys: Pick<KeyManager, "get" | "list" | "auditTrail">;
  /** The store of the keys, which records what was delivered. It needs `appendAudit`. */
  readonly store: Pick<ManagedKeyStore, "appendAudit">;
  /**
   * Returns where the webhooks of an owner go, or `undefined` if the owner has no endpoint. It is called before each attempt,
   * and may read it from a database.
   */
  readonly endpoint: (
    ownerId: string,
  ) => WebhookEndpoint | undefined | PromiseLike<WebhookEndpoint | undefined>;
  /** How long before its expiry a key is announced, once. `"14d"` by default. */
  readonly expiresWithin?: Duration;
  /** How often new notices are looked for. `"5s"` by default. */
  readonly interval?: Duration;
  /** How long a notice is tried again. `"24h"` by default. */
  readonly retryFor?: Duration;
  /** The time limit of one attempt. `"10s"` by default. */
  readonly timeout?: Duration;
  /** Whether endpoints may have private and loopback addresses, and `http:` URLs. For development. `false` by default. */
  readonly allowPrivate?: boolean;
  /** Called with the error of each attempt, and of each search for notices that failed. None by default. */
  readonly onError?: (error: unknown, notice?: { readonly id: string; readonly ownerId: string }) => unknown;
  /** Returns the current time; for tests. The system clock by default. */
  readonly clock?: () => Date;
}

/** The checked options. Durations are in milliseconds. */
export interface PreparedWebhooks extends Pick<KeyWebhooksOptions, "keys" | "store" | "endpoint"> {
  readonly expiresWithinMs: number;
  readonly intervalMs: number;
  readonly retryForMs: number;
  readonly timeoutMs: number;
  readonly allowPrivate: boolean;
  readonly report: NonNullable<KeyWebhooksOptions["onError"]>;
  readonly now: () => number;
}

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareWebhooks(given: KeyWebhooksOptions): PreparedWebhooks {
  const options = checkOptions(WHERE, given, [
    "keys",
    "store",
    "endpoint",
    "expiresWithin",
    "interval",
    "retryFor",
    "timeout",
    "allowPrivate",
    "onError",
    "clock",
  ]);
  const { keys, store, endpoint, allowPrivate = false, onError, clock } = options;
  checkMethods(WHERE, "keys", keys, ["get", "list", "auditTrail"]);
  checkMethods(WHERE, "store", store, ["appendAudit"]);
  if (typeof endpoint !== "function") throw new TypeError(`${WHERE}: "endpoint" must be a function`);
  checkBoolean(WHERE, "allowPrivate", allowPrivate);
  checkFunction(WHERE, "onError", onError);
  checkFunction(WHERE, "clock", clock);
  const { expiresWithin = "14d", interval = "5s", retryFor = "24h", timeout = "10s" } = options;
  return {
    keys,
    store,
    endpoint,
    allowPrivate,
    expiresWithinMs: readDuration(WHERE, "expiresWithin", expiresWithin, { max: "365d" }),
    intervalMs: readDuration(WHERE, "interval", interval, { min: "10ms", max: "1h" }),
    retryForMs: readDuration(WHERE, "retryFor", retryFor, { min: "1s", max: "30d" }),
    timeoutMs: readDuration(WHERE, "timeout", timeout, { min: "10ms", max: "1m" }),
    report(error, notice) {
      try {
        Promise.resolve(onError?.(error, notice)).catch(() => {});
      } catch {
        // An exception of onError must not stop deliveries.
      }
    },
    now: () => (clock?.() ?? new Date()).getTime(),
  };
}
