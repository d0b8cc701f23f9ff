import type { Duration } from "../internal/duration.js";
import { checkBoolean, checkMethods, checkOptions, readInteger } from "../internal/validate.js";
import {
  type AllowedEvent,
  type AuditEntry,
  createAuditEntry,
  type DeniedEvent,
  type KeyIdentity,
  type ManagedKeyStore,
  type Observer,
} from "../kit.js";
import {
  readWriteBehind,
  WRITE_BEHIND_OPTIONS,
  type WriteBehindObserver,
  type WriteBehindOptions,
  type WriteReport,
} from "./options.js";
import type { Share } from "./retry-queue.js";
import { type WriteBehind, writeBehind } from "./write-behind.js";

/** Options of {@link auditLog}. */
export interface AuditLogOptions extends WriteBehindOptions {
  /** How long an entry waits for others of the same batch; `"1s"` by default. */
  readonly interval?: Duration;
  /** The maximum number of pending entries; 10,000 by default. Denied requests have as many places of their own. */
  readonly max?: number;
  /**
   * Whether to record denied requests of known keys too, with `code` and `reason`: every denied request of a client is
   * then an entry. At most 1/16 of `max` are pending for one owner, and 1/64 for one key; further ones are dropped.
   * `false` by default.
   */
  readonly denied?: boolean;
}

/** Records requests in the audit trail; created by {@link auditLog}. */
export type AuditLog = WriteBehindObserver;

const BATCH_SIZE = 500;
const SHARE_OF_KEY = 1 / 64;
const SHARE_OF_OWNER = 1 / 16;
const MAX_PATH_LENGTH = 1_024;
const MAX_DETAIL_LENGTH = 128;
const MAX_ID_LENGTH = 255;

/**
 * Records every allowed request of a route with a scope marked `audit: true`, as an entry with the action `used` in the
 * audit trail of the key: method, path, client address, required scopes, environment and request id. Writes in the
 * background, in batches of at most 500.
 *
 * Denied requests wait in a queue of their own, so that the client of a revoked key cannot crowd out other entries.
 *
 * If the store fails, entries are retried with exponential back-off from one second up to a minute, under the same ids,
 * so that none is written twice. At most `max` entries are pending, plus one batch in progress. **Further entries are
 * dropped**, and `onError` is called when that begins and with the total. An entry that the store rejects alone ten
 * times, while it accepts others, is dropped too. Write what must never be lost before the response is sent.
 *
 * The entry of a request that a report-only rule would have denied has `wouldDeny`. A request with a token that was not
 * made from a key is recorded under `jwt:` and its subject. Paths are cut at 1,024 characters; control characters and
 * lone surrogates, which databases reject, become U+FFFD.
 *
 * No timer keeps the process alive; on `beforeExit`, what is pending is written. `process.exit()` and a crash lose the
 * entries of the last `interval`, and in an outage of the store all that are pending. Close it after the server and before
 * the store's client.
 *
 * @throws TypeError if the store has no `appendAudit`, or an option is unknown or invalid.
 *
 * @example
 * const audit = auditLog(store, { onError: (error, { pending, dropped }) => log.error({ error, pending, dropped }) });
 * const verifier = createVerifier({ store, scopes, format, observers: [audit.observer] });
 * process.once("SIGTERM", () => server.close(() => audit.close()));
 */
export function auditLog(
  store: Pick<ManagedKeyStore, "appendAudit">,
  options: AuditLogOptions = {},
): AuditLog {
  const where = "auditLog";
  const checked = checkOptions(where, options, [...WRITE_BEHIND_OPTIONS, "max", "denied"]);
  const { denied = false } = checked;
  checkBoolean(where, "denied", denied);
  checkMethods(where, "store", store, ["appendAudit"]);
  const settings = readWriteBehind(where, checked, "1s");

  const max = readInteger(where, "max", checked.max ?? 10_000, 1, 1_000_000);

  const createQueue = (): WriteBehind<AuditEntry> =>
    writeBehind({
      ...settings,
      onError: settings.onError && ((error) => settings.onError?.(error, state())),
      name: where,
      delayMs: settings.intervalMs,
      max,
      batchSize: BATCH_SIZE,
      merge: (entry) => entry,
      write: (entries) => store.appendAudit?.([...entries.values()]),
    });
  const uses = createQueue();
  const refusals = denied ? createQueue() : undefined;
  const queues = refusals === undefined ? [uses] : [uses, refusals];

  const state = (): WriteReport => {
    const states = queues.map((queue) => queue.state());
    const sum = (member: keyof WriteReport) => states.reduce((total, one) => total + one[member], 0);
    return Object.freeze({ pending: sum("pending"), dropped: sum("dropped") });
  };

  const sharesOf = ({ keyId, ownerId }: KeyedEvent): readonly Share[] => [
    { group: `key ${keyId}`, max: Math.ceil(max * SHARE_OF_KEY) },
    { group: `owner ${ownerId}`, max: Math.ceil(max * SHARE_OF_OWNER) },
  ];

  const observer: Observer = (event) => {
    if (event.type !== "auth.allowed" && event.type !== "auth.denied") return;
    const queue = event.type === "auth.allowed" ? uses : refusals;
    if (queue === undefined || !event.audit || !hasKey(event)) return;
    const shares = queue === refusals ? sharesOf(event) : [];
    if (!queue.checkRoom(shares)) return;
    const entry = toEntry(event);
    queue.add(entry.id, entry, shares);
  };

  return Object.freeze({
    observer,
    flush: () => settleAll(queues.map((queue) => queue.flush())),
    close() {
      const closing = settleAll(queues.map((queue) => queue.close()));
      closing.catch(() => {}); // a caller may ignore it
      return closing;
    },
  });
}

/** Waits for all, also if one rejects. Then rejects with the first reason. */
async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(promises);
  await Promise.all(promises);
}

type KeyedEvent = AllowedEvent | (DeniedEvent & KeyIdentity);

function hasKey(event: AllowedEvent | DeniedEvent): event is KeyedEvent {
  return event.keyId !== undefined && event.ownerId !== undefined;
}

function toEntry(event: KeyedEvent): AuditEntry {
  // If the verifier's clock is broken, the system time is more useful than no entry.
  const at = Number.isNaN(event.at.getTime()) ? new Date() : new Date(event.at);
  const details = {
    requestId: sanitize(event.requestId),
    method: sanitize(event.method),
    path: sanitize(event.path, MAX_PATH_LENGTH),
    clientIp: sanitize(event.clientIp),
    requiredScopes: [...event.requiredScopes],
    environment: sanitize(event.environment),
    ...(event.type === "auth.denied" ? { code: event.code, reason: event.reason } : {}),
    ...(event.type === "auth.allowed" && event.wouldDeny?.length ? { wouldDeny: [...event.wouldDeny] } : {}),
  };
  const known = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined));
  // A token's subject may equal the id of a key. The prefix keeps it out of that key's trail.
  const id = event.isKey === false ? `jwt:${event.keyId}`.slice(0, MAX_ID_LENGTH) : event.keyId;
  return createAuditEntry("used", { id, ownerId: event.ownerId }, at, null, known);
}

/**
 * Truncates a string that a client may have chosen, and replaces characters that databases reject. It is copied, because
 * a slice keeps the whole original string in memory.
 */
function sanitize(value: string | undefined, maxLength: number = MAX_DETAIL_LENGTH): string | undefined {
  if (typeof value !== "string") return undefined;
  return structuredClone(value.slice(0, maxLength)).replace(/[\p{Cc}\p{Cs}]/gu, "\ufffd");
}
