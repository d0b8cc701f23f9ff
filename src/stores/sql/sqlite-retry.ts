import { setTimeout as sleep } from "node:timers/promises";
import type { Awaitable } from "../../internal/awaitable.js";
import { StoreError } from "../../kit.js";

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
  const missing = error instanceof Error && /\bno such table\b/.test(error.message);
  return missing ? new StoreError("The tables are missing; call await store.migrate() first", error) : error;
}

// SQLITE_BUSY and its extended codes, whose low byte is 5 (sqlite.org/rescode.html). better-sqlite3 and libsql have the
// name in `code`, node:sqlite has the number in `errcode`.
function isBusy(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return (
    (typeof code === "string" && code.startsWith("SQLITE_BUSY")) ||
    (typeof errcode === "number" && (errcode & 0xff) === 5)
  );
}
