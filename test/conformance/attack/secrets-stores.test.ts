import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, inject, test } from "vitest";
import { createKeyManager, createVerifier, hashSecret, type ManagedKeyStore } from "../../../src/index.js";
import { auditLog, lastUsed } from "../../../src/observers/index.js";
import type { Backend } from "../../contract/stores/backends/backend.js";
import { memoryBackends } from "../../contract/stores/backends/memory.js";
import { mysqlBackends, poolAt as mysqlPoolAt } from "../../contract/stores/backends/mysql.js";
import { poolAt, postgresBackends } from "../../contract/stores/backends/postgres.js";
import { redisBackends } from "../../contract/stores/backends/redis.js";
import { sqliteBackends } from "../../contract/stores/backends/sqlite.js";
import { drivers, type SqliteDriver } from "../../contract/stores/sqlite-drivers.js";
import { allowed, bearer, format, scopes } from "../../unit/core/fixtures.js";
import { peppers, SHOWN, secretAndHashes } from "./hidden.js";
import { type Hidden, printed, searchFor } from "./search.js";

/** Everything that a store has written: the places of hashes, and all others, by name. */
interface Dump {
  readonly hashes: Readonly<Record<string, string>>;
  readonly rest: Readonly<Record<string, string>>;
}

/** Splits rows of tables into the column `hash` and all other columns. */
function dumpOf(tables: Readonly<Record<string, readonly Record<string, unknown>[]>>): Dump {
  const hashes: Record<string, string> = {};
  const rest: Record<string, string> = {};
  for (const [table, rows] of Object.entries(tables)) {
    for (const row of rows) {
      for (const [column, value] of Object.entries(row)) {
        const into = column === "hash" ? hashes : rest;
        const text = Buffer.isBuffer(value) ? value.toString("latin1") : printed(value);
        into[`${table}.${column}`] = `${into[`${table}.${column}`] ?? ""}\n${text}`;
      }
    }
  }
  return { hashes, rest };
}

const tablesOf = ({ table }: { readonly table: string }): readonly string[] => [
  table,
  `${table}_audit`,
  `${table}_migrations`,
  `${table}_claims`,
];

type Kind = "memory" | "sqlite" | "postgres" | "mysql" | "redis";

const dumps: Readonly<Record<Kind, (place: string, store: ManagedKeyStore) => Promise<Dump>>> = {
  /** Everything that it returns. Only records have hashes. */
  async memory(_place, store) {
    const { items } = await store.list({ now: new Date(), limit: 1_000 });
    const trail = await store.auditTrail({ limit: 1_000 });
    const { hashes, rest } = dumpOf({ keys: items as never, trail: trail.items as never });
    return { hashes, rest: { ...rest, "the store itself": printed(store) } };
  },

  /** The tables, and the bytes of the files, including freed pages. */
  async sqlite(place) {
    const files = readdirSync(dirname(place)).filter((name) => name.startsWith(basename(place)));
    expect(files.length, "the write-ahead log too").toBeGreaterThan(1);
    const bytes = files.map((name) => [name, readFileSync(join(dirname(place), name), "latin1")] as const);
    const database = (drivers.find(({ available }) => available) as SqliteDriver).open(place);
    const all = (sql: string) => database.prepare(sql).all() as Record<string, unknown>[];
    const tables = all("select name from sqlite_master where type = 'table'").map(({ name }) => String(name));
    const { hashes, rest } = dumpOf(
      Object.fromEntries(tables.map((name) => [name, all(`select * from "${name}"`)])),
    );
    database.close();
    return { hashes: { ...hashes, ...Object.fromEntries(bytes) }, rest };
  },

  async postgres(place) {
    const pool = poolAt(JSON.parse(place).url, { max: 1 });
    const tables: Record<string, Record<string, unknown>[]> = {};
    for (const table of tablesOf(JSON.parse(place)))
      tables[table] = (await pool.query(`select * from "${table}"`)).rows;
    await pool.end();
    return dumpOf(tables);
  },

  async mysql(place) {
    const pool = mysqlPoolAt(JSON.parse(place).url, { connectionLimit: 1 });
    const tables: Record<string, Record<string, unknown>[]> = {};
    for (const table of tablesOf(JSON.parse(place)))
      tables[table] = (await pool.query(`select * from \`${table}\``))[0] as Record<string, unknown>[];
    await pool.end();
    return dumpOf(tables);
  },

  /** Every name and value under the prefix. A record is stored under its hash; an id and its claims refer to hashes. */
  async redis(place) {
    const { urls, prefix } = JSON.parse(place);
    const client = new Redis(urls[0], { lazyConnect: true });
    await client.connect();
    const names = await client.keys(`{${prefix}}:*`);
    const hashes: Record<string, string> = {};
    const rest: Record<string, string> = {};
    for (const name of names) {
      const [, kind] = /^\{.*?\}:(key|id|claims?):/.exec(name) ?? [];
      if (kind === "key") {
        hashes[`the name ${name}`] = name;
        const { hash, ...fields } = JSON.parse(String(await client.get(name)));
        hashes[`the hash at ${name}`] = String(hash);
        rest[`the fields at ${name}`] = printed(fields);
      } else {
        const hasHash = kind === "id" || kind === "claims";
        (hasHash ? hashes : rest)[`what is at ${name}`] = printed(await valueAt(client, name));
        (kind === "claim" ? hashes : rest)[`the name ${name}`] = name;
      }
    }
    client.disconnect();
    return { hashes, rest };
  },
};

async function valueAt(client: Redis, name: string): Promise<unknown> {
  const kind = await client.type(name);
  if (kind === "string") return client.get(name);
  if (kind === "zset") return client.zrange(name, "0", "-1");
  if (kind === "hash") return client.hgetall(name);
  if (kind === "stream") return client.xrange(name, "-", "+");
  throw new Error(`cannot read a ${kind}`);
}

const { postgres, mysql, redis } = inject("servers");
const named = (kind: Kind, list: readonly Backend[]) =>
  list.map((backend) => [backend.name, kind, backend] as const);
const backends = [
  ...named("memory", memoryBackends()),
  ...named("sqlite", sqliteBackends()),
  ...named("postgres", postgresBackends(postgres).slice(0, 1)),
  ...named("mysql", mysqlBackends(mysql)),
  ...named("redis", redisBackends(redis, undefined).slice(0, 2)),
];

const PEPPERS = { v1: "an-older-pepper-of-these-tests-0123", v2: "the-pepper-of-these-tests-abcdef0123" };
const old = { current: "v1", keys: PEPPERS };
const pepper = { current: "v2", keys: PEPPERS };

/** Runs keys through every operation; returns their secrets. */
async function useStore(store: ManagedKeyStore, canary: string): Promise<readonly string[]> {
  const audit = auditLog(store, { denied: true });
  const used = lastUsed(store);
  const observers = [audit.observer, used.observer];
  const before = createKeyManager({ store, scopes, format, pepper: old, observers });
  const manager = createKeyManager({ store, scopes, format, pepper, observers });
  const verifier = createVerifier({ store, scopes, format, pepper, observers, storeTimeout: "60000ms" });
  const input = { ownerId: "acme", environment: "live", scopes: ["vehicles:write"] } as const;
  const aged = await before.create({ ...input, name: canary });
  const made = await manager.create({ ...input, metadata: { plan: "gold" }, ipAllowlist: ["10.0.0.0/8"] });
  const next = await manager.rotate(aged.key.id, { overlap: "1h", actor: "ann" });
  const last = await manager.rotate(next.key.id, { overlap: "1h" });
  const imported = format.generate("live");
  await manager.import({ ...input, secret: imported });
  const unknown = format.generate("live");
  const secrets = [aged.secret, made.secret, next.secret, last.secret, imported, unknown];
  for (const secret of secrets) {
    for (const required of ["vehicles:write", "fleet:admin"] as const) {
      for (const request of [bearer(secret), bearer(secret, { remoteAddress: "10.0.0.1", path: "/a" })])
        await verifier.verify(request, required);
    }
  }
  allowed(await verifier.verify(bearer(last.secret)));
  await manager.update(made.key.id, { name: "renamed" });
  await manager.disable(made.key.id);
  await manager.revoke(last.key.id, { reason: "leaked", actor: "ann" });
  await audit.close();
  await used.close();
  return secrets;
}

describe.each(backends)("%s", (_name, kind, backend) => {
  test.skipIf(backend.missing !== undefined)(
    "stores no secret or pepper, and hashes only in their places",
    async () => {
      const { store, place, close } = await backend.create();
      const canary = format.generate("live");
      try {
        const secrets = await useStore(store, canary);
        const { hashes, rest } = await dumps[kind](place, store);
        const hidden: readonly Hidden[] = [
          ...secrets.map((text, index) => ({ name: `secret ${index}`, text, shown: SHOWN })),
          ...peppers(pepper),
        ];
        const find = searchFor(hidden);
        for (const [where, text] of Object.entries({ ...hashes, ...rest }))
          expect(find(text), where).toEqual([]);

        const findHash = searchFor(
          secrets.flatMap((secret, index) => secretAndHashes(`${index}`, secret, pepper)),
        );
        for (const [where, text] of Object.entries(rest)) expect(findHash(text), where).toEqual([]);
        const written = Object.values(hashes).join("\n");
        expect(findHash(written)).toContain("the hash of 1");
        expect(written).toContain(hashSecret(secrets[1] as string, pepper).replace(/^.*:/, ""));

        // The search finds a secret that is stored, here as the name of a key.
        const planted = searchFor([{ name: "canary", text: canary, shown: SHOWN }]);
        const whole = Object.values({ ...hashes, ...rest }).join("\n");
        expect(planted(whole)).toEqual(["canary"]);
      } finally {
        await close();
        await backend.drop(place);
      }
    },
  );
});
