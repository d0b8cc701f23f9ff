import { randomBytes } from "node:crypto";
import { createPool, type Pool, type PoolOptions } from "mysql2/promise";
import { mysqlStore } from "../../../../src/stores/mysql.js";
import type { Backend, OpenStore } from "./backend.js";

interface Place {
  readonly url: string;
  readonly table: string;
}

/** Returns a table name that no other test uses. */
export function freshTable(): string {
  return `keys_${randomBytes(6).toString("hex")}`;
}

export function poolAt(uri: string, options: PoolOptions = {}): Pool {
  return createPool({ uri, connectionLimit: 10, ...options });
}

/** The statement that drops the tables of a store. */
export function dropTablesSql(table: string): string {
  return `drop table if exists \`${table}\`, \`${table}_audit\`, \`${table}_migrations\`, \`${table}_owners\`, \`${table}_position\`, \`${table}_claims\``;
}

/** The backend for MySQL or MariaDB. */
export function mysqlBackends(url: string | undefined): readonly Backend[] {
  const open = (place: Place) => {
    const pool = poolAt(place.url);
    const store = mysqlStore(pool, { table: place.table });
    return { store, place: JSON.stringify(place), close: () => pool.end() } satisfies OpenStore;
  };
  return [
    {
      name: "mysqlStore over mysql2",
      missing: url === undefined ? "MySQL or MariaDB was not found" : undefined,

      async create() {
        const opened = open({ url: url as string, table: freshTable() });
        await opened.store.migrate();
        return opened;
      },

      open: async (place) => open(JSON.parse(place)),

      async drop(place) {
        const { url, table }: Place = JSON.parse(place);
        const pool = poolAt(url, { connectionLimit: 1 });
        await pool.query(dropTablesSql(table));
        await pool.end();
      },
    },
  ];
}
