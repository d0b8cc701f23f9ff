import { type AuditEntry, KeyConflictError, type OwnerQuota, rejectExcess } from "../../kit.js";
import type { StoredRow } from "../record-codec.js";
import { type OwnerStatements, readCounts, rejectSuspended } from "./owners.js";
import type { AtomicWrite, AtomicWrites, Statement } from "./statements.js";

// Each one more means that a concurrent change took the room that was made.
const MAX_ATTEMPTS = 100;

/** Runs the writes of a database server that concern an owner. */
export interface ServerOwnerWrites {
  /**
   * Runs a write that adds to an owner. If it changes nothing, counts the keys of the owner again and repeats it. Returns
   * `false` if the key that it changes has another version.
   *
   * @throws KeyStateError if the owner is suspended, and KeyLimitError if there is no room for the quota.
   */
  runReserving(
    write: AtomicWrite,
    ownerId: string,
    quota: OwnerQuota,
    isCurrent: () => Promise<boolean>,
  ): Promise<boolean>;
  /** Suspends or resumes an owner. The first statement finds out whether it already is. */
  changeOwner(statements: readonly [Statement, ...Statement[]], audit: AuditEntry): Promise<boolean>;
}

type Run = (
  statement: Statement,
) => Promise<{ readonly rows: readonly StoredRow[]; readonly changes: number }>;

/** `run` and `transaction` repeat their work after transient errors. */
export function createServerOwnerWrites(parts: {
  readonly run: Run;
  readonly transaction: <T>(work: (run: Run) => Promise<T>) => Promise<T>;
  readonly owners: OwnerStatements;
  readonly writes: AtomicWrites;
  readonly runWrite: (write: AtomicWrite) => Promise<boolean>;
}): ServerOwnerWrites {
  const { run: runAlone, transaction, owners, writes, runWrite } = parts;

  const makeRoom = async (ownerId: string, quota: OwnerQuota): Promise<void> => {
    await runAlone(owners.create(ownerId));
    const [owner, counts] = await transaction(async (run) => {
      const { rows } = await run(owners.lock(ownerId));
      // A statement of its own, whose snapshot has every key that was written before the row was locked.
      const counted = readCounts((await run(owners.count(ownerId, quota.now))).rows[0]);
      await run(owners.write(ownerId, counted));
      return [rows[0], counted] as const;
    });
    rejectSuspended(owner);
    rejectExcess(counts, quota);
  };

  return {
    async runReserving(write, ownerId, quota, isCurrent) {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        if (await runWrite(write)) return true;
        if (!(await isCurrent())) return false;
        await makeRoom(ownerId, quota);
      }
      throw new KeyConflictError("The keys of the owner kept changing concurrently; try again");
    },

    async changeOwner([mark, ...others], audit) {
      const statements = [...others, ...writes.appendChange(audit)];
      await runAlone(owners.create(audit.ownerId));
      return transaction(async (run) => {
        if ((await run(mark)).changes === 0) return false;
        for (const statement of statements) await run(statement);
        return true;
      });
    },
  };
}
