import { createPool as createCallbackPool, createConnection } from "mysql2";
import type { Pool, PoolOptions } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createVerifier, defineScopes, hashSecret, type KeyHash, keyFormat } from "../../../src/index.js";
import { type MysqlPool, type MysqlQuery, type MysqlValue, mysqlStore } from "../../../src/stores/mysql.js";
import { at, everyEntry, fullKey, NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { dropTablesSql, freshTable, poolAt } from "./backends/mysql.js";
import { serverStoreCases } from "./postgres-mysql-cases.js";

const { mysql: url = "" } = inject("servers");
const skip = url === "";

serverStoreCases("mysqlStore over mysql2", skip, async () => {
  const table = freshTable();
  const pool = poolAt(url);
  const store = mysqlStore(pool, { table });
  await store.migrate();
  return {
    store,
    table,
    sql: async (text) => (await pool.query(text))[0],
    other: (name) => mysqlStore(pool, { table: name }),
    close: async () => {
      await pool.query(`${dropTablesSql(table)}, ${table}_theirs, ${table}_theirs_migrations`);
      await pool.end();
    },
  };
});

describe.skipIf(skip)("mysqlStore over mysql2: statements", () => {
  const table = freshTable();
  let pool: Pool;

  beforeAll(async () => {
    pool = poolAt(url);
    await mysqlStore(pool, { table }).migrate();
    const numbers = Array.from({ length: 5_000 }, (_, i) => i + 1);
    await pool.query(
      `insert into ${table} (id, hash, version, owner_id, start, scopes, created_at, updated_at, expires_at, revoked_at) values ?`,
      [
        numbers.map((i) => [
          `key_${i}`,
          `hash_${i}`,
          1,
          `owner_${i % 100}`,
          "s",
          "[]",
          i * 1_000,
          1,
          i % 100 === 0 ? i : null,
          i % 70 === 0 ? i : null,
        ]),
      ],
    );
    await pool.query(`insert into ${table}_audit (id, at, action, key_id, owner_id, details) values ?`, [
      numbers.map((i) => [`audit_${i}`, i, "used", `key_${i % 1_000}`, `owner_${i % 100}`, "{}"]),
    ]);
    await pool.query(`analyze table ${table}, ${table}_audit`);
  });

  afterAll(async () => {
    await pool.query(dropTablesSql(table));
    await pool.end();
  });

  it.each<[string, string, (store: ReturnType<typeof mysqlStore>) => unknown]>([
    ["a lookup", `${table}_hash`, (s) => s.findByHash("hash_5" as KeyHash)],
    ["a batch of lookups", `${table}_hash`, (s) => s.findManyByHash(["hash_5", "hash_6", "no"] as KeyHash[])],
    ["a key", "PRIMARY", (s) => s.findById("key_5")],
    ["an owner's keys", `${table}_owner`, (s) => s.list({ ownerId: "owner_5", now: NOON, limit: 10 })],
    ["all keys", `${table}_created`, (s) => s.list({ now: NOON, limit: 10 })],
    [
      "keys that have ended",
      `${table}_revoked`,
      (s) => s.list({ endedBefore: at(-NOON.getTime() + 200), now: NOON, limit: 10 }),
    ],
    [
      "keys that have ended",
      `${table}_expires`,
      (s) => s.list({ endedBefore: at(-NOON.getTime() + 200), now: NOON, limit: 10 }),
    ],
    ["the trail of a key", `${table}_audit_key`, (s) => s.auditTrail({ keyId: "key_5", limit: 10 })],
    ["the trail of an owner", `${table}_audit_owner`, (s) => s.auditTrail({ ownerId: "owner_5", limit: 10 })],
    ["the trail", `${table}_audit_at`, (s) => s.auditTrail({ limit: 10 })],
    ["touches", "PRIMARY", (s) => s.touch(new Map([["key_5", NOON]]))],
  ])("finds %s by the index %s", async (_, index, query) => {
    const { recorded, statements } = recording(pool);
    await query(mysqlStore(recorded, { table }));
    const [{ sql, values }] = statements.filter((each) => each.values.length > 0) as [Statement];
    const [rows] = await pool.execute(`explain ${sql}`, values);
    const [{ key, type }] = rows as { key: string; type: string }[] as [{ key: string; type: string }];
    expect(key.split(",")).toContain(index);
    expect(type).not.toBe("ALL");
  });

  it("sends the first lookup at once, those that wait in batches, and few different statements", async () => {
    const { recorded, statements } = recording(pool);
    const scopes = defineScopes({ "vehicles:read": {} });
    const format = keyFormat({ prefix: "ezt", environments: ["live"] });
    const verifier = createVerifier({
      store: mysqlStore(recorded, { table }),
      scopes,
      format,
      storeTimeout: "30s",
    });
    for (const many of [40, 33, 64]) {
      const results = await Promise.all(
        Array.from({ length: many }, () =>
          verifier.verify({ headers: { authorization: `Bearer ${format.generate("live")}` } }),
        ),
      );
      expect(results.some(({ ok }) => ok)).toBe(false);
    }
    const sizes = statements.map(({ values }) => values.length);
    expect(sizes.sort((a, b) => a - b)).toEqual([1, 1, 1, 8, 32, 32, 32, 32]);
    expect(new Set(statements.map(({ sql }) => sql)).size).toBe(3);
    expect(statements[0]?.sql).not.toContain("*");
  });

  it("prepares every statement that has parameters", async () => {
    const { recorded, statements } = recording(pool);
    const store = mysqlStore(recorded, { table });
    const key = fullKey();
    await store.insert(key, sampleAudit(key));
    await store.update(key.id, 7, { name: "x" }, sampleAudit(key));
    await store.list({ ownerId: key.ownerId, now: NOON, limit: 5 });
    await store.appendAudit([sampleAudit(key)]);
    await store.touch(new Map([[key.id, at(99)]]));
    const unprepared = statements.filter(({ prepared }) => !prepared).map(({ sql }) => sql);
    expect(new Set(unprepared)).toEqual(
      new Set([
        "set @keybearer_wait_timeout = @@session.wait_timeout, session wait_timeout = least(@@session.wait_timeout, 5)",
        "set session wait_timeout = @keybearer_wait_timeout",
        "set transaction isolation level read committed",
        "start transaction",
        "commit",
      ]),
    );
  });
});

describe.skipIf(skip)("mysqlStore over mysql2: options of the pool", () => {
  const table = freshTable();
  let admin: Pool;

  beforeAll(async () => {
    admin = poolAt(url);
    await mysqlStore(admin, { table }).migrate();
  });

  afterAll(async () => {
    await admin.query(dropTablesSql(table));
    await admin.end();
  });

  const text = "\ufeff Ünï ' \" \\ \\' ` % \t\r\n 😀👩‍👩‍👧 ";

  const SETTINGS: [what: string, options: PoolOptions][] = [
    ["defaults", {}],
    ["charset latin1", { charset: "latin1" }],
    ["charset utf8mb3", { charset: "utf8_general_ci" }],
    ["rows as arrays", { rowsAsArray: true }],
    ["nested tables", { nestTables: true }],
    ["big numbers as strings", { supportBigNumbers: true, bigNumberStrings: true }],
    ["named placeholders", { namedPlaceholders: true }],
    ["a typeCast that returns strings", { typeCast: (field) => field.string() }],
    ["no typeCast", { typeCast: false }],
    ["counting changed rows instead of found rows", { flags: ["-FOUND_ROWS"] }],
  ];

  it.each(SETTINGS)("stores values unchanged and counts changed rows: %s", async (_, options) => {
    const pool = poolAt(url, options);
    await checkRoundTrip(pool);
    await pool.end();
  });

  it.each([
    "",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT",
    "PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE,HIGH_NOT_PRECEDENCE",
    "TRADITIONAL",
  ])("stores values unchanged and counts changed rows: sql_mode '%s'", async (mode) => {
    const pool = poolAt(url);
    pool.pool.on("connection", (connection) => connection.query(`set sql_mode = '${mode}'`));
    await checkRoundTrip(pool);
    await pool.end();
  });

  async function checkRoundTrip(pool: Pool): Promise<void> {
    const store = mysqlStore(pool, { table });
    const key = fullKey({
      id: `id ${text} ${freshTable()}`,
      name: text,
      ownerId: text,
      scopes: [text],
      metadata: { [text]: [text, 0.1, 1e21, null] },
      revokedReason: text,
      expiresAt: new Date("9999-12-31T23:59:59.999Z"),
    });
    const entry = sampleAudit(key, { id: `audit ${key.id}`, actor: text, details: { text } });
    await store.insert(key, entry);
    expect(await store.findByHash(key.hash)).toEqual(key);
    expect((await store.list({ ownerId: text, now: NOON, limit: 1_000 })).items).toContainEqual(key);
    expect(await everyEntry(store, { keyId: key.id })).toEqual([entry]);
    // Only the version changes.
    expect(await store.update(key.id, 7, { name: text, updatedAt: key.updatedAt }, sampleAudit(key))).toBe(
      true,
    );
    expect(await store.update(key.id, 7, { name: text, updatedAt: key.updatedAt }, sampleAudit(key))).toBe(
      false,
    );
    await store.appendAudit([entry, entry]);
    await store.touch(new Map([[key.id, key.lastUsedAt as Date]]));
    expect(await everyEntry(store, { keyId: key.id })).toHaveLength(2);
    expect(await store.findById(`${key.id} `)).toBeUndefined();
    expect(await store.findById(key.id.toUpperCase())).toBeUndefined();
    expect(await store.findById(key.id)).toEqual({ ...key, version: 8 });
    expect(await store.remove(key.id, 8, sampleAudit(key))).toBe(true);
    expect(await store.remove(key.id, 8, sampleAudit(key))).toBe(false);
  }

  it("accepts a callback pool of mysql2", async () => {
    const pool = createCallbackPool(url);
    const store = mysqlStore(pool, { table });
    const key = sampleKey();
    await store.insert(key, sampleAudit(key));
    expect(await store.findByHash(key.hash)).toEqual(key);
    await new Promise((resolve) => pool.end(resolve));
  });
});

describe.skipIf(skip)("mysqlStore over mysql2: without strict mode", () => {
  const create = async () => {
    const table = freshTable();
    const pool = poolAt(url);
    pool.pool.on("connection", (connection) => connection.query("set sql_mode = 'NO_BACKSLASH_ESCAPES'"));
    const store = mysqlStore(pool, { table });
    await store.migrate();
    return {
      store,
      close: async () => {
        await pool.query(dropTablesSql(table));
        await pool.end();
      },
    };
  };
  for (const { name, run } of keyStoreContract(create)) {
    if (/quotes|exact|invalid date|exists,/.test(name)) it(name, run);
  }
});

describe("mysqlStore", () => {
  const pool: MysqlPool & { execute(): void } = {
    getConnection: () => Promise.reject(new Error("not connected")),
    execute() {},
  };

  it("rejects values that are not a pool", () => {
    for (const wrong of [undefined, null, {}, "mysql://", () => {}, { execute() {} }, { promise() {} }]) {
      expect(() => mysqlStore(wrong as never)).toThrow(TypeError);
    }
  });

  it.skipIf(skip)("rejects a single connection", async () => {
    const connection = createConnection(url);
    const real = poolAt(url);
    const pooled = await real.getConnection();
    for (const wrong of [connection, connection.promise(), pooled]) {
      expect(() => mysqlStore(wrong as never)).toThrow("not a single connection");
    }
    pooled.release();
    await real.end();
    await connection.promise().end();
  });

  it("throws if the pool does not return results of mysql2", async () => {
    const returning = (result: unknown) =>
      mysqlStore({
        ...pool,
        getConnection: async () =>
          ({
            query: async () => result,
            execute: async () => result,
            on() {},
            removeListener() {},
            release() {},
            destroy() {},
          }) as never,
      });
    for (const result of [[{ id: "a" }], [], [undefined], [7]]) {
      await expect(returning(result).findById("a")).rejects.toThrow("did not return a result of mysql2");
    }
  });

  it.each(["", "a b", "a`b", "a'b", "1a", "a;b", "a--", "é", "a.b", "pg_keys", "a".repeat(41), 7, null])(
    "rejects the table name %j",
    (table) => {
      expect(() => mysqlStore(pool, { table: table as string })).toThrow('"table"');
    },
  );

  it("rejects unknown options", () => {
    expect(() => mysqlStore(pool, { tabel: "keys" } as never)).toThrow('"tabel"');
    expect(() => mysqlStore(pool, { prepare: true } as never)).toThrow('"prepare"');
    expect(() => mysqlStore(pool, null as never)).toThrow(TypeError);
  });

  it("has every method of a store and is frozen", () => {
    const store = mysqlStore(pool);
    expect(Object.isFrozen(store)).toBe(true);
    for (const method of ["findManyByHash", "rehash", "remove", "appendAudit", "migrate"]) {
      expect(store).toHaveProperty(method);
    }
  });

  it("passes an unknown hash to the database", async () => {
    await expect(mysqlStore(pool).findByHash(hashSecret("a"))).rejects.toThrow("MySQL failed");
  });
});

interface Statement {
  readonly sql: string;
  readonly values: MysqlValue[];
  readonly prepared: boolean;
}

/** Wraps a pool and records its statements. */
function recording(pool: MysqlPool): { recorded: MysqlPool; statements: Statement[] } {
  const statements: Statement[] = [];
  const recorded = {
    execute() {},
    getConnection: async () => {
      const connection = await pool.getConnection();
      return {
        query: (query: MysqlQuery) => {
          statements.push({ sql: query.sql, values: [], prepared: false });
          return connection.query(query);
        },
        execute: (query: MysqlQuery, values: MysqlValue[]) => {
          statements.push({ sql: query.sql, values, prepared: true });
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
  return { recorded, statements };
}
