import { chmodSync, statSync } from "node:fs";

const OWNER_ONLY = 0o600;

/**
 * Makes the file of a new database accessible to its owner only; SQLite gives its `-wal` and `-shm` files the same mode.
 * Returns the file of an older database if other users may read or write it.
 *
 * @param rows the result of `pragma database_list`
 */
export function protectFile(rows: readonly unknown[], isNew: boolean): string | undefined {
  const main = rows.find((row) => (row as { name?: unknown }).name === "main") as { file?: unknown };
  const file = main?.file;
  if (typeof file !== "string" || file === "" || process.platform === "win32") return undefined;
  try {
    if ((statSync(file).mode & 0o077) === 0) return undefined;
    if (!isNew) return file;
    chmodSync(file, OWNER_ONLY);
    return undefined;
  } catch {
    return isNew ? file : undefined; // the file belongs to another user, or is not in this file system
  }
}
