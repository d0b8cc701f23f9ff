import type { Pool, PoolConnection, PoolOptions } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { hashSecret, type KeyRecord, StoreError } from "../../../src/index.js";
import {
  type MysqlKeyStore,
  type MysqlPool,
  type MysqlQuery,
  mysqlStore,
} from "../../../src/stores/mysql.js";
import { at, everyEntry, everyKey, fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { droppingTables, freshTable, poolAt } from "../../contract/stores/backends/mysql.js";
import { type Wire, wireTo } from "../../contract/stores/postgres-mysql-wire.js";

const { mysql: url = "" } = inject("servers");

describe.skipIf(url === "")("mysqlStore over mysql2, when things go wrong", () => {
  const table = freshTable();
  /** Of the host, to look at the tables and to get in the way. */
  let host: Pool;

  /** A pool for one test, whose connections begin with a statement. */
  const pooled = (options: PoolOptions = {}, session?: string): Pool => {
    const pool = poolAt(url, options);
    onTestFinished(() => pool.end());
    if (session !== undefined) pool.pool.on("connection", (connection) => connection.query(session));
    return pool;
  };

  beforeAll(async () => {
    host = poolAt(url);
    await mysqlStore(host, { table }).migrate();
  });

  afterAll(async () => {
    await host.query(droppingTables(table));
    await host.end();
  });

  const inserted = async (store: MysqlKeyStore, key: KeyRecord = sampleKey()): Promise<KeyRecord> => {
    await store.insert(key, sampleAudit(key));
    return key;
  };

  /** The connection of a pool of one. */
  const idOf = async (pool: Pool): Promise<number> => {
    const [rows] = await pool.query("select connection_id() as id");
    return (rows as { id: number }[])[0]?.id as number;
  };

  /** Waits until the connection waits for a lock of a row, in a statement of this kind. */
  const waits = async (id: number, statement: string): Promise<void> => {
    for (;;) {
      const [rows] = await host.query(
        "select trx_id from information_schema.innodb_trx where trx_mysql_thread_id = ? and trx_state = 'LOCK WAIT' and trx_query like ?",
        [id, `${statement}%`],
      );
      if ((rows as unknown[]).length > 0) return;
      // InnoDB answers from a cache, which it renews when nobody has asked for 100 ms.
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  };

  const WRITES: [what: string, write: (store: MysqlKeyStore, key: KeyRecord) => Promise<unknown>][] = [
    ["an update", (store, key) => store.update(key.id, 7, { revokedAt: at(1) }, audit(key))],
    ["a replacement", (store, key) => store.replace(key.id, 7, { name: "old" }, sampleKey(), audit(key))],
    ["a rehash", (store, key) => store.rehash(key.id, key.hash, hashSecret(key.id), audit(key))],
    ["a removal", (store, key) => store.remove(key.id, 7, audit(key))],
  ];
  const audit = (key: KeyRecord) => sampleAudit(key, { id: `second entry of ${key.id}` });

  // The change of the key is made by then, and waits with the entry to be committed.
  test.each(WRITES)("%s that is killed before its audit entry writes nothing", async (_, write) => {
    const pool = pooled({ connectionLimit: 1 });
    const store = mysqlStore(pool, { table });
    const key = await inserted(store, fullKey());
    const id = await idOf(pool);
    const blocker = await host.getConnection();
    await blocker.query("start transaction");
    await blocker.query(
      `insert into ${table}_audit (id, at, action, key_id, owner_id, details) values (?, 1, 'used', 'k', 'o', '{}')`,
      [audit(key).id],
    );
    const failure = write(store, key).catch((error: unknown) => error);
    await waits(id, "insert");
    await host.query(`kill ${id}`);
    expect(await failure).toBeInstanceOf(StoreError);
    await blocker.query("rollback");
    blocker.release();
    expect(await store.findById(key.id)).toEqual(key);
    expect(await everyEntry(store, { keyId: key.id })).toHaveLength(1);
    expect(await write(store, key)).toBe(true);
  });

  test("a connection that breaks between two statements writes nothing, and ends nothing else", async () => {
    for (const [index, statement] of ["start transaction", "update", "insert", "commit"].entries()) {
      const pool = pooled({ connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store);
      const killing = mysqlStore(
        before(pool, statement, async () => {
          await host.query(`kill ${id}`);
          // Until the client has noticed.
          await new Promise((resolve) => setTimeout(resolve, 50));
        }),
        { table },
      );
      const id = await idOf(pool);
      await expect(killing.update(key.id, 1, { name: `${index}` }, sampleAudit(key))).rejects.toThrow(
        StoreError,
      );
      expect(await store.findById(key.id)).toEqual(key);
      expect(await everyEntry(store, { keyId: key.id })).toHaveLength(1);
      expect(await store.update(key.id, 1, { name: `${index}` }, sampleAudit(key))).toBe(true);
    }
  });

  test("a connection that tells twice that it is broken ends nothing else", async () => {
    const pool = pooled({ connectionLimit: 1 });
    const store = mysqlStore(pool, { table });
    const key = await inserted(store);
    const breaking = before(pool, "update", async (connection) => {
      setImmediate(() => {
        for (const what of ["once", "twice"]) connection.connection.emit("error", new Error(what));
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      throw new Error("broken");
    });
    await expect(
      mysqlStore(breaking, { table }).update(key.id, 1, { name: "x" }, sampleAudit(key)),
    ).rejects.toThrow(StoreError);
    expect(await store.findById(key.id)).toEqual(key);
  });

  describe("when the answer to a commit is lost", () => {
    let wire: Wire;
    beforeAll(async () => {
      wire = await wireTo(url, 3306);
    });
    afterAll(() => wire.close());

    test.each(WRITES)("%s is an error and not a false, though it was made", async (_, write) => {
      const behind = new URL(url);
      behind.host = `127.0.0.1:${wire.port}`;
      const pool = poolAt(behind.href, { connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store, fullKey());
      wire.cutAfter("\x03commit"); // the byte of a statement that goes as text, and the statement
      await expect(write(store, key)).rejects.toThrow(StoreError);
      await expect.poll(() => everyEntry(store, { keyId: key.id }), { timeout: 60_000 }).toHaveLength(2);
      expect(await store.findById(key.id)).not.toEqual(key);
      await pool.end();
    });
  });

  test("a pool of one connection serves on after every kind of failure", async () => {
    const pool = pooled({ connectionLimit: 1, queueLimit: 1 });
    const store = mysqlStore(pool, { table });
    const late = mysqlStore(pool, { table: `${table}_none` });
    const key = await inserted(store);
    const failures = [
      () => store.insert(key, sampleAudit(key)),
      () => store.replace(key.id, 1, {}, sampleKey({ hash: key.hash }), sampleAudit(key)),
      () => store.update(key.id, 1, { expiresAt: new Date(Number.NaN) }, sampleAudit(key)),
      () => store.list({ now: at(0), limit: 5, cursor: "nonsense" }),
      () => late.findByHash(key.hash),
      () => late.insert(key, sampleAudit(key)),
    ];
    const id = await idOf(pool);
    for (const fail of failures) {
      await expect(fail()).rejects.toThrow();
      expect(await store.findById(key.id)).toEqual(key);
    }
    expect(await store.update(key.id, 9, { name: "x" }, sampleAudit(key))).toBe(false);
    expect(await store.findById(key.id)).toEqual(key);
    // A change that was refused and rolled back is no reason to connect anew.
    await store.insert(key, sampleAudit(key)).catch(() => {});
    const after = await idOf(pool);
    await store.insert(key, sampleAudit(key)).catch(() => {});
    expect(await idOf(pool)).toBe(after);
    expect(after).toBeGreaterThanOrEqual(id);
  });

  test("a server that is not there is a StoreError, each time", async () => {
    const pool = poolAt("mysql://127.0.0.1:1/none", { connectionLimit: 1 });
    const store = mysqlStore(pool);
    for (let i = 0; i < 3; i++) {
      await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("MySQL failed (ECONNREFUSED)");
      await expect(store.migrate()).rejects.toThrow(StoreError);
    }
    await pool.end();
  });

  describe("migrations", () => {
    test("run once when four pools begin them at once, again and again", async () => {
      for (let round = 0; round < 3; round++) {
        const name = `${table}_${round}`;
        const stores = Array.from({ length: 4 }, () =>
          mysqlStore(pooled({ connectionLimit: 2 }), { table: name }),
        );
        await Promise.all(stores.flatMap((store) => [store.migrate(), store.migrate()]));
        expect((await host.query(`select version from ${name}_migrations`))[0]).toEqual([{ version: 1 }]);
        await host.query(droppingTables(name));
      }
    });

    test("go on from wherever a process has ended", async () => {
      const name = `${table}_ended`;
      for (let steps = 0; ; steps++) {
        let count = 0;
        const ending = before(pooled({ connectionLimit: 1 }), /create|insert/, async () => {
          if (count++ === steps) throw new Error("the process has ended");
        });
        const failure = await mysqlStore(ending, { table: name })
          .migrate()
          .catch((error: StoreError) => error);
        if (failure === undefined) {
          expect(steps).toBeGreaterThan(10);
          break;
        }
        expect((failure.driverError as Error).message).toBe("the process has ended");
        const store = mysqlStore(host, { table: name });
        await store.migrate();
        const [indexes] = await host.query(
          "select distinct index_name from information_schema.statistics where table_schema = database() and table_name in (?, ?)",
          [name, `${name}_audit`],
        );
        expect(indexes).toHaveLength(9);
        const key = await inserted(store);
        await expect(store.insert({ ...key, id: "other" }, sampleAudit(key))).rejects.toThrow("exists");
        await host.query(droppingTables(name));
      }
      await host.query(droppingTables(name));
    });

    test("wait for the one that runs, and give its lock back", async () => {
      const name = `${table}_locked`;
      const holder = await host.getConnection();
      await holder.query("select get_lock(?, 0)", [`keybearer ${name}`]);
      const pool = pooled({ connectionLimit: 1 });
      let done = false;
      const migrating = mysqlStore(pool, { table: name })
        .migrate()
        .then(() => {
          done = true;
        });
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(done).toBe(false);
      await holder.query("do release_lock(?)", [`keybearer ${name}`]);
      await migrating;
      const [free] = await holder.query("select is_free_lock(?) as free", [`keybearer ${name}`]);
      expect(free).toEqual([{ free: 1 }]);
      holder.release();
      await host.query(droppingTables(name));
    });
  });

  describe("a connection that the host left in a state of its own", () => {
    test("with an open transaction is refused for a change and closed, and the next one serves", async () => {
      const pool = pooled({ connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store);
      await pool.query("start transaction");
      await pool.query(`update ${table} set name = 'half' where id = ?`, [key.id]);
      await expect(store.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).rejects.toThrow(
        "open transaction",
      );
      expect(await store.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
      expect(await store.findById(key.id)).toEqual({ ...key, version: 2, revokedAt: at(1) });
    });

    test("with autocommit off reads no key, and commits changes", async () => {
      const pool = pooled({ connectionLimit: 2 }, "set autocommit = 0");
      const store = mysqlStore(pool, { table });
      const key = await inserted(mysqlStore(host, { table }));
      await expect(store.findByHash(key.hash)).rejects.toThrow("autocommit off");
      await expect(store.findManyByHash([key.hash, hashSecret("a")])).rejects.toThrow("autocommit off");
      const fresh = mysqlStore(pooled({ connectionLimit: 1 }, "set autocommit = 0"), { table });
      expect(await fresh.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
      await fresh.touch(new Map([[key.id, at(9)]]));
      expect(await mysqlStore(host, { table }).findById(key.id)).toMatchObject({
        revokedAt: at(1),
        lastUsedAt: at(9),
      });
    });
  });

  test("a writer whom the server has undone for another one tries again", async () => {
    const pool = pooled({ connectionLimit: 1 });
    const store = mysqlStore(pool, { table });
    const [a, b] = [await inserted(store), await inserted(store)];
    const id = await idOf(pool);
    const blocker = await host.getConnection();
    await blocker.query("start transaction");
    // Of two that wait for each other the server undoes the one that has changed less.
    await blocker.query(`insert into ${table}_audit (id, at, action, key_id, owner_id, details) values ?`, [
      Array.from({ length: 100 }, (_, i) => [`blocker ${a.id} ${i}`, 1, "used", "blocker", "o", "{}"]),
    ]);
    await blocker.query(`update ${table} set name = 'host' where id = ?`, [b.id]);
    const touching = store.touch(
      new Map([
        [b.id, at(2)],
        [a.id, at(1)],
      ]),
    );
    await waits(id, "update");
    await blocker.query(`update ${table} set name = 'host' where id = ?`, [a.id]);
    await blocker.query("commit");
    blocker.release();
    await touching;
    expect(await store.findById(a.id)).toMatchObject({ name: "host", lastUsedAt: at(1) });
    expect(await store.findById(b.id)).toMatchObject({ name: "host", lastUsedAt: at(2) });
  });

  test("a writer that has waited too long for a lock tries again, for some seconds", async () => {
    const pool = pooled({ connectionLimit: 1 }, "set innodb_lock_wait_timeout = 1");
    const store = mysqlStore(pool, { table });
    const key = await inserted(store);
    const blocker = await host.getConnection();
    const hold = async () => {
      await blocker.query("start transaction");
      await blocker.query(`update ${table} set name = 'host' where id = ?`, [key.id]);
    };
    await hold();
    const updating = store.update(key.id, 1, { name: "store" }, sampleAudit(key));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await blocker.query("commit");
    expect(await updating).toBe(true);
    await hold();
    const failure = store.update(key.id, 2, { name: "again" }, sampleAudit(key));
    await expect(failure).rejects.toThrow("MySQL failed (ER_LOCK_WAIT_TIMEOUT)");
    await blocker.query("rollback");
    blocker.release();
    expect(await store.findById(key.id)).toMatchObject({ name: "store", version: 2 });
  });

  test("lookups that pile up behind a pool that hangs are refused, and no more than 1,000 wait", async () => {
    let asked = 0;
    const hanging = {
      execute() {},
      getConnection: () => {
        asked += 1;
        return new Promise<never>(() => {});
      },
    };
    const store = mysqlStore(hanging);
    for (let i = 0; i < 1_000; i++) void store.findManyByHash([hashSecret(`${i}`), hashSecret("b")]);
    await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("wait for an answer");
    expect(asked).toBe(1_000);
  });

  describe.each(["serializable", "repeatable read"])("on a host whose transactions are %s", (isolation) => {
    const create = async () => {
      const store = mysqlStore(pooled({}, `set session transaction isolation level ${isolation}`), { table });
      // One table for all: to make another takes longer than a case does.
      await host.query(`delete from ${table}`);
      await host.query(`delete from ${table}_audit`);
      expect(await everyKey(store)).toEqual([]);
      return { store };
    };
    for (const { name, run } of keyStoreContract(create)) {
      if (/concurrent|among|replac|removal/.test(name)) test(name, run);
    }
  });
});

/** The pool, and what happens before each statement of a kind. */
function before(
  pool: Pool,
  kind: string | RegExp,
  happens: (connection: PoolConnection) => Promise<void>,
): MysqlPool {
  const wrapped = {
    execute() {},
    getConnection: async () => {
      const connection = await pool.getConnection();
      const first = async ({ sql }: MysqlQuery) => {
        if (sql.search(kind) === 0) await happens(connection);
      };
      return {
        query: async (query: MysqlQuery) => {
          await first(query);
          return connection.query(query);
        },
        execute: async (query: MysqlQuery, values: never[]) => {
          await first(query);
          return connection.execute(query, values);
        },
        release: () => connection.release(),
        destroy: () => connection.destroy(),
        on: (event: "error", listener: (error: Error) => void) => connection.on(event, listener),
        removeListener: (event: "error", listener: (error: Error) => void) =>
          connection.removeListener(event, listener),
      };
    },
  };
  return wrapped;
}
