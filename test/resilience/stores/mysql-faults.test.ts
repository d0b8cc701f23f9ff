import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Pool, PoolConnection, PoolOptions } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from "vitest";
import { hashSecret, KeyConflictError, type KeyRecord, StoreError } from "../../../src/index.js";
import {
  type MysqlKeyStore,
  type MysqlPool,
  type MysqlQuery,
  mysqlStore,
} from "../../../src/stores/mysql.js";
import { at, everyEntry, everyKey, fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { dropTablesSql, freshTable, poolAt } from "../../contract/stores/backends/mysql.js";
import { startTcpProxy, type TcpProxy } from "../../contract/stores/tcp-proxy.js";

const { mysql: url = "" } = inject("servers");
const FROZEN_CHILD = fileURLToPath(new URL("mysql-frozen-child.ts", import.meta.url));

describe.skipIf(url === "")("mysqlStore over mysql2: faults", () => {
  const table = freshTable();
  /** For direct access to the tables. */
  let admin: Pool;

  /** Creates a pool for one test, whose connections first run the `session` statement. */
  const pooled = (options: PoolOptions = {}, session?: string): Pool => {
    const pool = poolAt(url, options);
    onTestFinished(() => pool.end());
    if (session !== undefined) pool.pool.on("connection", (connection) => connection.query(session));
    return pool;
  };

  beforeAll(async () => {
    admin = poolAt(url);
    await mysqlStore(admin, { table }).migrate();
  });

  afterAll(async () => {
    await admin.query(dropTablesSql(table));
    await admin.end();
  });

  const inserted = async (store: MysqlKeyStore, key: KeyRecord = sampleKey()): Promise<KeyRecord> => {
    await store.insert(key, sampleAudit(key));
    return key;
  };

  /** The id of the only connection of a pool. */
  const idOf = async (pool: Pool): Promise<number> => {
    const [rows] = await pool.query("select connection_id() as id");
    return (rows as { id: number }[])[0]?.id as number;
  };

  /** Waits until a statement of this kind on the connection waits for a row lock. */
  const untilLocked = async (id: number, statement: string): Promise<void> => {
    for (;;) {
      const [rows] = await admin.query(
        "select trx_id from information_schema.innodb_trx where trx_mysql_thread_id = ? and trx_state = 'LOCK WAIT' and trx_query like ?",
        [id, `${statement}%`],
      );
      if ((rows as unknown[]).length > 0) return;
      // InnoDB caches this table and refreshes it after 100 ms without a query.
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

  // The key was changed in the same transaction before, and is not committed yet.
  it.each(WRITES)(
    "%s writes nothing when its connection is killed before the audit entry",
    async (_, write) => {
      const pool = pooled({ connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store, fullKey());
      const id = await idOf(pool);
      const blocker = await admin.getConnection();
      await blocker.query("start transaction");
      await blocker.query(
        `insert into ${table}_audit (id, at, action, key_id, owner_id, details) values (?, 1, 'used', 'k', 'o', '{}')`,
        [audit(key).id],
      );
      const failure = write(store, key).catch((error: unknown) => error);
      await untilLocked(id, "insert");
      await admin.query(`kill ${id}`);
      expect(await failure).toBeInstanceOf(StoreError);
      await blocker.query("rollback");
      blocker.release();
      expect(await store.findById(key.id)).toEqual(key);
      expect(await everyEntry(store, { keyId: key.id })).toHaveLength(1);
      expect(await write(store, key)).toBe(true);
    },
  );

  it("writes nothing when a connection breaks between two statements, and emits no uncaught error", async () => {
    for (const [index, statement] of ["start transaction", "update", "insert", "commit"].entries()) {
      const pool = pooled({ connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store);
      const killing = mysqlStore(
        before(pool, statement, async () => {
          await admin.query(`kill ${id}`);
          // Gives the client time to notice.
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

  it("ignores a second error event of a broken connection", async () => {
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

  describe("when the response to a commit is lost", () => {
    let proxy: TcpProxy;
    beforeAll(async () => {
      proxy = await startTcpProxy(url, 3306);
    });
    afterAll(() => proxy.close());

    it.each(WRITES)("%s rejects instead of returning false, although it was committed", async (_, write) => {
      const proxied = new URL(url);
      proxied.host = `127.0.0.1:${proxy.port}`;
      const pool = poolAt(proxied.href, { connectionLimit: 1 });
      const store = mysqlStore(pool, { table });
      const key = await inserted(store, fullKey());
      proxy.dropResponseTo("\x03commit"); // COM_QUERY and its text
      await expect(write(store, key)).rejects.toThrow(StoreError);
      await expect.poll(() => everyEntry(store, { keyId: key.id }), { timeout: 60_000 }).toHaveLength(2);
      expect(await store.findById(key.id)).not.toEqual(key);
      await pool.end();
    });
  });

  it("keeps a pool of one connection usable after every kind of error", async () => {
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
    // A change that was rolled back does not close the connection.
    await store.insert(key, sampleAudit(key)).catch(() => {});
    const after = await idOf(pool);
    await store.insert(key, sampleAudit(key)).catch(() => {});
    expect(await idOf(pool)).toBe(after);
    expect(after).toBeGreaterThanOrEqual(id);
  });

  it("throws a StoreError on every call while the server is down", async () => {
    const pool = poolAt("mysql://127.0.0.1:1/none", { connectionLimit: 1 });
    const store = mysqlStore(pool);
    for (let i = 0; i < 3; i++) {
      await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("MySQL failed (Error ECONNREFUSED)");
      await expect(store.migrate()).rejects.toThrow(StoreError);
    }
    await pool.end();
  });

  describe("migrations", () => {
    it("run once when four pools start them at the same time", async () => {
      for (let round = 0; round < 3; round++) {
        const name = `${table}_${round}`;
        const stores = Array.from({ length: 4 }, () =>
          mysqlStore(pooled({ connectionLimit: 2 }), { table: name }),
        );
        await Promise.all(stores.flatMap((store) => [store.migrate(), store.migrate()]));
        expect((await admin.query(`select version from ${name}_migrations`))[0]).toEqual([
          { version: 1 },
          { version: 2 },
          { version: 3 },
          { version: 4 },
          { version: 5 },
        ]);
        await admin.query(dropTablesSql(name));
      }
    });

    it("continue after a process stopped at any statement", async () => {
      const name = `${table}_stopped`;
      for (let steps = 0; ; steps++) {
        let count = 0;
        const stopping = before(pooled({ connectionLimit: 1 }), /create|insert|alter/, async () => {
          if (count++ === steps) throw new Error("the process stopped");
        });
        const failure = await mysqlStore(stopping, { table: name })
          .migrate()
          .catch((error: StoreError) => error);
        if (failure === undefined) {
          expect(steps).toBeGreaterThan(20);
          break;
        }
        expect((failure.driverError as Error).message).toBe("the process stopped");
        const store = mysqlStore(admin, { table: name });
        await store.migrate();
        const [indexes] = await admin.query(
          "select distinct index_name from information_schema.statistics where table_schema = database() and table_name in (?, ?)",
          [name, `${name}_audit`],
        );
        expect(indexes).toHaveLength(13);
        const key = await inserted(store);
        await expect(store.insert({ ...key, id: "other" }, sampleAudit(key))).rejects.toThrow("exists");
        await admin.query(dropTablesSql(name));
      }
      await admin.query(dropTablesSql(name));
    });

    it("wait for a running one and release the lock", async () => {
      const name = `${table}_locked`;
      const holder = await admin.getConnection();
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
      await admin.query(dropTablesSql(name));
    });
  });

  describe("a connection with session state", () => {
    it("is closed if it has an open transaction; the change is rejected and the next one works", async () => {
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

    it("rejects lookups but commits changes with autocommit off", async () => {
      const pool = pooled({ connectionLimit: 2 }, "set autocommit = 0");
      const store = mysqlStore(pool, { table });
      const key = await inserted(mysqlStore(admin, { table }));
      await expect(store.findByHash(key.hash)).rejects.toThrow("autocommit off");
      await expect(store.findManyByHash([key.hash, hashSecret("a")])).rejects.toThrow("autocommit off");
      const fresh = mysqlStore(pooled({ connectionLimit: 1 }, "set autocommit = 0"), { table });
      expect(await fresh.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
      await fresh.touch(new Map([[key.id, at(9)]]));
      expect(await mysqlStore(admin, { table }).findById(key.id)).toMatchObject({
        revokedAt: at(1),
        lastUsedAt: at(9),
      });
    });
  });

  it("retries a write that the server rolled back in a deadlock", async () => {
    const pool = pooled({ connectionLimit: 1 });
    const store = mysqlStore(pool, { table });
    const [a, b] = [await inserted(store), await inserted(store)];
    const id = await idOf(pool);
    const blocker = await admin.getConnection();
    await blocker.query("start transaction");
    // The server rolls back the transaction that changed fewer rows.
    await blocker.query(`insert into ${table}_audit (id, at, action, key_id, owner_id, details) values ?`, [
      Array.from({ length: 100 }, (_, i) => [`blocker ${a.id} ${i}`, 1, "used", "blocker", "o", "{}"]),
    ]);
    await blocker.query(`update ${table} set name = 'other' where id = ?`, [b.id]);
    const touching = store.touch(
      new Map([
        [b.id, at(2)],
        [a.id, at(1)],
      ]),
    );
    await untilLocked(id, "update");
    await blocker.query(`update ${table} set name = 'other' where id = ?`, [a.id]);
    await blocker.query("commit");
    blocker.release();
    await touching;
    expect(await store.findById(a.id)).toMatchObject({ name: "other", lastUsedAt: at(1) });
    expect(await store.findById(b.id)).toMatchObject({ name: "other", lastUsedAt: at(2) });
  });

  it("retries a write for 5 seconds after a lock timeout", async () => {
    const pool = pooled({ connectionLimit: 1 }, "set innodb_lock_wait_timeout = 1");
    const store = mysqlStore(pool, { table });
    const key = await inserted(store);
    const blocker = await admin.getConnection();
    const hold = async () => {
      await blocker.query("start transaction");
      await blocker.query(`update ${table} set name = 'other' where id = ?`, [key.id]);
    };
    await hold();
    const updating = store.update(key.id, 1, { name: "store" }, sampleAudit(key));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await blocker.query("commit");
    expect(await updating).toBe(true);
    await hold();
    const failure = store.update(key.id, 2, { name: "again" }, sampleAudit(key));
    await expect(failure).rejects.toThrow("MySQL failed (Error ER_LOCK_WAIT_TIMEOUT)");
    await blocker.query("rollback");
    blocker.release();
    expect(await store.findById(key.id)).toMatchObject({ name: "store", version: 2 });
  });

  it("changes a key while another process is frozen before the commit of its change", async () => {
    const store = mysqlStore(pooled(), { table });
    const [frozen, other] = [await inserted(store), await inserted(store)];
    const child = spawn(
      process.execPath,
      ["--no-warnings", "--import", "tsx", FROZEN_CHILD, url, table, frozen.id],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toBe("frozen");
    // The frozen process has locked the position of changes.
    expect(await store.update(other.id, 1, { revokedAt: at(1) }, sampleAudit(other))).toBe(true);
    child.kill("SIGCONT");
    expect((await lines.next()).value).toBe("StoreError");
    expect(await store.findByHash(frozen.hash)).toEqual(frozen);
    expect(await store.update(frozen.id, 1, { revokedAt: at(1) }, sampleAudit(frozen))).toBe(true);
  });

  it("leaves the wait_timeout of a connection as it was, and closes the connection if it cannot", async () => {
    const pool = pooled({ connectionLimit: 1 }, "set session wait_timeout = 1234");
    const waitTimeout = async () => {
      const [rows] = await pool.query("select @@session.wait_timeout as seconds");
      return (rows as { seconds: number }[])[0]?.seconds;
    };
    const store = mysqlStore(pool, { table });
    const key = await inserted(store);
    await expect(store.insert(key, sampleAudit(key))).rejects.toThrow(KeyConflictError);
    expect(await waitTimeout()).toBe(1234);
    const failing = mysqlStore(
      before(pool, "set session wait_timeout", () => Promise.reject(new Error("lost"))),
      { table },
    );
    const id = await idOf(pool);
    expect(await failing.update(key.id, 1, { revokedAt: at(1) }, sampleAudit(key))).toBe(true);
    expect(await idOf(pool)).not.toBe(id);
  });

  it("rejects lookups while 1,000 are pending on a hanging pool", async () => {
    let connects = 0;
    const hanging = {
      execute() {},
      getConnection: () => {
        connects += 1;
        return new Promise<never>(() => {});
      },
    };
    const store = mysqlStore(hanging);
    for (let i = 0; i < 1_000; i++) void store.findManyByHash([hashSecret(`${i}`), hashSecret("b")]);
    await expect(store.findByHash(hashSecret("a"))).rejects.toThrow("are pending");
    expect(connects).toBe(1_000);
  });

  describe.each(["serializable", "repeatable read"])("with the default isolation level %s", (isolation) => {
    const create = async () => {
      const store = mysqlStore(pooled({}, `set session transaction isolation level ${isolation}`), { table });
      // One table for all cases: creating another takes longer than a case.
      await admin.query(`delete from ${table}`);
      await admin.query(`delete from ${table}_audit`);
      await admin.query(`delete from ${table}_claims`);
      await admin.query(`delete from ${table}_owners`);
      expect(await everyKey(store)).toEqual([]);
      return { store };
    };
    for (const { name, run } of keyStoreContract(create)) {
      if (/concurrent|during|replac|remov/.test(name)) it(name, run);
    }
  });
});

/** Wraps a pool and calls `callback` before each statement that matches. */
function before(
  pool: Pool,
  pattern: string | RegExp,
  callback: (connection: PoolConnection) => Promise<void>,
): MysqlPool {
  const wrapped = {
    execute() {},
    getConnection: async () => {
      const connection = await pool.getConnection();
      const first = async ({ sql }: MysqlQuery) => {
        if (sql.search(pattern) === 0) await callback(connection);
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
