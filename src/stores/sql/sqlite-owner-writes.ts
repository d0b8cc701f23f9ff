import { type Awaitable, mapAwaitable } from "../../internal/awaitable.js";
import {
  type AuditEntry,
  type ManagedKeyStore,
  type OwnerQuota,
  rejectExcess,
  unlimitedQuota,
} from "../../kit.js";
import { createCreatorError, type StoredRow } from "../record-codec.js";
import { type OwnerStatements, readCounts, rejectSuspended } from "./owners.js";
import { isStorable } from "./rows.js";
import type { TableNames } from "./schema.js";
import type { AtomicWrite, AtomicWrites, Statement } from "./statements.js";

type Run = (statement: Statement) => number;

/** The methods of `sqliteStore` that may add to an owner. */
export type SqliteOwnerWrites = Required<
  Pick<ManagedKeyStore, "insert" | "update" | "replace" | "suspendOwner" | "resumeOwner">
>;

/** Returns whether every statement that is not optional changed a row; if not, the transaction must be rolled back. */
export function isWritten(run: Run, write: AtomicWrite): boolean {
  return write.every((statement) => run(statement) > 0 || statement.isOptional === true);
}

/** Creates the methods. `transaction` rolls back if its work returns `false`. */
export function createSqliteOwnerWrites(parts: {
  readonly tables: TableNames;
  readonly run: Run;
  readonly all: (statement: Statement) => StoredRow[];
  readonly transaction: (work: () => boolean) => Awaitable<boolean>;
  readonly owners: OwnerStatements;
  readonly writes: AtomicWrites;
}): SqliteOwnerWrites {
  const { tables, run, all, transaction, owners, writes } = parts;

  const hasKey = (id: string, condition: string, ...parameters: unknown[]): boolean => {
    const sql = `select 1 from "${tables.keys}" where "id" = ? and ${condition}`;
    return all({ sql, parameters: [id, ...parameters] }).length > 0;
  };

  /**
   * Runs a write that adds to an owner. If it changes nothing, counts the keys of the owner again and repeats it. Returns
   * `false` if the key that it changes has another version, or its creator is gone.
   *
   * @throws KeyStateError if the owner is suspended, and KeyLimitError if there is no room for the quota.
   */
  const runReserving = (
    write: AtomicWrite,
    ownerId: string,
    quota: OwnerQuota,
    isCurrent: () => boolean,
  ): Awaitable<boolean> =>
    transaction(() => {
      if (!isCurrent()) return false;
      if (isWritten(run, write)) return true;
      run(owners.create(ownerId));
      rejectSuspended(all(owners.lock(ownerId))[0]);
      const counts = readCounts(all(owners.count(ownerId, quota.now))[0]);
      rejectExcess(counts, quota);
      run(owners.write(ownerId, counts));
      return isWritten(run, write);
    });

  /** Suspends or resumes an owner. The first statement finds out whether it already is. */
  const changeOwner = (
    [mark, ...others]: readonly [Statement, ...Statement[]],
    audit: AuditEntry,
  ): Awaitable<boolean> => {
    const statements = [...others, ...writes.appendChange(audit)];
    return transaction(() => {
      run(owners.create(audit.ownerId));
      if (run(mark) === 0) return false;
      for (const statement of statements) run(statement);
      return true;
    });
  };

  return {
    insert(record, audit, quota = unlimitedQuota(record), claims) {
      const { ownerId, createdByKey: creator } = record;
      const write = writes.insert(record, audit, quota, claims);
      const isCreatorAlive = () => creator === null || hasKey(creator, '"revoked_at" is null');
      return mapAwaitable(runReserving(write, ownerId, quota, isCreatorAlive), (inserted) => {
        if (!inserted) throw createCreatorError();
      });
    },

    update(id, ifVersion, change, audit, quota) {
      if (!isStorable(id)) return false;
      const write = writes.update(id, ifVersion, change, audit, quota);
      if (quota === undefined) return transaction(() => isWritten(run, write));
      return runReserving(write, audit.ownerId, quota, () => hasKey(id, '"version" = ?', ifVersion));
    },

    replace(id, ifVersion, change, successor, audit, quota = unlimitedQuota(successor)) {
      if (!isStorable(id)) return false;
      const write = writes.replace(id, ifVersion, change, successor, audit, quota);
      return runReserving(write, successor.ownerId, quota, () => hasKey(id, '"version" = ?', ifVersion));
    },

    suspendOwner: (ownerId, audit) => changeOwner(owners.suspend(ownerId, audit.at), audit),

    resumeOwner: (ownerId, audit) => changeOwner(owners.resume(ownerId, audit.at), audit),
  };
}
