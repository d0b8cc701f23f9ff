import { setTimeout as sleep } from "node:timers/promises";
import type { Awaitable } from "../../internal/awaitable.js";
import { KeyConflictError, StoreError } from "../../kit.js";
import { DUPLICATE } from "./server-store.js";

const RETRY_MS = 5_000;
const MAX_PAUSE_MS = 50;

/**
 * Calls `work` synchronously. While another connection has locked the database, retries for up to 5 seconds and returns
 * a promise. `work` must change nothing when it throws.
 */
export function retryWhenBusy<T>(work: () => T): Awaitable<T> {
  try {
    return work();
  } catch (error) {
    if (!isBusy(error)) throw explain(error);
    return retry(work);
  }
}

async function retry<T>(work: () => T): Promise<T> {
  const end = performance.now() + RETRY_MS;
  for (let pause = 1; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    await sleep(pause * (0.5 + Math.random()));
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= end) throw explain(error);
    }
  }
}

function explain(error: unknown): unknown {
  if (codesOf(error).some((code) => DUPLICATE_CODES.includes(code))) return new KeyConflictError(DUPLICATE);
  const missing = error instanceof Error && /\bno such table\b/.test(error.message);
  return missing ? new StoreError("The tables are missing; call await store.migrate() first", error) : error;
}

// Result codes of sqlite.org/rescode.html: SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE.
const DUPLICATE_CODES: readonly unknown[] = [
  "SQLITE_CONSTRAINT_PRIMARYKEY",
  "SQLITE_CONSTRAINT_UNIQUE",
  1555,
  2067,
];

/** SQLITE_BUSY and its extended codes, whose low byte is 5. */
function isBusy(error: unknown): boolean {
  return codesOf(error).some((code) =>
    typeof code === "number" ? (code & 0xff) === 5 : String(code).startsWith("SQLITE_BUSY"),
  );
}

/** better-sqlite3 and libsql have the name of a result code in `code`, node:sqlite has the number in `errcode`. */
function codesOf(error: unknown): readonly unknown[] {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return [code, errcode];
}
