import type pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import {
  hashSecret,
  KeyConflictError,
  type KeyHash,
  type KeyRecord,
  StoreError,
} from "../../../src/index.js";
import { type PostgresKeyStore, type PostgresPool, postgresStore } from "../../../src/stores/postgres.js";
import { at, everyEntry, fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { dropTablesSql, freshTable, poolAt } from "../../contract/stores/backends/postgres.js";
import { startTcpProxy, type TcpProxy } from "../../contract/stores/tcp-proxy.js";

const { postgres: url = "" } = inject("servers");

describe.skipIf(url === "")("postgresStore over pg: faults", () => {
  const table = freshTable();
  /** For direct access to the tables. */
  const admin = poolAt(url);

  /** Creates a pool for one it. */
  const pooled = (options: pg.PoolConfig = {}): pg.Pool => {
    const pool = poolAt(url, options);
    onTestFinished(() => pool.end());
    return pool;
  };

  beforeAll(() => postgresStore(admin, { table }).migrate());

  afterAll(async () => {
    await admin.query(dropTablesSql(table));
    await admin.end();
  });

  const inserted = async (store: PostgresKeyStore, key: KeyRecord = sampleKey()): Promise<KeyRecord> => {
    await store.insert(key, sampleAudit(key));
    return key;
  };

  /** Waits until a statement of the store waits for a lock. Returns the id of its connection. */
  const untilLocked = async (): Promise<number> => {
    for (;;) {
      const { rows } = await admin.query(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like $1",
        [`%${table}%`],
      );
      if (rows.length > 0) return rows[0].pid;
    }
  };

  const WRITES: [what: string, write: (store: PostgresKeyStore, key: KeyRecord) => Promise<unknown>][] = [
    ["an update", (store, key) => store.update(key.id, 7, { revokedAt: at(1) }, sampleAudit(key))],
    [
      "a replacement",
      (store, key) => store.replace(key.id, 7, { name: "old" }, sampleKey(), sampleAudit(key)),
    ],
    ["a rehash", (store, key) => store.rehash(key.id, key.hash, hashSecret(key.id), sampleAudit(key))],
    ["a removal", (store, key) => store.remove(key.id, 7, sampleAudit(key))],
    ["a touch", (store, key) => store.touch(new Map([[key.id, at(1_000)]]))],
  ];

  it.each(WRITES)(
    "%s writes nothing when its connection is killed, and leaks no connection",
    async (_, write) => {
      const store = postgresStore(pooled({ max: 1 }), { table });
      const key = await inserted(store, fullKey());
      const blocker = await admin.connect();
      await blocker.query("begin");
      await blocker.query(`select id from ${table} where id = $1 for update`, [key.id]);
      const failure = write(store, key).catch((error: unknown) => error);
      await admin.query("select pg_terminate_backend($1)", [await untilLocked()]);
      expect(await failure).toBeInstanceOf(StoreError);
      await blocker.query("rollback");
      blocker.release();
      expect(await store.findById(key.id)).toEqual(key);
      expect(await everyEntry(store, { keyId: key.id })).toHaveLength(1);
      await expect(write(store, key)).resolves.not.toBe(false);
    },
  );

  it("an insert writes nothing when its connection is killed", async () => {
    const store = postgresStore(pooled({ max: 1 }), { table });
    const key = sampleKey();
    const blocker = await admin.connect();
    await blocker.query("begin");
    const { sql, values } = insertStatement(table, key);
    await blocker.query(sql, values);
    const failure = store.insert(key, sampleAudit(key)).catch((error: unknown) => error);
    await admin.query("select pg_terminate_backend($1)", [await untilLocked()]);
    expect(await failure).toBeInstanceOf(StoreError);
    await blocker.query("rollback");
    blocker.release();
    expect(await store.findById(key.id)).toBeUndefined();
    expect(await everyEntry(store, { keyId: key.id })).toEqual([]);
    await inserted(store, key);
  });

  it("migrations change nothing when their connection is killed halfway", async () => {
    const name = `${table}_killed`;
    const pool = pooled({ max: 1 });
    const blocker = await admin.connect();
    await blocker.query("begin");
    // Blocks the second table of the migration, after the first one was created in the same transaction.
    await blocker.query(`create table ${name}_audit (id int)`);
    const failure = postgresStore(pool, { table: name })
      .migrate()
      .catch((error: unknown) => error);
    await admin.query("select pg_terminate_backend($1)", [await untilLocked()]);
    expect(await failure).toBeInstanceOf(StoreError);
    await blocker.query("rollback");
    blocker.release();
    const { rows } = await admin.query("select relname from pg_class where relname like $1", [`${name}%`]);
    expect(rows).toEqual([]);
    const store = postgresStore(pool, { table: name });
    await store.migrate();
    await inserted(store);
    await admin.query(dropTablesSql(name));
  });

  it("keeps a pool of one connection usable after every kind of error", async () => {
    const pool = pooled({ max: 1, connectionTimeoutMillis: 5_000 });
    const store = postgresStore(pool, { table });
    const late = postgresStore(pool, { table: `${table}_none` });
    const key = await inserted(store);
    const failures = [
      () => store.insert(key, sampleAudit(key)),
      () => store.replace(key.id, 1, {}, sampleKey({ hash: key.hash }), sampleAudit(key)),
      () => store.update(key.id, 1, { expiresAt: new Date(Number.NaN) }, sampleAudit(key)),
      () => store.list({ now: at(0), limit: 5, cursor: "nonsense" }),
      () => late.findByHash(key.hash),
      () => late.insert(key, sampleAudit(key)),
    ];
    for (const fail of failures) {
      await expect(fail()).rejects.toThrow();
      expect([pool.totalCount - pool.idleCount, pool.waitingCount]).toEqual([0, 0]);
    }
    expect(await store.update(key.id, 9, { name: "x" }, sampleAudit(key))).toBe(false);
    expect(await store.findById(key.id)).toEqual(key);
  });

  it("throws a StoreError on every call while the server is down", async () => {
    const pool = pooled({ connectionString: "postgres://127.0.0.1:1/none", max: 1 });
    const store = postgresStore(pool);
    for (let i = 0; i < 3; i++) {
      await expect(store.findByHash(hashSecret("a"))).rejects.toThrow(
        "PostgreSQL failed (Error ECONNREFUSED)",
      );
      await expect(store.migrate()).rejects.toThrow(StoreError);
    }
  });

  describe("when the response to a change is lost", () => {
    let proxy: TcpProxy;
    beforeAll(async () => {
      proxy = await startTcpProxy(url, 5432);
    });
    afterAll(() => proxy.close());

    it.each(WRITES.slice(0, 4))(
      "%s rejects instead of returning false, although it was committed",
      async (_, write) => {
        const proxied = new URL(url);
        proxied.host = `127.0.0.1:${proxy.port}`;
        const pool = pooled({ connectionString: proxied.href, max: 1 });
        const store = postgresStore(pool, { table });
        const key = await inserted(store, fullKey());
        proxy.dropResponseTo("insert into");
        await expect(write(store, key)).rejects.toThrow(StoreError);
        await expect.poll(() => everyEntry(store, { keyId: key.id }), { timeout: 60_000 }).toHaveLength(2);
        expect(await store.findById(key.id)).not.toEqual(key);
      },
    );
  });

  describe("a connection with an open transaction", () => {
    const leak = async (pool: pg.Pool): Promise<void> => {
      const client = await pool.connect();
      await client.query("begin");
      client.release();
    };

    it("is rejected and closed, and the next one works", async () => {
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store);
      const calls = [
        () => store.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key)),
        () => store.findByHash(key.hash),
        () => store.list({ now: at(0), limit: 1 }),
      ];
      for (const call of calls) {
        await leak(pool);
        await expect(call()).rejects.toThrow("open transaction");
        expect(await store.findByHash(key.hash)).toEqual(key);
      }
    });

    it("cannot roll a change back when the client does not report its transaction status", async () => {
      const pool = pooled({ max: 1 });
      const withoutStatus: PostgresPool = {
        connect: async () => {
          const { query, on, removeListener, release } = await bound(pool);
          return { query, on, removeListener, release };
        },
      };
      const store = postgresStore(withoutStatus, { table });
      const key = await inserted(store);
      await leak(pool);
      expect(await store.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
      const client = await pool.connect();
      await client.query("rollback");
      client.release();
      expect(await store.findByHash(key.hash)).toMatchObject({ revokedAt: at(1), version: 2 });
      await expect(store.insert(key, sampleAudit(key))).rejects.toThrow(KeyConflictError);
      expect(await store.findByHash(key.hash)).toMatchObject({ version: 2 });
    });
  });

  describe("prepared lookups", () => {
    it.each(["discard all", "deallocate all"])("work after %s on their connection", async (statement) => {
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store);
      for (let round = 0; round < 3; round++) {
        expect(await store.findByHash(key.hash)).toEqual(key);
        expect(await store.findManyByHash([key.hash, hashSecret("none")])).toEqual([key, undefined]);
        await pool.query(statement);
      }
    });

    it("work when the connection has another statement of the same name", async () => {
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store);
      await store.findByHash(key.hash);
      const { rows } = await pool.query(
        "select name from pg_prepared_statements where name like 'keybearer%'",
      );
      expect(rows).toHaveLength(1);
      // As behind a pooler: the server has the statement, but the client did not prepare it.
      const other = pooled({ max: 1 });
      await other.query(`prepare ${rows[0].name} as select 1`);
      expect(await postgresStore(other, { table }).findByHash(key.hash)).toEqual(key);
    });

    it("work after the table was altered", async () => {
      const name = `${table}_altered`;
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table: name });
      await store.migrate();
      const key = await inserted(store);
      for (let round = 0; round < 8; round++) expect(await store.findByHash(key.hash)).toEqual(key);
      await admin.query(`alter table ${name} alter column start type varchar(300)`);
      expect(await store.findByHash(key.hash)).toEqual(key);
      await admin.query(`alter table ${name} add column more text default 'x'`);
      expect(await store.findByHash(key.hash)).toEqual(key);
      await admin.query(dropTablesSql(name));
    });
  });

  it("rejects lookups while 1,000 are pending on a hanging pool", async () => {
    let connects = 0;
    const hanging: PostgresPool = {
      connect: () => {
        connects += 1;
        return new Promise(() => {});
      },
    };
    const store = postgresStore(hanging);
    for (let i = 0; i < 1_000; i++) void store.findManyByHash([hashSecret(`${i}`), hashSecret("b")]);
    await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("are pending");
    expect(connects).toBe(1_000);
  });

  it("retries a write that the server rolled back in a deadlock", async () => {
    const store = postgresStore(pooled({ max: 1 }), { table });
    const [a, b] = [await inserted(store), await inserted(store)];
    const blocker = await admin.connect();
    await blocker.query("set deadlock_timeout = '600s'");
    await blocker.query("begin");
    await blocker.query(`update ${table} set name = 'other' where id = $1`, [b.id]);
    // Locks a, then waits for b.
    const touching = store.touch(
      new Map([
        [b.id, at(2)],
        [a.id, at(1)],
      ]),
    );
    await untilLocked();
    await blocker.query(`update ${table} set name = 'other' where id = $1`, [a.id]);
    await blocker.query("commit");
    blocker.release(true);
    await touching;
    expect(await store.findById(a.id)).toMatchObject({ name: "other", lastUsedAt: at(1) });
    expect(await store.findById(b.id)).toMatchObject({ name: "other", lastUsedAt: at(2) });
  });

  it("touches of the same keys in any order do not deadlock", async () => {
    // A deadlock would not be detected before the test times out.
    const store = postgresStore(pooled({ options: "-c deadlock_timeout=600s" }), { table });
    const keys = await Promise.all(Array.from({ length: 60 }, () => inserted(store)));
    await Promise.all(
      Array.from({ length: 60 }, (_, turn) => {
        const shuffled = [...keys].sort(() => Math.random() - 0.5).slice(0, 1 + turn);
        return store.touch(new Map(shuffled.map(({ id }) => [id, at(turn)])));
      }),
    );
  });

  it("repeats a change in a READ COMMITTED transaction after a serialization failure", async () => {
    const queries: string[] = [];
    const released: (boolean | undefined)[] = [];
    const connection = {
      query: async ({ text }: { text: string }) => {
        queries.push(text.slice(0, 40));
        if (queries.length === 1) throw Object.assign(new Error("could not serialize"), { code: "40001" });
        return { rows: [], rowCount: 1 };
      },
      on: () => {},
      removeListener: () => {},
      release: (destroy?: boolean) => released.push(destroy),
      getTransactionStatus: () => "I",
    };
    const store = postgresStore({ connect: async () => connection });
    expect(await store.update("key", 1, { name: "x" }, sampleAudit(sampleKey()))).toBe(true);
    const update = 'with "keybearer_keys_changed" as (update';
    expect(queries).toEqual([update, "begin isolation level read committed", update, "commit"]);
    expect(released).toEqual([true, false]);
  });

  describe.each(["serializable", "repeatable read"])("with the default isolation level %s", (isolation) => {
    const option = `-c default_transaction_isolation=${isolation.replaceAll(" ", "\\ ")}`;
    const create = async () => {
      const name = freshTable();
      const pool = poolAt(url, { options: option });
      const store = postgresStore(pool, { table: name });
      await store.migrate();
      const { rows } = await pool.query("show transaction isolation level");
      expect(rows).toEqual([{ transaction_isolation: isolation }]);
      return {
        store,
        close: async () => {
          await pool.query(dropTablesSql(name));
          await pool.end();
        },
      };
    };
    for (const { name, run } of keyStoreContract(create)) {
      if (/concurrent|during|replac|pages/.test(name)) it(name, run);
    }

    it("migrates four times at once without an error", async () => {
      const name = freshTable();
      const stores = Array.from({ length: 4 }, () =>
        postgresStore(pooled({ options: option }), { table: name }),
      );
      await Promise.all(stores.map((store) => store.migrate()));
      await admin.query(dropTablesSql(name));
    });
  });
});

/** The methods of a client, bound to it. */
async function bound(pool: pg.Pool) {
  const client = await pool.connect();
  return {
    query: (config: pg.QueryConfig) => client.query(config),
    on: (event: "error", listener: (error: Error) => void) => client.on(event, listener),
    removeListener: (event: "error", listener: (error: Error) => void) =>
      client.removeListener(event, listener),
    release: (destroy?: boolean) => client.release(destroy),
  };
}

function insertStatement(table: string, { id, hash }: { id: string; hash: KeyHash }) {
  return {
    sql: `insert into ${table} (id, hash, version, owner_id, start, scopes, created_at, updated_at)
          values ($1, $2, 1, 'other', 's', '[]', 1, 1)`,
    values: [id, hash],
  };
}
