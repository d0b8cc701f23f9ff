// Keeps responses to requests with an `Idempotency-Key` in PostgreSQL: a store for createManagementApi.
//
//   create table idempotency (id text primary key, owner_id text not null, value text not null, until timestamptz not null);
//   create index on idempotency (owner_id);
//
// Delete expired rows regularly: delete from idempotency where until < now();

import { HttpProblem, type IdempotencyStore } from "keybearer/management";
import type { Pool } from "pg";

const MAX_PER_OWNER = 4 * 1024 * 1024; // characters
const SIZE =
  "select coalesce(sum(length(value)), 0) as size from idempotency where owner_id = $1 and until > now()";

export function postgresIdempotency(pool: Pool): IdempotencyStore {
  return {
    async compareAndSet({ id, ownerId, until }, expected, value) {
      const client = await pool.connect();
      let isDone = false;
      try {
        await client.query("begin isolation level read committed");
        // Orders the calls for one owner, so that its size is exact. An entry may not exist yet.
        await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [ownerId]);
        const found = await client.query("select value from idempotency where id = $1 and until > now()", [
          id,
        ]);
        const current: string | undefined = found.rows[0]?.value;
        if (current === expected) {
          await client.query("delete from idempotency where id = $1", [id]);
          if (value !== null) {
            const [{ size }] = (await client.query(SIZE, [ownerId])).rows;
            if (Number(size) + value.length > MAX_PER_OWNER) {
              await client.query("rollback");
              isDone = true;
              throw new HttpProblem(429, "rate_limited", "Too many requests had an Idempotency-Key.");
            }
            await client.query("insert into idempotency values ($1, $2, $3, $4)", [
              id,
              ownerId,
              value,
              until,
            ]);
          }
        }
        await client.query("commit");
        isDone = true;
        return current;
      } finally {
        client.release(!isDone); // closes the connection after an error, which rolls back
      }
    },
  };
}
