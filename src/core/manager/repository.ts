import { isPromiseLike } from "../../internal/awaitable.js";
import { withTimeout } from "../../internal/timeout.js";
import {
  KeyConflictError,
  KeyInputError,
  KeyLimitError,
  KeyNotFoundError,
  KeyStateError,
  StoreError,
} from "../errors.js";
import {
  emit,
  type KeyEvent,
  type LifecycleAction,
  lifecycleEvent,
  type OwnerAction,
  ownerEvent,
} from "../events.js";
import { createAuditEntry } from "../keys/audit-entry.js";
import { checkedRecord, copyRecord } from "../keys/checked-record.js";
import type { KeyHash } from "../keys/hash.js";
import type { ApiKey, KeyRecord, VerifiableRecord } from "../keys/record.js";
import type { AuditEntry, AuditQuery, KeyChange, KeyQuery, Page } from "../keys/store.js";
import { toStoreError } from "../store-calls.js";
import type { BeforeCommitOption, CheckOption, IssuedKey } from "./change-options.js";
import type { IssuedRecord } from "./issue.js";
import type { PreparedManager } from "./options.js";
import { quotaOf } from "./quota.js";
import {
  readAuditEntry,
  readBatch,
  readCommitted,
  readManagedRecord,
  readPage,
  readRecord,
  toManagedKey,
} from "./store-results.js";

// Every conflict means that another change succeeded, so up to 100 concurrent changes of one key succeed.
const MAX_ATTEMPTS = 100;
const MAX_BATCH = 500;
const MAX_LOOKUPS = 10;
const UNKNOWN_OUTCOME = "; the outcome of the write is unknown";

/** The caller of a change. */
export interface Caller {
  readonly actor: string | null;
  readonly check: CheckOption["check"];
  readonly beforeCommit: BeforeCommitOption["beforeCommit"];
}

/** What an audit entry says about a write. */
export interface AuditFacts {
  readonly action: LifecycleAction;
  readonly actor: string | null;
  readonly details?: AuditEntry["details"];
}

/** A change of a record. */
export interface RecordChange extends Pick<AuditFacts, "action" | "details"> {
  readonly change: KeyChange;
}

/** A change of a record that also inserts its successor. */
export interface RecordReplacement extends RecordChange {
  readonly successor: IssuedRecord;
}

/**
 * Reads and writes records. Every write carries its audit entry in the same store call, and emits its event after the
 * commit. Every call has the time limit of the manager, and what the store returns is checked.
 */
export interface Repository {
  /** Returns the record of this id, or `undefined`. */
  read(id: string): Promise<KeyRecord | undefined>;
  /** Returns the record that is stored under this hash, or `undefined`. */
  findByHash(hash: KeyHash): Promise<VerifiableRecord | undefined>;
  /** Returns the records that are stored under these hashes, in the same order. */
  findManyByHash(
    hashes: readonly (KeyHash | undefined)[],
  ): Promise<readonly (VerifiableRecord | undefined)[]>;
  /** Returns a page of records. */
  list(query: KeyQuery): Promise<Page<KeyRecord>>;
  /** Returns a page of audit entries. */
  auditTrail(query: AuditQuery): Promise<Page<AuditEntry>>;
  /**
   * @throws KeyConflictError if the id, the hash or a claimed hash exists.
   * @throws KeyStateError if the creator is revoked or missing, or the owner is suspended.
   * @throws KeyLimitError if the owner would exceed its ceilings. So do `change` and `replace`.
   */
  insert(record: KeyRecord, audit: AuditFacts, claims?: readonly KeyHash[]): Promise<void>;
  /** Writes an audit entry that belongs to no change. */
  append(entry: AuditEntry): Promise<void>;
  /** Deletes the record, unless it has changed since it was read. Returns whether it did. */
  remove(record: KeyRecord, audit: AuditFacts): Promise<boolean>;
  /**
   * Changes a record by compare-and-set: reads it, calls the check of the caller and `decide`, and writes. Starts again on
   * a conflict. Writes nothing if `decide` returns `undefined`.
   *
   * @throws KeyNotFoundError if no key has this id.
   * @throws KeyConflictError after 100 conflicts.
   */
  change(
    id: string,
    caller: Caller,
    decide: (record: KeyRecord, at: Date) => RecordChange | undefined,
  ): Promise<ApiKey>;
  /** Changes a record and inserts its successor, in the same way. Calls `beforeCommit` of the caller before it writes. */
  replace(
    id: string,
    caller: Caller,
    decide: (record: KeyRecord, at: Date) => RecordReplacement,
  ): Promise<IssuedKey>;
  /** Suspends or resumes an owner. Returns whether that changed anything. */
  setSuspension(
    action: OwnerAction,
    ownerId: string,
    actor: string | null,
    details: AuditEntry["details"],
  ): Promise<boolean>;
}

export function createRepository(manager: PreparedManager<string>): Repository {
  const { store, timeoutMs, observers, now, ceilings } = manager;
  /** Calls the store within the time limit. Rejects with a StoreError, or an error of the store contract. */
  const call = async <T>(
    method: () => unknown,
    readResult: (result: unknown) => T,
    consequence = "",
  ): Promise<T> => {
    const onTimeout = () =>
      new StoreError(`The key store did not respond within ${timeoutMs} ms${consequence}`);
    try {
      const result = method();
      if (!isPromiseLike(result)) return readResult(result);
      return await withTimeout(result, timeoutMs, { onTimeout, onFulfilled: readResult });
    } catch (error) {
      throw isContractError(error) ? error : toStoreError(error);
    }
  };

  const auditEntry = (record: KeyRecord, at: Date, { action, actor, details }: AuditFacts): AuditEntry =>
    createAuditEntry(action, record, at, actor, details);

  const commit = async (
    method: "update" | "replace" | "remove" | "suspendOwner" | "resumeOwner",
    event: KeyEvent,
    write: () => unknown,
  ): Promise<boolean> => {
    const committed = await call(write, (result) => readCommitted(method, result), UNKNOWN_OUTCOME);
    if (committed) emit(observers, event);
    return committed;
  };

  const read = async (id: string): Promise<KeyRecord | undefined> =>
    typeof id === "string"
      ? call(
          () => store.findById(id),
          (result) => readRecord(result, id),
        )
      : undefined;

  const compareAndSet = async <T>(
    id: string,
    { check }: Caller,
    attempt: (record: KeyRecord, at: Date) => Promise<T | undefined>,
  ): Promise<T> => {
    for (let count = 0; count < MAX_ATTEMPTS; count++) {
      const record = await read(id);
      if (record === undefined) throw new KeyNotFoundError();
      const at = now();
      await check?.(toManagedKey(record, at));
      const result = await attempt(record, at);
      if (result !== undefined) return result;
    }
    throw new KeyConflictError("The key kept changing concurrently; read it and try again");
  };

  const findByHash = (hash: KeyHash): Promise<VerifiableRecord | undefined> =>
    call(
      () => store.findByHash(hash),
      (result) => checkedRecord(copyRecord(result), hash),
    );

  const findBatch = (hashes: readonly KeyHash[]): Promise<readonly (VerifiableRecord | undefined)[]> =>
    store.findManyByHash === undefined
      ? Promise.all(hashes.map(findByHash))
      : call(
          () => store.findManyByHash?.(hashes),
          (result) => readBatch(result, hashes),
        );

  return {
    read,
    findByHash,

    async findManyByHash(hashes) {
      const open = [...new Set(hashes.filter((hash) => hash !== undefined))];
      const records = new Map<KeyHash, VerifiableRecord | undefined>();
      const size = store.findManyByHash === undefined ? MAX_LOOKUPS : MAX_BATCH;
      for (let start = 0; start < open.length; start += size) {
        const batch = open.slice(start, start + size);
        const found = await findBatch(batch);
        for (const [index, hash] of batch.entries()) records.set(hash, found[index]);
      }
      return hashes.map((hash) => hash && records.get(hash));
    },

    list(query) {
      const { cursor, ownerId, environment, createdByKey } = query;
      return call(
        () => store.list(query),
        (result) => readPage(result, cursor, { ownerId, environment, createdByKey }, readManagedRecord),
      );
    },

    auditTrail(query) {
      const { cursor, keyId, ownerId, actor } = query;
      return call(
        () => store.auditTrail(query),
        (result) => readPage(result, cursor, { keyId, ownerId, actor }, readAuditEntry),
      );
    },

    async insert(record, facts, claims) {
      const audit = auditEntry(record, record.updatedAt, facts);
      await call(
        () => store.insert(record, audit, quotaOf(ceilings, record.updatedAt, undefined, record), claims),
        () => undefined,
        UNKNOWN_OUTCOME,
      );
      emit(observers, lifecycleEvent(audit));
    },

    append: (entry) =>
      call(
        () => store.appendAudit?.([entry]),
        () => undefined,
        UNKNOWN_OUTCOME,
      ),

    remove(record, facts) {
      const audit = auditEntry(record, now(), facts);
      return commit("remove", lifecycleEvent(audit), () => store.remove?.(record.id, record.version, audit));
    },

    change: (id, caller, decide) =>
      compareAndSet(id, caller, async (record, at) => {
        const decision = decide(record, at);
        if (decision === undefined) return toManagedKey(record, at);
        const change = { updatedAt: at, ...decision.change };
        const audit = auditEntry(record, at, { ...decision, actor: caller.actor });
        const quota = quotaOf(ceilings, at, record, { ...record, ...change });
        const committed = await commit("update", lifecycleEvent(audit), () =>
          store.update(id, record.version, change, audit, quota),
        );
        const changed = { ...record, ...change, version: record.version + 1 };
        return committed ? toManagedKey(changed, at) : undefined;
      }),

    replace: (id, caller, decide) =>
      compareAndSet(id, caller, async (record, at) => {
        const { successor, ...decision } = decide(record, at);
        const change = { updatedAt: at, ...decision.change };
        const audit = auditEntry(record, at, { ...decision, actor: caller.actor });
        const issued = { secret: successor.secret, key: toManagedKey(successor.record, at) };
        await caller.beforeCommit?.(issued);
        const old = { ...record, ...change };
        const quota = quotaOf(ceilings, at, record, old, successor.record);
        const committed = await commit("replace", lifecycleEvent(audit), () =>
          store.replace(id, record.version, change, successor.record, audit, quota),
        );
        return committed ? issued : undefined;
      }),

    setSuspension(action, ownerId, actor, details) {
      const audit = createAuditEntry(action, { id: "", ownerId }, now(), actor, details);
      const method = action === "suspended" ? "suspendOwner" : "resumeOwner";
      return commit(method, ownerEvent(audit), () => store[method]?.(ownerId, audit));
    },
  };
}

const CONTRACT_ERRORS = [KeyInputError, KeyConflictError, KeyStateError, KeyLimitError];

/** Whether a store threw an error of its contract, such as a conflict on insert or an invalid cursor. */
function isContractError(error: unknown): boolean {
  try {
    return CONTRACT_ERRORS.some((type) => error instanceof type);
  } catch {
    return false; // a Proxy may throw from instanceof
  }
}
