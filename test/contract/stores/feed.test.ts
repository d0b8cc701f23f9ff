import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { type ManagedKeyStore, StoreError } from "../../../src/index.js";
import { mysqlStore } from "../../../src/stores/mysql.js";
import { postgresStore } from "../../../src/stores/postgres.js";
import { redisStore } from "../../../src/stores/redis.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { addKey, changeKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { dropTablesSql as dropMysql, freshTable, poolAt as mysqlPool } from "./backends/mysql.js";
import { dropTablesSql as dropPostgres, poolAt as postgresPool } from "./backends/postgres.js";
import { drivers } from "./sqlite-drivers.js";

type Store = ManagedKeyStore & Required<Pick<ManagedKeyStore, "changes">> & { migrate(): Promise<void> };

const { postgres, mysql, redis } = inject("servers");
const table = freshTable();
const audit = `${table}_audit`;

/** A database, and how a transaction of another process writes a change. */
interface Database {
  readonly store: Store;
  sql(text: string): Promise<unknown>;
  /** Opens a transaction in which `sql` runs statements. */
  begin(): Promise<{ sql(text: string): Promise<unknown>; end(text: "commit" | "rollback"): Promise<void> }>;
  /** The statements of a change of a key. */
  change(keyId: string, id: string): readonly string[];
  /** The statements that undo every migration but the first. */
  readonly undo: readonly string[];
  close(): Promise<void>;
}

const COLUMNS = "id, at, action, key_id, owner_id, details, position";
const UNDO = [
  `alter table ${audit} drop column position`,
  ...["disabled_by", "rotation_root", "created_by", "created_by_key"].map(
    (column) => `alter table ${table} drop column ${column}`,
  ),
  `drop table ${table}_claims`,
  `alter table ${table} drop column suspended_at`,
  `drop table ${table}_owners`,
  `delete from ${table}_migrations where version > 1`,
];
const DROP_INDEXES = [`drop index ${table}_live`, `drop index ${table}_creator`, `drop index ${audit}_actor`];

const counted = (keyId: string, id: string) => [
  `update ${table}_position set position = position + 1`,
  `insert into ${audit} (${COLUMNS})
   values ('${id}', 1, 'updated', '${keyId}', 'acme', '{}', (select position from ${table}_position))`,
];

async function openPostgres(): Promise<Database> {
  const pool = postgresPool(postgres as string);
  return {
    store: postgresStore(pool, { table }),
    sql: async (text) => (await pool.query(text)).rows,
    async begin() {
      const client = await pool.connect();
      await client.query("begin");
      return {
        sql: (text) => client.query(text),
        async end(text) {
          await client.query(text);
          client.release();
        },
      };
    },
    change: (keyId, id) => [
      `insert into ${audit} (${COLUMNS})
       values ('${id}', 1, 'updated', '${keyId}', 'acme', '{}', pg_current_xact_id())`,
    ],
    undo: [...DROP_INDEXES, ...UNDO],
    async close() {
      await pool.query(dropPostgres(table));
      await pool.end();
    },
  };
}

async function openMysql(): Promise<Database> {
  const pool = mysqlPool(mysql as string);
  return {
    store: mysqlStore(pool, { table }),
    sql: async (text) => (await pool.query(text))[0],
    async begin() {
      const connection = await pool.getConnection();
      await connection.query("start transaction");
      return {
        sql: (text) => connection.query(text),
        async end(text) {
          await connection.query(text);
          connection.release();
        },
      };
    },
    change: counted,
    undo: [
      `drop index ${table}_creator on ${table}`,
      `drop index ${audit}_actor on ${audit}`,
      `alter table ${audit} modify column actor mediumblob`,
      ...UNDO,
      `drop table ${table}_position`,
    ],
    async close() {
      await pool.query(dropMysql(table));
      await pool.end();
    },
  };
}

async function openSqlite(): Promise<Database> {
  const connection = drivers.find(({ available }) => available)?.open(":memory:");
  if (connection === undefined) throw new Error("no driver of SQLite was found");
  return {
    store: sqliteStore(connection, { table }),
    sql: async (text) => connection.exec(text),
    begin: () => Promise.reject(new Error("SQLite has one writer")),
    change: counted,
    undo: [`drop index ${audit}_position`, ...DROP_INDEXES, ...UNDO, `drop table ${table}_position`],
    close: async () => void connection.close(),
  };
}

const databases: readonly [string, boolean, () => Promise<Database>][] = [
  ["PostgreSQL", postgres === undefined, openPostgres],
  ["MySQL", mysql === undefined, openMysql],
  ["SQLite", false, openSqlite],
];

describe.each(databases)("the changes of %s", (name, isMissing, open) => {
  describe.skipIf(isMissing)("of a store", () => {
    let database: Database;
    let store: Store;

    beforeAll(async () => {
      database = await open();
      ({ store } = database);
      await store.migrate();
    });

    afterAll(() => database.close());

    it("exist after the migration of a database of the previous release, which keeps its keys", async () => {
      const key = await addKey(store);
      for (const statement of database.undo) await database.sql(statement);
      await expect(async () => changeKey(store, key, 1, { name: "early" })).rejects.toThrow();
      if (name !== "SQLite") {
        await expect(store.changes(undefined)).rejects.toThrow(/The tables are .*; call await store.migrate/);
      }
      await store.migrate();
      const { position } = await store.changes(undefined);
      expect(await changeKey(store, key, 1, { name: "after" })).toBe(true);
      expect((await store.changes(position)).keyIds).toEqual([key.id]);
      expect(await store.findById(key.id)).toEqual({ ...key, name: "after", version: 2 });
    });

    it("are all after the database was restored from a backup", async () => {
      const key = await addKey(store);
      const { position } = await store.changes(undefined);
      if (name === "PostgreSQL") {
        const [started = "", snapshot = ""] = position.split(" ");
        const [xmin] = snapshot.split(":");
        expect((await store.changes(`${started} ${snapshot}`)).keyIds).toEqual([]);
        expect((await store.changes(`1.5 ${snapshot}`)).keyIds).toBe("all");
        expect((await store.changes(`${started} ${xmin}:999999999999:`)).keyIds).toBe("all");
        return;
      }
      // The backup lacks one change, and another one took its position.
      await changeKey(store, key, 1, { name: "lost" });
      const lost = await store.changes(position);
      await database.sql(`delete from ${audit} where position = (select position from ${table}_position)`);
      await database.sql(`update ${table}_position set position = position - 1`);
      expect((await store.changes(lost.position)).keyIds).toBe("all");
      await changeKey(store, key, 2, { name: "another" });
      expect((await store.changes(lost.position)).keyIds).toBe("all");
      expect((await store.changes(position)).keyIds).toEqual([key.id]);
    });

    it("are all if there are more than 10,000", async () => {
      const { position } = await store.changes(undefined);
      const digits =
        "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4)";
      const many = ["a", "b", "c", "d", "e", "f"].map((alias) => `${digits} ${alias}`).join(" cross join ");
      const number = "(a.d + 5 * (b.d + 5 * (c.d + 5 * (d.d + 5 * (e.d + 5 * f.d)))))";
      const id = name === "MySQL" ? `concat('many_', ${number})` : `'many_' || ${number}`;
      const place = name === "PostgreSQL" ? "pg_current_xact_id()" : `p.position + 1 + ${number}`;
      const counter = name === "PostgreSQL" ? "(select 1) p" : `${table}_position p`;
      await database.sql(
        `insert into ${audit} (${COLUMNS}) select ${id}, 1, 'updated', ${id}, 'acme', '{}', ${place}
         from ${many} cross join ${counter} where ${number} < 10001`,
      );
      if (name !== "PostgreSQL")
        await database.sql(`update ${table}_position set position = position + 10001`);
      expect((await store.changes(position)).keyIds).toBe("all");
      await database.sql(`delete from ${audit} where id = 'many_5000'`);
      expect((await store.changes(position)).keyIds).toHaveLength(10_000);
    });

    it.skipIf(name === "SQLite")("include a transaction that began early and committed late", async () => {
      const late = await database.begin();
      const { position: before } = await store.changes(undefined);
      for (const statement of database.change("key_late", "entry_late")) await late.sql(statement);
      // Another change commits first. In MySQL it waits for the row of the position.
      const key = await addKey(store, sampleKey());
      const other = store.update(key.id, 1, { name: "other" }, sampleAudit(key));
      if (name === "PostgreSQL") await other;
      const during = await store.changes(before);
      expect(during.keyIds).toEqual(name === "PostgreSQL" ? [key.id] : []);
      expect((await store.changes(during.position)).keyIds).toEqual([]);
      await late.end("commit");
      expect(await other).toBe(true);
      const after = await store.changes(during.position);
      expect([...after.keyIds].sort()).toEqual(
        name === "PostgreSQL" ? ["key_late"] : [key.id, "key_late"].sort(),
      );
      expect((await store.changes(after.position)).keyIds).toEqual([]);
    });

    it.skipIf(name === "SQLite")("exclude a transaction that was rolled back", async () => {
      const { position } = await store.changes(undefined);
      const undone = await database.begin();
      for (const statement of database.change("key_undone", "entry_undone")) await undone.sql(statement);
      const during = await store.changes(position);
      await undone.end("rollback");
      const key = await addKey(store);
      await changeKey(store, key, 1, { name: "next" });
      expect((await store.changes(position)).keyIds).toEqual([key.id]);
      expect((await store.changes(during.position)).keyIds).toEqual([key.id]);
    });

    it.skipIf(name !== "MySQL")(
      "do not depend on the isolation level or autocommit of the pool",
      async () => {
        const pool = mysqlPool(mysql as string, { connectionLimit: 1 });
        await pool.query("set session transaction isolation level repeatable read");
        await pool.query("set autocommit = 0");
        const reader = mysqlStore(pool, { table });
        const { position } = await reader.changes(undefined);
        const key = await addKey(store);
        await changeKey(store, key, 1, { name: "seen" });
        expect((await reader.changes(position)).keyIds).toEqual([key.id]);
        await pool.end();
      },
    );

    it.skipIf(name === "SQLite")("let new keys be added while a change is not committed", async () => {
      const open = await database.begin();
      for (const statement of database.change("key_open", "entry_open")) await open.sql(statement);
      await addKey(store);
      await open.end("rollback");
    });

    it.skipIf(name !== "PostgreSQL")("are announced when they are committed", async () => {
      const pool = postgresPool(postgres as string, { max: 1 });
      const client = await pool.connect();
      const heard: unknown[] = [];
      client.on("notification", ({ channel, payload }) => heard.push([channel, payload]));
      await client.query(`listen "${table}_changes"`);
      const key = await addKey(store);
      await changeKey(store, key, 1, { name: "announced" });
      await changeKey(store, key, 1, { name: "too late" });
      await store.appendAudit?.([sampleAudit(key)]);
      await client.query("select 1");
      await expect.poll(() => heard).toEqual([[`${table}_changes`, key.id]]);
      client.release(true);
      await pool.end();
    });
  });
});

describe.skipIf(redis === undefined)("the changes of Redis", () => {
  const prefix = `test-${randomUUID()}`;
  const stream = `{${prefix}}:changes`;
  let client: Redis;
  let store: ReturnType<typeof redisStore>;

  beforeAll(() => {
    client = new Redis(redis as string);
    client.on("error", () => {});
    store = redisStore(client, { prefix });
  });

  beforeEach(() => client.del(stream));

  afterAll(async () => {
    await client.unlink(...(await client.keys(`{${prefix}}:*`)));
    await client.quit();
  });

  it("are all after a failover lost the last ones", async () => {
    const key = await addKey(store);
    await changeKey(store, key, 1, { name: "kept" });
    const kept = await store.changes(undefined);
    await changeKey(store, key, 2, { name: "lost" });
    const lost = await store.changes(undefined);
    await client.xdel(stream, lost.position);
    expect((await store.changes(lost.position)).keyIds).toBe("all");
    await changeKey(store, key, 3, { name: "another" });
    expect((await store.changes(lost.position)).keyIds).toBe("all");
    expect((await store.changes(kept.position)).keyIds).toEqual([key.id]);
    await client.del(stream);
    expect(await store.changes(kept.position)).toEqual({ position: "0-0", keyIds: "all" });
  });

  it("are all if there are more than 10,000, and take bounded memory", async () => {
    const { position } = await store.changes(undefined);
    const fill = `for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10001, '*', 'id', 'k' .. i) end`;
    await client.eval(fill, 1, stream, 10_000);
    expect((await store.changes(position)).keyIds).toHaveLength(10_000);
    const [first] = await client.xrange(stream, "-", "+", "COUNT", 1);
    await client.eval(fill, 1, stream, 1);
    expect((await store.changes(position)).keyIds).toBe("all");
    expect((await store.changes(first?.[0])).keyIds).toHaveLength(10_000);
    await client.eval(fill, 1, stream, 5_000);
    expect((await store.changes(position)).keyIds).toBe("all");
    expect(await client.xlen(stream)).toBeLessThan(10_200);
  });

  it("are announced by the script of the change, whatever prefix the client adds to keys", async () => {
    const subscriber = client.duplicate();
    const heard: unknown[] = [];
    subscriber.on("message", (...message) => heard.push(message));
    await subscriber.subscribe(stream);
    const prefixed = client.duplicate({ keyPrefix: "app{1}:" });
    for (const each of [store, redisStore(prefixed, { prefix })]) {
      const key = await addKey(each);
      await changeKey(each, key, 1, { name: "announced" });
      await changeKey(each, key, 1, { name: "too late" });
      await expect.poll(() => heard.splice(0)).toEqual([[stream, key.id]]);
    }
    const left = await client.keys(`app{1}:{${prefix}}:*`);
    await client.unlink(...left);
    await Promise.all([subscriber.quit(), prefixed.quit()]);
  });

  it("are made completely or not at all if an ACL forbids the stream, and without the channel", async () => {
    const user = `user-${randomUUID()}`;
    const key = await addKey(store);
    const as = async (...rules: string[]) => {
      await client.call("acl", "setuser", user, "reset", "on", "nopass", `~{${prefix}}:*`, ...rules);
      const limited = client.duplicate({ username: user, password: "any" });
      limited.on("error", () => {});
      return { limited, store: redisStore(limited, { prefix }) };
    };
    const without = await as("resetchannels", "+@all", "-xadd");
    await expect(changeKey(without.store, key, 1, { name: "no" })).rejects.toThrow(StoreError);
    expect(await store.findById(key.id)).toEqual(key);
    expect((await store.auditTrail({ keyId: key.id, limit: 5 })).items).toHaveLength(1);
    without.limited.disconnect();
    const silent = await as("resetchannels", "+@all");
    expect(await changeKey(silent.store, key, 1, { name: "yes" })).toBe(true);
    silent.limited.disconnect();
    await client.call("acl", "deluser", user);
  });
});

describe("keyStoreContract", () => {
  const none = { position: "0 ", keyIds: [] };
  it.each<[string, (store: Store) => Partial<Store>]>([
    ["reports no changes", () => ({ changes: () => none })],
    [
      "reports every change again",
      (store) => ({ changes: (since) => store.changes(since && none.position) }),
    ],
    [
      "skips an unknown position",
      (store) => ({ changes: (s) => (s === "unknown" ? none : store.changes(s)) }),
    ],
  ])("fails a store that %s", async (_, fault) => {
    const create = async () => {
      const { store, close } = await openSqlite();
      await store.migrate();
      return { store: { ...store, ...fault(store) }, close };
    };
    const failed: string[] = [];
    for (const { name, run } of keyStoreContract(create)) {
      if (name.startsWith("changes")) await run().catch(() => failed.push(name));
    }
    expect(failed).not.toEqual([]);
  });
});
