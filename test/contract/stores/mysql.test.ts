import { createPool as createCallbackPool, createConnection } from "mysql2";
import type { Pool, PoolOptions } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createVerifier, defineScopes, hashSecret, type KeyHash, keyFormat } from "../../../src/index.js";
import { type MysqlPool, type MysqlQuery, type MysqlValue, mysqlStore } from "../../../src/stores/mysql.js";
import { at, everyEntry, fullKey, NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { droppingTables, freshTable, poolAt } from "./backends/mysql.js";
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
      await pool.query(`${droppingTables(table)}, ${table}_theirs, ${table}_theirs_migrations`);
      await pool.end();
    },
  };
});

describe.skipIf(skip)("mysqlStore over mysql2, its statements", () => {
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
    await pool.query(droppingTables(table));
    await pool.end();
  });

  test.each<[string, string, (store: ReturnType<typeof mysqlStore>) => unknown]>([
    ["a lookup", `${table}_hash`, (s) => s.findByHash("hash_5" as KeyHash)],
    [
      "lookups of one tick",
      `${table}_hash`,
      (s) => s.findManyByHash(["hash_5", "hash_6", "no"] as KeyHash[]),
    ],
    ["a key", "PRIMARY", (s) => s.findById("key_5")],
    ["an owner's keys", `${table}_owner`, (s) => s.list({ ownerId: "owner_5", now: NOON, limit: 10 })],
    ["all keys", `${table}_created`, (s) => s.list({ now: NOON, limit: 10 })],
    [
      "keys that are dead",
      `${table}_revoked`,
      (s) => s.list({ endedBefore: at(-NOON.getTime() + 200), now: NOON, limit: 10 }),
    ],
    [
      "keys that are dead",
      `${table}_expires`,
      (s) => s.list({ endedBefore: at(-NOON.getTime() + 200), now: NOON, limit: 10 }),
    ],
    ["the trail of a key", `${table}_audit_key`, (s) => s.auditTrail({ keyId: "key_5", limit: 10 })],
    ["the trail of an owner", `${table}_audit_owner`, (s) => s.auditTrail({ ownerId: "owner_5", limit: 10 })],
    ["the trail", `${table}_audit_at`, (s) => s.auditTrail({ limit: 10 })],
    ["touches", "PRIMARY", (s) => s.touch(new Map([["key_5", NOON]]))],
  ])("find %s by the index %s", async (_, index, ask) => {
    const { recorded, statements } = recording(pool);
    await ask(mysqlStore(recorded, { table }));
    const [{ sql, values }] = statements.filter((each) => each.values.length > 0) as [Statement];
    const [rows] = await pool.execute(`explain ${sql}`, values);
    const [{ key, type }] = rows as { key: string; type: string }[] as [{ key: string; type: string }];
    expect(key.split(",")).toContain(index);
    expect(type).not.toBe("ALL");
  });

  test("asks once for all lookups of one turn of the event loop, in few different statements", async () => {
    const { recorded, statements } = recording(pool);
    const scopes = defineScopes({ "vehicles:read": {} });
    const format = keyFormat({ prefix: "ezt", environments: ["live"] });
    const verifier = createVerifier({
      store: mysqlStore(recorded, { table }),
      scopes,
      format,
      storeTimeout: "30000ms",
    });
    for (const many of [40, 33, 64]) {
      const answers = await Promise.all(
        Array.from({ length: many }, () =>
          verifier.verify({ headers: { authorization: `Bearer ${format.generate("live")}` } }),
        ),
      );
      expect(answers.some(({ ok }) => ok)).toBe(false);
    }
    expect(statements).toHaveLength(3);
    expect(new Set(statements.map(({ sql }) => sql)).size).toBe(1);
    expect(statements[0]?.sql).not.toContain("*");
  });

  test("take no text of theirs into a statement that the server does not prepare", async () => {
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
      new Set(["set transaction isolation level read committed", "start transaction", "commit"]),
    );
  });
});

describe.skipIf(skip)("mysqlStore over mysql2, however the pool is set", () => {
  const table = freshTable();
  let host: Pool;

  beforeAll(async () => {
    host = poolAt(url);
    await mysqlStore(host, { table }).migrate();
  });

  afterAll(async () => {
    await host.query(droppingTables(table));
    await host.end();
  });

  const text = "\ufeff Ünï ' \" \\ \\' ` % \t\r\n 😀👩‍👩‍👧 ";

  const SETTINGS: [what: string, options: PoolOptions][] = [
    ["as by default", {}],
    ["charset latin1", { charset: "latin1" }],
    ["charset utf8mb3", { charset: "utf8_general_ci" }],
    ["rows as arrays", { rowsAsArray: true }],
    ["nested tables", { nestTables: true }],
    ["big numbers as texts", { supportBigNumbers: true, bigNumberStrings: true }],
    ["named placeholders", { namedPlaceholders: true }],
    ["a typeCast that makes texts of all", { typeCast: (field) => field.string() }],
    ["no typeCast", { typeCast: false }],
    ["changed rows counted, not found ones", { flags: ["-FOUND_ROWS"] }],
  ];

  test.each(SETTINGS)("keeps all as it is, and counts right: %s", async (_, options) => {
    const pool = poolAt(url, options);
    await keepsAll(pool);
    await pool.end();
  });

  test.each([
    "",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT",
    "PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE,HIGH_NOT_PRECEDENCE",
    "TRADITIONAL",
  ])("keeps all as it is, and counts right: sql_mode '%s'", async (mode) => {
    const pool = poolAt(url);
    pool.pool.on("connection", (connection) => connection.query(`set sql_mode = '${mode}'`));
    await keepsAll(pool);
    await pool.end();
  });

  async function keepsAll(pool: Pool): Promise<void> {
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
    // Nothing but the version is another.
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

  test("takes the pool of mysql2 itself, whose methods take callbacks", async () => {
    const pool = createCallbackPool(url);
    const store = mysqlStore(pool, { table });
    const key = sampleKey();
    await store.insert(key, sampleAudit(key));
    expect(await store.findByHash(key.hash)).toEqual(key);
    await new Promise((resolve) => pool.end(resolve));
  });
});

describe.skipIf(skip)("mysqlStore over mysql2, where cut texts are no error", () => {
  const create = async () => {
    const table = freshTable();
    const pool = poolAt(url);
    pool.pool.on("connection", (connection) => connection.query("set sql_mode = 'NO_BACKSLASH_ESCAPES'"));
    const store = mysqlStore(pool, { table });
    await store.migrate();
    return {
      store,
      close: async () => {
        await pool.query(droppingTables(table));
        await pool.end();
      },
    };
  };
  for (const { name, run } of keyStoreContract(create)) {
    if (/quotes|exactly|invalid date|exists is refused/.test(name)) test(name, run);
  }
});

describe("mysqlStore", () => {
  const pool: MysqlPool & { execute(): void } = {
    getConnection: () => Promise.reject(new Error("not connected")),
    execute() {},
  };

  test("refuses what is no pool", () => {
    for (const wrong of [undefined, null, {}, "mysql://", () => {}, { execute() {} }, { promise() {} }]) {
      expect(() => mysqlStore(wrong as never)).toThrow(TypeError);
    }
  });

  test.skipIf(skip)("refuses a single connection", async () => {
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

  test("is told when the pool is not one of mysql2", async () => {
    const answering = (answer: unknown) =>
      mysqlStore({
        ...pool,
        getConnection: async () =>
          ({
            query: async () => answer,
            execute: async () => answer,
            on() {},
            removeListener() {},
            release() {},
            destroy() {},
          }) as never,
      });
    for (const answer of [[{ id: "a" }], [], [undefined], [7]]) {
      await expect(answering(answer).findById("a")).rejects.toThrow("did not answer as one of mysql2 does");
    }
  });

  test.each(["", "a b", "a`b", "a'b", "1a", "a;b", "a--", "é", "a.b", "pg_keys", "a".repeat(41), 7, null])(
    "refuses the table name %j",
    (table) => {
      expect(() => mysqlStore(pool, { table: table as string })).toThrow('"table"');
    },
  );

  test("refuses options that nobody reads", () => {
    expect(() => mysqlStore(pool, { tabel: "keys" } as never)).toThrow('"tabel"');
    expect(() => mysqlStore(pool, { prepare: true } as never)).toThrow('"prepare"');
    expect(() => mysqlStore(pool, null as never)).toThrow(TypeError);
  });

  test("has every method of a store, and none can be replaced", () => {
    const store = mysqlStore(pool);
    expect(Object.isFrozen(store)).toBe(true);
    for (const method of ["findManyByHash", "rehash", "remove", "appendAudit", "migrate"]) {
      expect(store).toHaveProperty(method);
    }
  });

  test("a hash that no key has is looked for as it is", async () => {
    await expect(mysqlStore(pool).findByHash(hashSecret("a"))).rejects.toThrow("MySQL failed");
  });
});

interface Statement {
  readonly sql: string;
  readonly values: MysqlValue[];
  readonly prepared: boolean;
}

/** The pool, with a list of the statements that go through it. */
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
