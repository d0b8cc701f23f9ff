import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createVerifier, defineScopes, hashSecret, type KeyHash, keyFormat } from "../../../src/index.js";
import { type PostgresPool, postgresStore } from "../../../src/stores/postgres.js";
import { NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { dropTablesSql, freshTable, poolAt, sharedPGlite } from "./backends/postgres.js";
import { serverStoreCases } from "./postgres-mysql-cases.js";

const { postgres: url = "" } = inject("servers");
const skip = url === "";

serverStoreCases("postgresStore over pg", skip, async () => {
  const table = freshTable();
  const pool = poolAt(url);
  const store = postgresStore(pool, { table });
  await store.migrate();
  return {
    store,
    table,
    sql: async (text) => (await pool.query(text)).rows,
    other: (name) => postgresStore(pool, { table: name }),
    close: async () => {
      await pool.query(`${dropTablesSql(table)}, ${table}_theirs, ${table}_theirs_migrations`);
      await pool.end();
    },
  };
});

serverStoreCases("postgresStore over PGlite", false, async () => {
  const table = freshTable();
  const database = await sharedPGlite();
  const store = postgresStore(database, { table });
  await store.migrate();
  return {
    store,
    table,
    sql: async (text) => (await database.query(text)).rows,
    other: (name) => postgresStore(database, { table: name }),
    close: async () => {
      await database.exec(dropTablesSql(table));
    },
  };
});

describe("postgresStore over PGlite", () => {
  it("commits changes while a transaction is open on the instance", async () => {
    const table = freshTable();
    const database = await sharedPGlite();
    const store = postgresStore(database, { table });
    await store.migrate();
    const key = sampleKey();
    await store.insert(key, sampleAudit(key));
    await database.exec(`begin; update ${table} set name = 'half'`);
    expect(await store.update(key.id, 1, { revokedAt: NOON }, sampleAudit(key))).toBe(true);
    await database.exec("rollback");
    expect(await store.findById(key.id)).toMatchObject({ revokedAt: NOON, version: 2 });
    await database.exec(dropTablesSql(table));
  });

  it("runs beside other transactions of the instance", async () => {
    const table = freshTable();
    const database = await sharedPGlite();
    const store = postgresStore(database, { table });
    await store.migrate();
    const key = sampleKey();
    const [inserted] = await Promise.all([
      store.insert(key, sampleAudit(key)).then(() => store.findByHash(key.hash)),
      database.transaction(async (transaction) => {
        await transaction.query("select 1");
        await new Promise((resolve) => setTimeout(resolve, 20));
        await transaction.rollback();
      }),
    ]);
    expect(inserted).toEqual(key);
    await database.exec(dropTablesSql(table));
  });
});

describe.skipIf(skip)("postgresStore over pg: statements", () => {
  const table = freshTable();
  const pool = poolAt(url);
  const store = postgresStore(pool, { table });

  beforeAll(async () => {
    await store.migrate();
    await pool.query(
      `insert into ${table} (id, hash, version, owner_id, start, scopes, created_at, updated_at, expires_at, revoked_at)
       select 'key_' || i, 'hash_' || i, 1, 'owner_' || i % 100, 's', '[]', i * 1000, 1,
         case when i % 100 = 0 then i end, case when i % 70 = 0 then i end
       from generate_series(1, 5000) as i`,
    );
    await pool.query(
      `insert into ${table}_audit (id, at, action, key_id, owner_id, details)
       select 'audit_' || i, i, 'used', 'key_' || i % 1000, 'owner_' || i % 100, '{}'
       from generate_series(1, 5000) as i`,
    );
    await pool.query(`analyze ${table}`);
    await pool.query(`analyze ${table}_audit`);
  });

  afterAll(async () => {
    await pool.query(dropTablesSql(table));
    await pool.end();
  });

  const QUERIES: [
    what: string,
    index: string,
    query: (store: ReturnType<typeof postgresStore>) => unknown,
  ][] = [
    ["a lookup", "hash", (s) => s.findByHash("hash_5" as KeyHash)],
    ["a batch of lookups", "hash", (s) => s.findManyByHash(["hash_5", "hash_6", "none"] as KeyHash[])],
    ["a key", "pkey", (s) => s.findById("key_5")],
    ["an owner's keys", "owner", (s) => s.list({ ownerId: "owner_5", now: NOON, limit: 10 })],
    ["all keys", "created", (s) => s.list({ now: NOON, limit: 10 })],
    ["keys that have ended", "revoked", (s) => s.list({ endedBefore: new Date(200), now: NOON, limit: 10 })],
    ["keys that have ended", "expires", (s) => s.list({ endedBefore: new Date(200), now: NOON, limit: 10 })],
    ["the trail of a key", "audit_key", (s) => s.auditTrail({ keyId: "key_5", limit: 10 })],
    ["the trail of an owner", "audit_owner", (s) => s.auditTrail({ ownerId: "owner_5", limit: 10 })],
    ["the trail", "audit_at", (s) => s.auditTrail({ limit: 10 })],
    ["changes", "audit_position", (s) => s.changes("1.0 700:700:")],
    ["touches", "pkey", (s) => s.touch(new Map([["key_5", NOON]]))],
  ];

  it.each(QUERIES)("finds %s by the index %s", async (_, index, query) => {
    const { recorded, statements } = recording(pool);
    await query(postgresStore(recorded, { table }));
    const [{ text, values }] = statements as [Statement];
    const { rows } = await pool.query(`explain (format json) ${text}`, values);
    const plan = JSON.stringify(rows);
    expect(plan).toContain(`"Index Name":"${table}_${index}"`);
    expect(plan).not.toContain("Seq Scan");
  });

  it.each(QUERIES.slice(0, 2))("finds %s by the index with a generic plan", async (_, index, query) => {
    const { recorded, statements } = recording(pool);
    await query(postgresStore(recorded, { table }));
    const [{ text, values }] = statements as [Statement];
    const client = await pool.connect();
    try {
      await client.query("set plan_cache_mode = force_generic_plan");
      await client.query(`prepare generic as ${text}`);
      const parameter = Array.isArray(values[0]) ? "array['hash_5']" : "'hash_5'";
      const { rows } = await client.query(`explain (format json) execute generic (${parameter})`);
      expect(JSON.stringify(rows)).toContain(`"Index Name":"${table}_${index}"`);
    } finally {
      client.release(true);
    }
  });

  it("compares ids byte by byte, whatever the default collation", async () => {
    const { rows } = await pool.query(
      `select distinct collation_name from information_schema.columns
       where table_name in ($1, $2) and column_name in ('id', 'hash', 'owner_id', 'environment', 'key_id')`,
      [table, `${table}_audit`],
    );
    expect(rows).toEqual([{ collation_name: "C" }]);
  });

  it("prepares only lookups, under a name derived from their text", async () => {
    const { recorded, statements } = recording(pool);
    const named = postgresStore(recorded, { table });
    await named.findByHash(hashSecret("a"));
    await named.findByHash(hashSecret("b"));
    await named.findManyByHash([hashSecret("a"), hashSecret("b")]);
    await postgresStore(recorded, { table: `${table}_audit` })
      .findById("x")
      .catch(() => {});
    await named.list({ now: NOON, limit: 1 });
    const [a, b, many, other, list] = statements.map(({ name }) => name);
    expect(a).toMatch(/^keybearer_[0-9a-f]{24}$/);
    expect(b).toBe(a);
    expect(new Set([a, many, other]).size).toBe(3);
    expect(list).toBeUndefined();
    expect(statements[0]?.text).not.toContain("*");
  });

  it("prepares nothing with prepare: false", async () => {
    const { recorded, statements } = recording(pool);
    const unnamed = postgresStore(recorded, { table, prepare: false });
    expect(await unnamed.findByHash("hash_7" as KeyHash)).toMatchObject({ id: "key_7" });
    expect(await unnamed.findManyByHash(["hash_7", "hash_8"] as KeyHash[])).toHaveLength(2);
    expect(statements.map(({ name }) => name)).toEqual([undefined, undefined]);
  });

  it("sends the first lookup at once, and those that wait in batches", async () => {
    const { recorded, statements } = recording(pool);
    const scopes = defineScopes({ "vehicles:read": {} });
    const format = keyFormat({ prefix: "ezt", environments: ["live"] });
    const verifier = createVerifier({
      store: postgresStore(recorded, { table }),
      scopes,
      format,
      storeTimeout: "30s",
    });
    const results = await Promise.all(
      Array.from({ length: 40 }, () =>
        verifier.verify({ headers: { authorization: `Bearer ${format.generate("live")}` } }),
      ),
    );
    expect(new Set(results.map(({ ok }) => ok))).toEqual(new Set([false]));
    const sizes = statements.map(({ values: [hashes] }) => [hashes].flat().length);
    expect(sizes.sort((a, b) => a - b)).toEqual([1, 7, 32]);
  });

  // Instrumentation wraps methods of pg, which take a callback or return a promise.
  type Method = (...args: unknown[]) => unknown;
  it.each<[string, (method: Method) => Method]>([
    [
      "ignore the callback and return a promise",
      (method) =>
        (...args) =>
          method(...args.filter((arg) => typeof arg !== "function")),
    ],
    [
      "are asynchronous and pass the callback on",
      (method) =>
        async (...args) =>
          method(...args),
    ],
    [
      "call the callback and return a promise",
      (method) =>
        (...args) => {
          const callback = args.pop() as Method;
          const result = method(...args) as Promise<unknown>;
          result.then((value) => callback(undefined, value), callback);
          return result;
        },
    ],
  ])("looks up keys through a pool whose methods %s", async (_, wrap) => {
    const own = poolAt(url, { max: 1 });
    const connect = wrap((...args: unknown[]) => (own.connect as Method)(...args));
    const wrapped = { connect } as unknown as PostgresPool;
    own.on("connect", (client) => {
      client.query = wrap(client.query.bind(client) as Method) as typeof client.query;
    });
    const wrapping = postgresStore(wrapped, { table });
    for (let round = 0; round < 3; round++) {
      expect(await wrapping.findByHash("hash_7" as KeyHash)).toMatchObject({ id: "key_7" });
      const missing = postgresStore(wrapped, { table: "missing" }).findByHash("hash_7" as KeyHash);
      await expect(missing).rejects.toThrow("The tables are missing");
    }
    expect(own.waitingCount).toBe(0);
    await own.end();
  });

  it("writes a change and its audit entry in one statement", async () => {
    const { recorded, statements } = recording(pool);
    const writing = postgresStore(recorded, { table });
    const [first, key] = [sampleKey(), sampleKey()];
    await writing.insert(first, sampleAudit(first)); // also creates the row of the owner
    statements.length = 0;
    await writing.insert(key, sampleAudit(key));
    await writing.update(key.id, 1, { name: "x" }, sampleAudit(key));
    await writing.replace(key.id, 2, { name: "y" }, sampleKey(), sampleAudit(key));
    await writing.rehash(key.id, key.hash, hashSecret("other"), sampleAudit(key));
    await writing.remove(key.id, 3, sampleAudit(key));
    expect(statements).toHaveLength(5);
  });
});

describe.skipIf(skip)("postgresStore over pg: migrations", () => {
  const table = freshTable();
  const schemas = [`${table}_a`, `${table}_b`] as const;
  const pool = poolAt(url);

  afterAll(async () => {
    await pool.query(dropTablesSql(table));
    for (const schema of schemas) await pool.query(`drop schema if exists ${schema} cascade`);
    await pool.end();
  });

  it("run once when four pools start them at the same time", async () => {
    for (let round = 0; round < 5; round++) {
      const name = `${table}_${round}`;
      const pools = Array.from({ length: 4 }, () => poolAt(url, { max: 2 }));
      await Promise.all(
        pools.flatMap((each) => [
          postgresStore(each, { table: name }).migrate(),
          postgresStore(each, { table: name }).migrate(),
        ]),
      );
      const { rows } = await pool.query(`select version from ${name}_migrations`);
      expect(rows).toEqual([
        { version: "1" },
        { version: "2" },
        { version: "3" },
        { version: "4" },
        { version: "5" },
      ]);
      await Promise.all(pools.map((each) => each.end()));
      await pool.query(dropTablesSql(name));
    }
  });

  it("change nothing when they fail halfway", async () => {
    const name = `${table}_half`;
    await pool.query(`create table ${name}_audit (id int)`);
    await expect(postgresStore(pool, { table: name }).migrate()).rejects.toThrow("42P07");
    const { rows } = await pool.query("select relname from pg_class where relname like $1", [`${name}%`]);
    expect(rows).toEqual([{ relname: `${name}_audit` }]);
    await pool.query(`drop table ${name}_audit`);
    await postgresStore(pool, { table: name }).migrate();
    await pool.query(dropTablesSql(name));
  });

  it("need no write permission when they are up to date", async () => {
    await postgresStore(pool, { table }).migrate();
    const reader = poolAt(url, { options: "-c default_transaction_read_only=on" });
    await postgresStore(reader, { table }).migrate();
    await expect(postgresStore(reader, { table: `${table}_none` }).migrate()).rejects.toThrow("25006");
    await reader.end();
  });

  it("find the tables along the search path and do not create others before them", async () => {
    for (const schema of schemas) await pool.query(`create schema ${schema}`);
    const [first, second] = schemas;
    const early = poolAt(url, { options: `-c search_path=${second}` });
    const late = poolAt(url, { options: `-c search_path=${first},${second}` });
    const key = sampleKey();
    const before = postgresStore(early, { table });
    await before.migrate();
    await before.insert(key, sampleAudit(key));
    const after = postgresStore(late, { table });
    await after.migrate();
    expect(await after.findByHash(key.hash)).toEqual(key);
    // Another search path leads to other tables.
    const { rows } = await pool.query("select schemaname from pg_tables where tablename = $1", [table]);
    expect(rows.map(({ schemaname }) => schemaname)).not.toContain(first);
    expect(await postgresStore(pool, { table }).findByHash(key.hash)).toBeUndefined();
    await Promise.all([early.end(), late.end()]);
  });
});

describe("postgresStore", () => {
  const pool: PostgresPool = { connect: () => Promise.reject(new Error("not connected")) };

  it("rejects values that are neither a pool nor PGlite", async () => {
    const client = new pg.Client(url);
    const wrong = [undefined, null, {}, url, () => {}, client, { query() {} }, { transaction() {} }];
    for (const each of wrong) expect(() => postgresStore(each as never)).toThrow(TypeError);
    expect(() => postgresStore(client as never)).toThrow("not a single client");
  });

  it.skipIf(skip)("rejects a client of a pool", async () => {
    const real = poolAt(url);
    const client = await real.connect();
    expect(() => postgresStore(client as never)).toThrow("not a single client");
    client.release();
    await real.end();
  });

  it.each(["", "a b", 'a"b', "a'b", "1a", "a;b", "a--", "é", "a.b", "pg_keys", "a".repeat(41), 7, null])(
    "rejects the table name %j",
    (table) => {
      expect(() => postgresStore(pool, { table: table as string })).toThrow('"table"');
    },
  );

  it("rejects unknown and invalid options", () => {
    expect(() => postgresStore(pool, { tabel: "keys" } as never)).toThrow('"tabel"');
    expect(() => postgresStore(pool, { prepare: "no" } as never)).toThrow('"prepare"');
    expect(() => postgresStore(pool, null as never)).toThrow(TypeError);
    expect(() => postgresStore(pool, { prepare: false, table: "Keys_2" })).not.toThrow();
  });

  it("has every method of a store and is frozen", () => {
    const store = postgresStore(pool);
    expect(Object.isFrozen(store)).toBe(true);
    expect(Object.keys(store).sort()).toEqual(
      [
        "appendAudit",
        "auditTrail",
        "changes",
        "findByHash",
        "findById",
        "findManyByHash",
        "insert",
        "list",
        "migrate",
        "rehash",
        "remove",
        "replace",
        "resumeOwner",
        "suspendOwner",
        "touch",
        "update",
      ].sort(),
    );
  });
});

interface Statement {
  readonly name?: string | undefined;
  readonly text: string;
  readonly values: unknown[];
}

/** Wraps a pool and records its statements. */
function recording(pool: PostgresPool): { recorded: PostgresPool; statements: Statement[] } {
  const statements: Statement[] = [];
  const recorded: PostgresPool = {
    connect: async () => {
      const connection = await pool.connect();
      return {
        query: (config) => {
          statements.push(config);
          return connection.query(config);
        },
        release: (destroy) => connection.release(destroy),
        on: (event, listener) => connection.on(event, listener),
        removeListener: (event, listener) => connection.removeListener(event, listener),
        getTransactionStatus: () => connection.getTransactionStatus?.() ?? null,
      };
    },
  };
  return { recorded, statements };
}
