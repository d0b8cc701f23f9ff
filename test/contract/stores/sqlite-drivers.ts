import { createRequire } from "node:module";
import type { SqliteDatabase } from "../../../src/stores/sqlite.js";

/** A connection of any driver. */
export type Connection = SqliteDatabase & { close(): unknown };

export interface SqliteDriver {
  readonly name: string;
  /** Whether it is installed: node:sqlite needs Node 22, better-sqlite3 is not a dependency. */
  readonly available: boolean;
  open(file: string): Connection;
}

// biome-ignore lint/suspicious/noExplicitAny: the types of a driver that is not installed are missing.
type Opener = (module: any) => (file: string) => Connection;

const require = createRequire(import.meta.url);

export const drivers: readonly SqliteDriver[] = [
  driver("libsql", (Database) => (file) => new Database(file)),
  driver(
    "node:sqlite",
    ({ DatabaseSync }) =>
      (file) =>
        new DatabaseSync(file),
  ),
  driver("better-sqlite3", (Database) => (file) => new Database(file)),
];

export function driverNamed(name: string | undefined): SqliteDriver {
  const found = drivers.find((driver) => driver.name === name);
  if (found === undefined) throw new Error(`unknown driver ${name}`);
  return found;
}

function driver(name: string, opener: Opener): SqliteDriver {
  try {
    const open = opener(require(name));
    open(":memory:").close();
    return { name, available: true, open };
  } catch (error) {
    const open = (): never => {
      throw error;
    };
    return { name, available: false, open };
  }
}
