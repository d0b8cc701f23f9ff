import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import pg from "pg";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { postgresIdempotency } from "../../../examples/platforms/postgres-idempotency.js";
import { memoryIdempotency } from "../../../src/management/idempotency-store.js";
import {
  type IdempotencyEntry,
  type IdempotencyStore,
  redisIdempotency,
} from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { managementApi } from "../../unit/management/fixtures.js";

const { redis: url, postgres } = inject("servers");
const prefix = `idempotency_${randomBytes(6).toString("hex")}`;
const SECRET = randomBytes(32).toString("base64");
const json = { scopes: ["vehicles:read"], environment: "live" };

interface Backend {
  readonly name: string;
  readonly missing: boolean;
  /** Opens a store with a connection of its own. */
  open(): Promise<{ readonly store: IdempotencyStore; close(): unknown }>;
}

const shared = memoryIdempotency();
const schema = `idempotency_${randomBytes(6).toString("hex")}`;
const openPostgres = () => {
  const options = `-c search_path=${schema}`;
  const pool = new pg.Pool({ connectionString: postgres as string, max: 5, options });
  pool.on("error", () => {});
  return pool;
};
beforeAll(async () => {
  if (postgres === undefined) return;
  const pool = openPostgres();
  await pool.query(`create schema ${schema}
    create table idempotency (id text primary key, owner_id text not null, value text not null, until timestamptz not null)
    create index idempotency_owner on idempotency (owner_id)`);
  await pool.end();
});
afterAll(async () => {
  if (postgres === undefined) return;
  const pool = openPostgres();
  await pool.query(`drop schema ${schema} cascade`);
  await pool.end();
});

const backends: readonly Backend[] = [
  { name: "memory", missing: false, open: async () => ({ store: shared, close: () => {} }) },
  {
    name: "PostgreSQL",
    missing: postgres === undefined,
    async open() {
      const pool = openPostgres();
      return { store: postgresIdempotency(pool), close: () => pool.end() };
    },
  },
  {
    name: "Redis over node-redis",
    missing: url === undefined,
    async open() {
      const client = createClient({ url: url as string });
      client.on("error", () => {});
      await client.connect();
      return { store: redisIdempotency(client, { prefix }), close: () => client.close() };
    },
  },
  {
    name: "Redis over ioredis",
    missing: url === undefined,
    async open() {
      const client = new Redis(url as string);
      client.on("error", () => {});
      return { store: redisIdempotency(client, { prefix }), close: () => client.quit() };
    },
  },
];

describe.each(backends)("idempotency over $name", ({ missing, open }) => {
  let opened: Awaited<ReturnType<typeof open>>[] = [];
  beforeAll(async () => {
    if (!missing) opened = await Promise.all([open(), open()]);
  });
  afterAll(async () => {
    for (const { close } of opened) await close();
  });
  const stores = () => opened.map(({ store }) => store) as [IdempotencyStore, IdempotencyStore];
  const entry = (milliseconds = 60_000, ownerId = "acme") => ({
    id: randomBytes(32).toString("base64url"),
    ownerId,
    until: new Date(Date.now() + milliseconds),
  });

  test.skipIf(missing)("sets a value only if the current one is as expected", async () => {
    const [one, two] = stores();
    const at = entry();
    expect(await one.compareAndSet(at, "x", "a")).toBeUndefined();
    expect(await one.compareAndSet(at, undefined, "a")).toBeUndefined();
    expect(await two.compareAndSet(at, undefined, "b")).toBe("a");
    expect(await two.compareAndSet(at, "b", null)).toBe("a");
    expect(await two.compareAndSet(at, "a", "c")).toBe("a");
    expect(await one.compareAndSet(at, "c", null)).toBe("c");
    expect(await one.compareAndSet(at, undefined, "d")).toBeUndefined();
  });

  test.skipIf(missing)("lets one of many concurrent calls succeed", async () => {
    const at = entry();
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) => stores()[index % 2]?.compareAndSet(at, undefined, `${index}`)),
    );
    expect(results.filter((result) => result === undefined)).toHaveLength(1);
    expect(new Set(results).size).toBe(2);
  });

  test.skipIf(missing)("deletes an entry when it ends", async () => {
    const [one, two] = stores();
    const at = entry(50);
    await one.compareAndSet(at, undefined, "a");
    await expect.poll(() => two.compareAndSet(at, "never", null)).toBeUndefined();
  });

  test.skipIf(missing)(
    "rejects an owner with 4 MiB, until it deletes an entry, and no other owner",
    async () => {
      const [one, two] = stores();
      const [owner, other] = [randomBytes(6).toString("hex"), randomBytes(6).toString("hex")];
      const value = "x".repeat(1024 * 1024);
      const entries = Array.from({ length: 4 }, () => entry(60_000, owner));
      for (const each of entries) expect(await one.compareAndSet(each, undefined, value)).toBeUndefined();
      const [first, second] = entries as [IdempotencyEntry, IdempotencyEntry];
      const more = entry(60_000, owner);
      const add = async () => two.compareAndSet(more, undefined, "y");
      await expect(add()).rejects.toMatchObject({ status: 429 });
      await expect((async () => two.compareAndSet(first, value, `${value}y`))()).rejects.toMatchObject({
        status: 429,
      });
      expect(await two.compareAndSet(entry(60_000, other), undefined, "y")).toBeUndefined();
      expect(await two.compareAndSet(second, value, null)).toBe(value);
      expect(await add()).toBeUndefined();
      for (const each of [first, ...entries.slice(2)])
        expect(await one.compareAndSet(each, value, null)).toBe(value);
    },
  );

  test.skipIf(missing)("executes requests to two processes once", async () => {
    const keys = memoryStore();
    const apis = stores().map((store) =>
      managementApi({ idempotency: { store, secret: SECRET } }, { store: keys }),
    );
    for (let round = 0; round < 5; round++) {
      const headers = { "idempotency-key": randomBytes(16).toString("hex") };
      const post = (index: number) => apis[index % 2]?.call("POST /api-keys", { json, headers });
      const responses = await Promise.all(Array.from({ length: 10 }, (_, index) => post(index)));
      const first = responses.find((response) => response?.status === 201);
      for (const response of responses) {
        if (response?.status === 201) expect(response.text).toBe(first?.text);
        else expect(response?.body.code).toBe("idempotency_in_progress");
      }
      for (const index of [0, 1]) {
        const again = await post(index);
        expect([again?.text, again?.headers.get("idempotent-replayed")]).toEqual([first?.text, "true"]);
      }
    }
    expect((await apis[0]?.manager.list())?.items).toHaveLength(5);
  });
});

test.skipIf(url === undefined)("redisIdempotency lets Redis delete everything", async () => {
  const client = createClient({ url: url as string });
  await client.connect();
  try {
    const store = redisIdempotency(client, { prefix });
    await store.compareAndSet(
      { id: "ttl", ownerId: "a", until: new Date(Date.now() + 5_000) },
      undefined,
      "a",
    );
    let found = 0;
    for await (const names of client.scanIterator({ MATCH: `${prefix}:*` })) {
      for (const name of names) {
        expect(await client.pTTL(name)).toBeGreaterThan(0);
        await client.del(name);
        found += 1;
      }
    }
    expect(found).toBeGreaterThanOrEqual(2);
  } finally {
    await client.close();
  }
});

test("redisIdempotency rejects other clients and options", () => {
  expect(() => redisIdempotency({} as never)).toThrow("redisIdempotency: the client must be");
  const client = { on: () => {}, evalSha: () => {}, eval: () => {} } as never;
  expect(() => redisIdempotency(client, { prefix: "a b" })).toThrow('"prefix"');
  expect(() => redisIdempotency(client, { ttl: 1 } as never)).toThrow('"ttl"');
});
