import type pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { hashSecret, type KeyHash, type KeyRecord, StoreError } from "../../../src/index.js";
import { type PostgresKeyStore, type PostgresPool, postgresStore } from "../../../src/stores/postgres.js";
import { at, everyEntry, fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { droppingTables, freshTable, poolAt } from "../../contract/stores/backends/postgres.js";
import { type Wire, wireTo } from "../../contract/stores/postgres-mysql-wire.js";

const { postgres: url = "" } = inject("servers");

describe.skipIf(url === "")("postgresStore over pg, when things go wrong", () => {
  const table = freshTable();
  /** Of the host, to look at the tables and to get in the way. */
  const host = poolAt(url);

  /** A pool for one test. */
  const pooled = (options: pg.PoolConfig = {}): pg.Pool => {
    const pool = poolAt(url, options);
    onTestFinished(() => pool.end());
    return pool;
  };

  beforeAll(() => postgresStore(host, { table }).migrate());

  afterAll(async () => {
    await host.query(droppingTables(table));
    await host.end();
  });

  const inserted = async (store: PostgresKeyStore, key: KeyRecord = sampleKey()): Promise<KeyRecord> => {
    await store.insert(key, sampleAudit(key));
    return key;
  };

  /** Waits until a statement of the store waits for a lock; answers the connection that it is on. */
  const waiting = async (): Promise<number> => {
    for (;;) {
      const { rows } = await host.query(
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

  test.each(WRITES)(
    "%s whose connection is killed writes nothing, and costs no connection",
    async (_, write) => {
      const store = postgresStore(pooled({ max: 1 }), { table });
      const key = await inserted(store, fullKey());
      const blocker = await host.connect();
      await blocker.query("begin");
      await blocker.query(`select id from ${table} where id = $1 for update`, [key.id]);
      const failure = write(store, key).catch((error: unknown) => error);
      await host.query("select pg_terminate_backend($1)", [await waiting()]);
      expect(await failure).toBeInstanceOf(StoreError);
      await blocker.query("rollback");
      blocker.release();
      expect(await store.findById(key.id)).toEqual(key);
      expect(await everyEntry(store, { keyId: key.id })).toHaveLength(1);
      await expect(write(store, key)).resolves.not.toBe(false);
    },
  );

  test("an insertion whose connection is killed writes nothing", async () => {
    const store = postgresStore(pooled({ max: 1 }), { table });
    const key = sampleKey();
    const blocker = await host.connect();
    await blocker.query("begin");
    const { sql, values } = insertion(table, key);
    await blocker.query(sql, values);
    const failure = store.insert(key, sampleAudit(key)).catch((error: unknown) => error);
    await host.query("select pg_terminate_backend($1)", [await waiting()]);
    expect(await failure).toBeInstanceOf(StoreError);
    await blocker.query("rollback");
    blocker.release();
    expect(await store.findById(key.id)).toBeUndefined();
    expect(await everyEntry(store, { keyId: key.id })).toEqual([]);
    await inserted(store, key);
  });

  test("migrations whose connection is killed in the middle leave nothing behind", async () => {
    const name = `${table}_killed`;
    const pool = pooled({ max: 1 });
    const blocker = await host.connect();
    await blocker.query("begin");
    // The second table of the migration: the first one is made by then, and waits with it to be committed.
    await blocker.query(`create table ${name}_audit (id int)`);
    const failure = postgresStore(pool, { table: name })
      .migrate()
      .catch((error: unknown) => error);
    await host.query("select pg_terminate_backend($1)", [await waiting()]);
    expect(await failure).toBeInstanceOf(StoreError);
    await blocker.query("rollback");
    blocker.release();
    const { rows } = await host.query("select relname from pg_class where relname like $1", [`${name}%`]);
    expect(rows).toEqual([]);
    const store = postgresStore(pool, { table: name });
    await store.migrate();
    await inserted(store);
    await host.query(droppingTables(name));
  });

  test("a pool of one connection serves on after every kind of failure", async () => {
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

  test("a server that is not there is a StoreError, each time", async () => {
    const pool = pooled({ connectionString: "postgres://127.0.0.1:1/none", max: 1 });
    const store = postgresStore(pool);
    for (let i = 0; i < 3; i++) {
      await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("PostgreSQL failed (ECONNREFUSED)");
      await expect(store.migrate()).rejects.toThrow(StoreError);
    }
  });

  describe("when the answer to a change is lost", () => {
    let wire: Wire;
    beforeAll(async () => {
      wire = await wireTo(url, 5432);
    });
    afterAll(() => wire.close());

    test.each(WRITES.slice(0, 4))("%s is an error and not a false, though it was made", async (_, write) => {
      const behind = new URL(url);
      behind.host = `127.0.0.1:${wire.port}`;
      const pool = pooled({ connectionString: behind.href, max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store, fullKey());
      wire.cutAfter("insert into");
      await expect(write(store, key)).rejects.toThrow(StoreError);
      await expect.poll(() => everyEntry(store, { keyId: key.id }), { timeout: 60_000 }).toHaveLength(2);
      expect(await store.findById(key.id)).not.toEqual(key);
    });
  });

  describe("a connection with a transaction that somebody left open", () => {
    const leak = async (pool: pg.Pool): Promise<void> => {
      const client = await pool.connect();
      await client.query("begin");
      client.release();
    };

    test("is refused and closed, and the next one serves", async () => {
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

    test("cannot take a change back, when the client does not say", async () => {
      const pool = pooled({ max: 1 });
      const silent: PostgresPool = {
        connect: async () => {
          const { query, on, removeListener, release } = await bound(pool);
          return { query, on, removeListener, release };
        },
      };
      const store = postgresStore(silent, { table });
      const key = await inserted(store);
      await leak(pool);
      expect(await store.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
      const client = await pool.connect();
      await client.query("rollback");
      client.release();
      expect(await store.findByHash(key.hash)).toMatchObject({ revokedAt: at(1), version: 2 });
      await expect(store.insert(key, sampleAudit(key))).rejects.toThrow(StoreError);
      expect(await store.findByHash(key.hash)).toMatchObject({ version: 2 });
    });
  });

  describe("prepared lookups", () => {
    test.each(["discard all", "deallocate all"])("go on after %s on their connection", async (forget) => {
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store);
      for (let round = 0; round < 3; round++) {
        expect(await store.findByHash(key.hash)).toEqual(key);
        expect(await store.findManyByHash([key.hash, hashSecret("none")])).toEqual([key, undefined]);
        await pool.query(forget);
      }
    });

    test("go on when the connection has another statement of their name", async () => {
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table });
      const key = await inserted(store);
      await store.findByHash(key.hash);
      const { rows } = await pool.query(
        "select name from pg_prepared_statements where name like 'keybearer%'",
      );
      expect(rows).toHaveLength(1);
      // As behind a pooler: the server's side has it, the client's side knows nothing of it.
      const other = pooled({ max: 1 });
      await other.query(`prepare ${rows[0].name} as select 1`);
      expect(await postgresStore(other, { table }).findByHash(key.hash)).toEqual(key);
    });

    test("go on when the table was changed under their plan", async () => {
      const name = `${table}_altered`;
      const pool = pooled({ max: 1 });
      const store = postgresStore(pool, { table: name });
      await store.migrate();
      const key = await inserted(store);
      for (let round = 0; round < 8; round++) expect(await store.findByHash(key.hash)).toEqual(key);
      await host.query(`alter table ${name} alter column start type varchar(300)`);
      expect(await store.findByHash(key.hash)).toEqual(key);
      await host.query(`alter table ${name} add column more text default 'x'`);
      expect(await store.findByHash(key.hash)).toEqual(key);
      await host.query(droppingTables(name));
    });
  });

  test("lookups that pile up behind a pool that hangs are refused, and no more than 1,000 wait", async () => {
    let asked = 0;
    const hanging: PostgresPool = {
      connect: () => {
        asked += 1;
        return new Promise(() => {});
      },
    };
    const store = postgresStore(hanging);
    for (let i = 0; i < 1_000; i++) void store.findManyByHash([hashSecret(`${i}`), hashSecret("b")]);
    await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("wait for an answer");
    expect(asked).toBe(1_000);
  });

  test("two writers that wait for each other: one is undone and tries again", async () => {
    const store = postgresStore(pooled({ max: 1 }), { table });
    const [a, b] = [await inserted(store), await inserted(store)];
    const blocker = await host.connect();
    await blocker.query("set deadlock_timeout = '600s'");
    await blocker.query("begin");
    await blocker.query(`update ${table} set name = 'host' where id = $1`, [b.id]);
    // Has locked a, and waits for b.
    const touching = store.touch(
      new Map([
        [b.id, at(2)],
        [a.id, at(1)],
      ]),
    );
    await waiting();
    await blocker.query(`update ${table} set name = 'host' where id = $1`, [a.id]);
    await blocker.query("commit");
    blocker.release(true);
    await touching;
    expect(await store.findById(a.id)).toMatchObject({ name: "host", lastUsedAt: at(1) });
    expect(await store.findById(b.id)).toMatchObject({ name: "host", lastUsedAt: at(2) });
  });

  test("touches of the same keys in every order do not wait for each other", async () => {
    // Who waits for a deadlock to be found waits longer than this test may take.
    const store = postgresStore(pooled({ options: "-c deadlock_timeout=600s" }), { table });
    const keys = await Promise.all(Array.from({ length: 60 }, () => inserted(store)));
    await Promise.all(
      Array.from({ length: 60 }, (_, turn) => {
        const shuffled = [...keys].sort(() => Math.random() - 0.5).slice(0, 1 + turn);
        return store.touch(new Map(shuffled.map(({ id }) => [id, at(turn)])));
      }),
    );
  });

  test("a change that stricter transactions of the host have undone is made in one of its own", async () => {
    const asked: string[] = [];
    const released: (boolean | undefined)[] = [];
    const connection = {
      query: async ({ text }: { text: string }) => {
        asked.push(text.slice(0, 40));
        if (asked.length === 1) throw Object.assign(new Error("could not serialize"), { code: "40001" });
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
    expect(asked).toEqual([update, "begin isolation level read committed", update, "commit"]);
    expect(released).toEqual([true, false]);
  });

  describe.each(["serializable", "repeatable read"])("on a host whose transactions are %s", (isolation) => {
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
          await pool.query(droppingTables(name));
          await pool.end();
        },
      };
    };
    for (const { name, run } of keyStoreContract(create)) {
      if (/concurrent|among|replac|migrat|pages/.test(name)) test(name, run);
    }

    test("four that migrate at once all succeed", async () => {
      const name = freshTable();
      const stores = Array.from({ length: 4 }, () =>
        postgresStore(pooled({ options: option }), { table: name }),
      );
      await Promise.all(stores.map((store) => store.migrate()));
      await host.query(droppingTables(name));
    });
  });
});

/** Its methods, that can be called without it. */
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

function insertion(table: string, { id, hash }: { id: string; hash: KeyHash }) {
  return {
    sql: `insert into ${table} (id, hash, version, owner_id, start, scopes, created_at, updated_at)
          values ($1, $2, 1, 'host', 's', '[]', 1, 1)`,
    values: [id, hash],
  };
}
