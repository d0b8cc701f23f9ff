import type { Awaitable } from "../../internal/awaitable.js";
import { KeyConflictError, KeyInputError, KeyNotFoundError, StoreError } from "../errors.js";
import { emit, type LifecycleAction, lifecycleEvent } from "../events.js";
import { createAuditEntry } from "../keys/audit-entry.js";
import { type ApiKey, isPresent, isReadableRecord, type KeyRecord, toApiKey } from "../keys/record.js";
import type { AuditEntry, KeyChange, Page } from "../keys/store.js";
import { toStoreError } from "../store-calls.js";
import type { CheckOption } from "./api.js";
import { readId } from "./input.js";
import type { PreparedManager } from "./options.js";

// Each round has a winner, so this many changes of one key can be under way at once.
const MAX_ATTEMPTS = 100;

/** A change, and how it goes into the audit trail. */
export interface Decision {
  readonly change: KeyChange;
  readonly audit: AuditEntry;
}

/** Reads and writes keys, so that nobody's change is lost and each one is told. */
export interface Repository {
  /** The record of this id, and no other; `undefined` when there is none. */
  read(id: string): Promise<KeyRecord | undefined>;
  /** @throws KeyNotFoundError when there is none. */
  find(id: string): Promise<KeyRecord>;
  /** Makes the audit entry of a change. @throws KeyInputError for an actor that is none. */
  entry(
    action: LifecycleAction,
    key: Pick<KeyRecord, "id" | "ownerId">,
    at: Date,
    actor: string | undefined,
    details?: AuditEntry["details"],
  ): AuditEntry;
  /** Tells the observers of a change that is committed. */
  announce(entry: AuditEntry): void;
  /** Reads a key, checks, decides, and writes if nobody else did meanwhile; else begins anew. */
  change(
    id: string,
    check: CheckOption["check"],
    decide: (record: KeyRecord, at: Date) => Decision | undefined,
  ): Promise<ApiKey>;
  /**
   * Calls `check` and `attempt` with what the store has, until `attempt` answers something else than `undefined`.
   *
   * @throws KeyConflictError when others were faster each time.
   */
  retry<T>(
    id: string,
    check: CheckOption["check"],
    attempt: (record: KeyRecord, at: Date) => Promise<T | undefined>,
  ): Promise<T>;
}

export function createRepository({ store, observers, now }: PreparedManager<string>): Repository {
  const read = async (id: string): Promise<KeyRecord | undefined> => {
    const record = typeof id === "string" ? await asked(() => store.findById(id)) : undefined;
    if (!isPresent(record)) return undefined;
    if (!isChangeable(record)) {
      throw new StoreError("The key store answered something that is not a key record");
    }
    if (record.id !== id) throw new StoreError("The key store answered the record of another id");
    return record;
  };

  const find = async (id: string): Promise<KeyRecord> => {
    const record = await read(id);
    if (record === undefined) throw new KeyNotFoundError();
    return record;
  };

  const announce = (entry: AuditEntry): void => emit(observers, lifecycleEvent(entry));

  const retry: Repository["retry"] = async (id, check, attempt) => {
    for (let count = 0; count < MAX_ATTEMPTS; count++) {
      const record = await find(id);
      const at = now();
      await check?.(toApiKey(record, at.getTime()));
      const result = await attempt(record, at);
      if (result !== undefined) return result;
    }
    throw new KeyConflictError("The key was changed by others each time; read it and try again");
  };

  return {
    read,
    find,
    announce,
    retry,

    entry: (action, key, at, actor, details) =>
      createAuditEntry(action, key, at, actor === undefined ? null : readId("actor", actor), details),

    change: (id, check, decide) =>
      retry(id, check, async (record, at) => {
        const decision = decide(record, at);
        if (decision === undefined) return toApiKey(record, at.getTime());
        const changed = { updatedAt: at, ...decision.change };
        if (!(await written(() => store.update(id, record.version, changed, decision.audit)))) {
          return undefined;
        }
        announce(decision.audit);
        return toApiKey({ ...record, ...changed }, at.getTime());
      }),
  };
}

/** Whether a store's answer is a record that can be changed by compare-and-set. */
export function isChangeable(record: unknown): record is KeyRecord {
  return isReadableRecord(record) && Number.isSafeInteger(record.version) && record.createdAt instanceof Date;
}

/**
 * Asks the store for a page, and makes sure that it is one, that the next one is another, and that all of its items
 * are of the owner, or key, that was asked for: what a store has mixed up must not be shown to others.
 */
export async function askedPage<T>(
  question: () => Awaitable<Page<T>>,
  cursor: string | undefined,
  wanted: Readonly<Record<string, unknown>> = {},
): Promise<Page<T>> {
  const page: unknown = await asked(question);
  const { items, nextCursor } = (page ?? {}) as { items?: unknown; nextCursor?: unknown };
  const next = nextCursor ?? undefined;
  if (!Array.isArray(items) || (next !== undefined && (typeof next !== "string" || next === cursor))) {
    throw new StoreError("The key store answered something that is not a page, or the same page again");
  }
  const isWanted = (item: unknown) =>
    typeof item === "object" &&
    item !== null &&
    Object.entries(wanted).every(([name, value]) => (item as Record<string, unknown>)[name] === value);
  if (!items.every(isWanted)) throw new StoreError("The key store answered items that were not asked for");
  return next === undefined ? { items } : { items, nextCursor: next };
}

/** Asks the store to write. Only `true` says that it did: a driver's own result would pass for it. */
export async function written(question: () => Awaitable<boolean>): Promise<boolean> {
  const answer: unknown = await asked(question);
  if (typeof answer === "boolean") return answer;
  throw new StoreError(
    "The key store did not say whether it wrote; update(), replace() and remove() answer true or false",
  );
}

/** Asks the store; what a driver throws becomes a StoreError, so that nobody prints its parameters. */
export async function asked<T>(question: () => Awaitable<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KeyInputError || error instanceof KeyConflictError ? error : toStoreError(error);
  }
}
