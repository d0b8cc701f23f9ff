import { setTimeout as sleep } from "node:timers/promises";
import type { Awaitable } from "../../internal/awaitable.js";
import { StoreError } from "../../kit.js";

const PATIENCE_MS = 5_000;
const LONGEST_PAUSE_MS = 50;

/**
 * Does the work now; when another process has the database locked, again and again for up to 5 seconds. The
 * work must leave nothing behind when it throws.
 */
export function patiently<T>(work: () => T): Awaitable<T> {
  try {
    return work();
  } catch (error) {
    if (!isBusy(error)) throw explained(error);
    return again(work);
  }
}

async function again<T>(work: () => T): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    await sleep(pause * (0.5 + Math.random()));
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= end) throw explained(error);
    }
  }
}

/** The most common mistake, in words that say what to do about it. */
function explained(error: unknown): unknown {
  const missing = error instanceof Error && /\bno such table\b/.test(error.message);
  return missing ? new StoreError("The tables are missing; call await store.migrate() first", error) : error;
}

// SQLITE_BUSY and its extended codes, whose low byte is 5 (sqlite.org/rescode.html): better-sqlite3 and libsql
// name them in `code`, node:sqlite gives the number in `errcode`.
function isBusy(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return (
    (typeof code === "string" && code.startsWith("SQLITE_BUSY")) ||
    (typeof errcode === "number" && (errcode & 0xff) === 5)
  );
}
