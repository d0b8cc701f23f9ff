import { type Duration, readDuration } from "../internal/duration.js";
import { checkOptions } from "../internal/validate.js";
import {
  type AllowedEvent,
  type AuditEntry,
  createAuditEntry,
  type DeniedEvent,
  type KeyIdentity,
  type ManagedKeyStore,
  type Observer,
} from "../kit.js";
import { readWriteBehind, type WriteBehindOptions } from "./options.js";
import { writeBehind } from "./write-behind.js";

/** Options of {@link auditLog}. */
export interface AuditLogOptions extends WriteBehindOptions {
  /** How long an entry waits for others to be written with: 1,000 ms by default. */
  readonly interval?: Duration;
  /** How many entries may wait for the store: 10,000 by default. */
  readonly max?: number;
  /**
   * Record refused requests too, when their key is known; their entries have a `code` and a `reason`. Off by
   * default: a client that is refused can make as many entries as it makes requests.
   */
  readonly denied?: boolean;
}

/** Records requests in the audit trail; made by {@link auditLog}. */
export interface AuditLog {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
  /** Writes what is still unwritten. Rejects when the store fails, and keeps it for the next time. */
  flush(): Promise<void>;
  /**
   * Takes no more requests in, and writes what is unwritten; for the end of the service. Tries again while the
   * store fails, for `closeTimeout` at most. Then it rejects, and can be called again.
   */
  close(): Promise<void>;
}

const MAX_ENTRIES = 1_000_000;
const BATCH = 500;
const MAX_OF_A_PATH = 1_024;
const MAX_OF_OTHERS = 128;
const MAX_OF_AN_ID = 255;

/**
 * Records each request that passed a route with a scope marked `audit: true`: an entry of the action `used` in
 * the audit trail of its key, with method, path, client address, required scopes, environment and request id.
 * Behind the requests, in batches of at most 500.
 *
 * When the store fails, entries wait, and are tried again after one second at first, and up to a minute, under
 * the ids that they have: none is written twice. At most `max` wait, beside the batch that is under way, because
 * memory is bounded; then **further ones are dropped**, and `onError` is told when that begins and how many they
 * were. An entry that the store refuses alone ten times, while it takes others, is dropped too. What must
 * not be lost under any circumstances has to be written before the request is answered.
 *
 * The entry of a request that a rule on trial would have refused has `wouldDeny`.
 *
 * A request with a token that no key stands behind is recorded under `jwt:` and its subject.
 *
 * Paths are cut at 1,024 characters. Characters that databases refuse, NUL and halves of surrogate pairs, and
 * other control characters become U+FFFD.
 *
 * No timer keeps the process running. Close it after the server, and before the store's client.
 *
 * @throws TypeError for a store without `appendAudit`, and for options that are unknown or cannot work.
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
  const known = ["interval", "max", "onError", "denied", "storeTimeout", "closeTimeout"];
  const checked = checkOptions("auditLog", options, known);
  const settings = readWriteBehind("auditLog", checked);
  const intervalMs = readDuration("auditLog", "interval", checked.interval ?? "1s");
  const { max = 10_000, denied = false } = checked;
  if (!(Number.isInteger(max) && max > 0 && max <= MAX_ENTRIES))
    throw new TypeError(`auditLog: "max" must be a whole number from 1 to ${MAX_ENTRIES}`);
  if (typeof denied !== "boolean") throw new TypeError('auditLog: "denied" must be true or false');
  if (typeof store?.appendAudit !== "function")
    throw new TypeError("auditLog: the store must have a method appendAudit()");

  const { admits, add, flush, close } = writeBehind<AuditEntry>({
    ...settings,
    name: "auditLog",
    delayMs: intervalMs,
    max,
    batchSize: BATCH,
    merge: (entry) => entry,
    write: (entries) => store.appendAudit?.([...entries.values()]),
  });

  const observer: Observer = (event) => {
    if (event.type !== "auth.allowed" && !(denied && event.type === "auth.denied")) return;
    if (!event.audit || !isOfKnownKey(event) || !admits()) return;
    const entry = entryOf(event);
    add(entry.id, entry);
  };

  return Object.freeze({ observer, flush, close });
}

type KeyedEvent = AllowedEvent | (DeniedEvent & KeyIdentity);

function isOfKnownKey(event: AllowedEvent | DeniedEvent): event is KeyedEvent {
  return event.keyId !== undefined && event.ownerId !== undefined;
}

function entryOf(event: KeyedEvent): AuditEntry {
  // With a broken clock, an entry of about the right time is worth more than none.
  const at = Number.isNaN(event.at.getTime()) ? new Date() : new Date(event.at);
  const details = {
    requestId: printable(event.requestId),
    method: printable(event.method),
    path: printable(event.path, MAX_OF_A_PATH),
    clientIp: printable(event.clientIp),
    requiredScopes: [...event.requiredScopes],
    environment: printable(event.environment),
    ...(event.type === "auth.denied" ? { code: event.code, reason: event.reason } : {}),
    ...(event.type === "auth.allowed" && event.wouldDeny?.length ? { wouldDeny: [...event.wouldDeny] } : {}),
  };
  const given = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined));
  // The subject of a token must not be able to write into the trail of the key whose id it has chosen.
  const id = event.isKey === false ? `jwt:${event.keyId}`.slice(0, MAX_OF_AN_ID) : event.keyId;
  return createAuditEntry("used", { id, ownerId: event.ownerId }, at, null, given);
}

/**
 * Bounds a text that a client may have chosen, and makes it one that every database takes. The copy is needed:
 * a slice keeps all of the text that it was cut from in memory.
 */
function printable(text: string | undefined, most: number = MAX_OF_OTHERS): string | undefined {
  if (typeof text !== "string") return undefined;
  return structuredClone(text.slice(0, most)).replace(/[\p{Cc}\p{Cs}]/gu, "\ufffd");
}
