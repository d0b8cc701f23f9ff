import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { sqliteStore } from "../../../../src/stores/sqlite.js";
import { drivers, type SqliteDriver } from "../sqlite-drivers.js";
import type { Backend, OpenStore } from "./backend.js";

/** Files, through every driver that this runtime has. */
export function sqliteBackends(): readonly Backend[] {
  return drivers.map((driver) => ({
    name: `sqliteStore over ${driver.name}`,
    missing: driver.available ? undefined : `${driver.name} is not installed`,

    async create() {
      const opened = open(driver, join(mkdtempSync(join(tmpdir(), "keybearer-")), "keys.db"));
      await opened.store.migrate();
      return opened;
    },

    open: async (place) => open(driver, place),

    async drop(place) {
      rmSync(dirname(place), { recursive: true });
    },
  }));
}

function open(driver: SqliteDriver, place: string): OpenStore & { store: ReturnType<typeof sqliteStore> } {
  const connection = driver.open(place);
  connection.exec("pragma journal_mode = wal");
  const store = sqliteStore(connection);
  return {
    store,
    place,
    close: async () => {
      connection.close();
    },
  };
}
