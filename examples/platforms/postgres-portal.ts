// Keeps the codes and sessions of portal links in PostgreSQL: a store for createDashboard.
//
//   create table portal (id text primary key, value text not null, until timestamptz not null);
//
// Delete expired rows regularly: delete from portal where until < now();

import type { PortalStore } from "keybearer/dashboard";
import type { Pool } from "pg";

export function postgresPortal(pool: Pool): PortalStore {
  return {
    async put({ id, value, until }) {
      await pool.query("insert into portal values ($1, $2, $3)", [id, value, until]);
    },
    async get(id, { remove }) {
      const statement = remove
        ? "delete from portal where id = $1 and until > now() returning value"
        : "select value from portal where id = $1 and until > now()";
      const { rows } = await pool.query(statement, [id]);
      return rows[0]?.value;
    },
  };
}
