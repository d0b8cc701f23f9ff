import { randomBytes } from "node:crypto";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { describe, expect, inject, test, vi } from "vitest";
import {
  type AuditEntry,
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type ManagedKeyStore,
} from "../../../src/index.js";
import { type AuditLogOptions, auditLog, DroppedError, lastUsed } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, scopes } from "../core/fixtures.js";
import { allowed, denied, faultyStore, later, never, START, sleep, tidily, toBeClosed } from "./fixtures.js";

tidily();

function recording(options: AuditLogOptions = {}) {
  const store = faultyStore();
  const audit = toBeClosed(auditLog(store, options));
  return {
    ...audit,
    store,
    /** What is written once these events have come. */
    async written(...events: readonly KeyEvent[]): Promise<readonly AuditEntry[]> {
      for (const event of events) audit.observer(event);
      await audit.flush();
      return [...store.entries.values()];
    },
  };
}

describe("what is recorded", () => {
  test("a request that passed, with what is known of it", async () => {
    const [entry, ...others] = await recording().written(allowed("key_1", later(5)));
    expect(others).toEqual([]);
    expect(entry).toEqual({
      id: expect.any(String),
      at: later(5),
      action: "used",
      keyId: "key_1",
      ownerId: "acme",
      actor: null,
      details: {
        requestId: "req-1",
        method: "POST",
        path: "/vehicles",
        clientIp: "192.0.2.7",
        requiredScopes: ["vehicles:write"],
        environment: "live",
      },
    });
  });

  test("members that are not known are left out", async () => {
    const unknown = { method: undefined, path: undefined, clientIp: undefined, environment: undefined };
    const [entry] = await recording().written(allowed("key_1", START, unknown));
    expect(Object.keys(entry?.details ?? {})).toEqual(["requestId", "requiredScopes"]);
  });

  test("each request, under an id of its own", async () => {
    const entries = await recording().written(...Array.from({ length: 1_200 }, () => allowed("key_1")));
    expect(entries).toHaveLength(1_200);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(1_200);
  });

  test("no other event, no scope without the mark, and by default no refusal", async () => {
    const { type: _, ...facts } = allowed("a");
    const events: KeyEvent[] = [
      allowed("a", START, { audit: false }),
      denied("a"),
      { ...facts, type: "auth.failed", error: new Error("x") },
      { type: "key.revoked", at: START, keyId: "a", ownerId: "acme", actor: null, details: {} },
      { type: "background.failed", at: START, task: "rehash", keyId: "a", error: new Error("x") },
      { type: "cache.bypassed", at: START },
    ];
    expect(await recording().written(...events)).toEqual([]);
  });

  test("refusals on request, when the key is known, and why", async () => {
    const entries = await recording({ denied: true }).written(
      denied("a", { code: "ip_not_allowed", reason: "ip_unknown" }),
      denied("b", { audit: false }),
      denied(undefined),
      allowed("c"),
    );
    expect(entries.map(({ keyId, action }) => [keyId, action])).toEqual([
      ["a", "used"],
      ["c", "used"],
    ]);
    expect(entries[0]?.details).toMatchObject({
      code: "ip_not_allowed",
      reason: "ip_unknown",
      path: "/vehicles",
    });
    expect(entries[1]?.details).not.toHaveProperty("code");
  });

  test("what would have been denied, where something would", async () => {
    const entries = await recording().written(
      allowed("a", START, { wouldDeny: ["ip_not_allowed", "rate_limited"] }),
      allowed("b"),
    );
    expect(entries[0]?.details).toMatchObject({ wouldDeny: ["ip_not_allowed", "rate_limited"] });
    expect(entries[1]?.details).not.toHaveProperty("wouldDeny");
  });

  test("the event is left as it is, and later changes to its date change nothing", async () => {
    const requiredScopes = ["vehicles:write"];
    const at = later(5);
    const [entry] = await recording().written(allowed("a", at, { requiredScopes }));
    at.setTime(0);
    expect(entry?.at).toEqual(later(5));
    expect(Object.isFrozen(requiredScopes)).toBe(false);
  });

  test("a clock that gives no date loses no entry", async () => {
    const before = Date.now();
    const [entry] = await recording().written(allowed("a", new Date(Number.NaN)));
    expect(entry?.at.getTime()).toBeGreaterThanOrEqual(before);
  });
});

describe("what clients send", () => {
  const detailsOf = async (event: KeyEvent) => (await recording().written(event))[0]?.details ?? {};

  test("is cut", async () => {
    const long = "x".repeat(100_000);
    const details = await detailsOf(
      allowed("a", START, {
        path: `/${long}`,
        method: long,
        requestId: long,
        clientIp: long,
        environment: long,
      }),
    );
    expect(details.path).toBe(`/${"x".repeat(1_023)}`);
    for (const name of ["method", "requestId", "clientIp", "environment"]) {
      expect([name, details[name]]).toEqual([name, "x".repeat(128)]);
    }
  });

  test.each<[string, string, string]>([
    ["NUL", "/a\0b", "/a\ufffdb"],
    [
      "line breaks and other controls",
      "/a\r\nb\u001b[2J\u0085\u007f",
      "/a\ufffd\ufffdb\ufffd[2J\ufffd\ufffd",
    ],
    ["the first half of a surrogate pair", "/a\ud83d", "/a\ufffd"],
    ["the second half", "/\ude00a", "/\ufffda"],
    ["halves in the wrong order", "/\ude00\ud83d", "/\ufffd\ufffd"],
    ["a pair that the cut parts", `${"x".repeat(1_023)}\ud83d\ude00`, `${"x".repeat(1_023)}\ufffd`],
    ["whole pairs, which stay", "/\ud83d\ude00/é/\u4e2d", "/\ud83d\ude00/é/\u4e2d"],
    ["a byte order mark, which stays", "\ufeff/a", "\ufeff/a"],
  ])("is made fit for every database: %s", async (_, path, expected) => {
    expect((await detailsOf(allowed("a", START, { path, method: path }))).path).toBe(expected);
  });

  const hostile = [
    "\0",
    "/\ud83d",
    "/\ude00\ud83d",
    "\u001b]0;x\u0007",
    `/${"\ud83d\ude00".repeat(2_000)}`,
    `"}'; drop table x; --\\u0000\\`,
    String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i)),
  ];
  const { postgres, mysql } = inject("servers");

  test.skipIf(postgres === undefined)("is taken by PostgreSQL, which refuses it as it came", async () => {
    const client = new pg.Client({ connectionString: postgres });
    await client.connect();
    try {
      const insert = (json: unknown) => client.query("insert into trail values ($1)", [JSON.stringify(json)]);
      await client.query("create temporary table trail (details jsonb)");
      await expect(insert({ path: hostile[0] })).rejects.toThrow();
      await expect(insert({ path: hostile[1] })).rejects.toThrow();
      for (const path of hostile) await insert(await detailsOf(allowed("a", START, { path, method: path })));
      const { rows } = await client.query("select count(*)::int as n from trail");
      expect(rows).toEqual([{ n: hostile.length }]);
    } finally {
      await client.end();
    }
  });

  test.skipIf(mysql === undefined)("is taken by MariaDB or MySQL", async () => {
    const connection = await createConnection(mysql as string);
    const table = `trail_${randomBytes(6).toString("hex")}`;
    try {
      await connection.query(
        `create temporary table ${table} (id int auto_increment primary key, details json)`,
      );
      for (const path of hostile) {
        const details = await detailsOf(allowed("a", START, { path, method: path }));
        await connection.query(`insert into ${table} (details) values (?)`, [JSON.stringify(details)]);
      }
      const [rows] = await connection.query(`select details from ${table} order by id`);
      expect(rows).toHaveLength(hostile.length);
    } finally {
      await connection.end();
    }
  });
});

describe("when it is written", () => {
  test("within a second, or what interval says, and 500 at a time", async () => {
    vi.useFakeTimers();
    const { observer, store } = recording({ interval: "300ms" });
    for (let i = 0; i < 1_700; i++) observer(allowed(`key_${i}`));
    await vi.advanceTimersByTimeAsync(0);
    expect(store.calls.map(({ length }) => length)).toEqual([500, 500, 500, 200]);
    observer(allowed("a"));
    await vi.advanceTimersByTimeAsync(299);
    expect(store.calls).toHaveLength(4);
    await vi.advanceTimersByTimeAsync(1);
    expect(store.calls[4]).toEqual(["a"]);
  });

  test("entries of an outage go out under the ids that they had, once each, also when an answer was lost", async () => {
    vi.useFakeTimers();
    const ids: string[][] = [];
    const table = new Set<string>();
    const { observer, flush } = toBeClosed(
      auditLog({
        async appendAudit(entries) {
          ids.push(entries.map(({ id }) => id));
          for (const { id } of entries) table.add(id);
          if (ids.length < 3) throw new Error("the answer is lost");
        },
      }),
    );
    for (let i = 0; i < 10; i++) observer(allowed("a"));
    await vi.advanceTimersByTimeAsync(60_000);
    await flush();
    expect(new Set(ids.flat()).size).toBe(10);
    expect(table.size).toBe(10);
  });

  test("the store is called as a method", async () => {
    class Store {
      readonly entries: AuditEntry[] = [];
      async appendAudit(entries: readonly AuditEntry[]) {
        this.entries.push(...entries);
      }
    }
    const store = new Store();
    const { observer, close } = auditLog(store);
    observer(allowed("a"));
    await close();
    expect(store.entries).toHaveLength(1);
  });
});

describe("behind a verifier", () => {
  /** A store with a trail of its own, as a database has one. */
  function service(options: AuditLogOptions = {}) {
    const appended: AuditEntry[] = [];
    const memory = memoryStore();
    const appendAudit = (entries: readonly AuditEntry[]) => void appended.push(...entries);
    const store: ManagedKeyStore = { ...memory, appendAudit };
    const audit = toBeClosed(auditLog(store, { interval: "20ms", ...options }));
    const usage = toBeClosed(lastUsed(store, { interval: "20ms" }));
    const verifier = createVerifier({
      store,
      scopes,
      format,
      observers: [audit.observer, usage.observer],
      clock: () => START,
    });
    const manager = createKeyManager({ store, scopes, format });
    const ask = async (secret: string, scope: "vehicles:read" | "vehicles:write", path: string) =>
      verifier.verify(
        { headers: { authorization: `Bearer ${secret}` }, method: "PUT", path, remoteAddress: "192.0.2.7" },
        scope,
      );
    return { appended, audit, manager, ask };
  }

  test("routes of marked scopes are recorded, without being asked to", async () => {
    vi.useFakeTimers();
    const { appended, manager, ask } = service();
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:write"],
      environment: "live",
    });
    expect((await ask(secret, "vehicles:read", "/vehicles")).ok).toBe(true);
    expect((await ask(secret, "vehicles:write", "/vehicles/7?token=x")).ok).toBe(true);
    expect(appended).toEqual([]);
    await vi.advanceTimersByTimeAsync(20);
    expect(appended).toHaveLength(1);
    expect(appended[0]).toMatchObject({
      keyId: key.id,
      ownerId: "acme",
      action: "used",
      at: START,
      actor: null,
    });
    expect(appended[0]?.details).toMatchObject({ method: "PUT", path: "/vehicles/7", clientIp: "192.0.2.7" });
    expect(JSON.stringify(appended)).not.toContain(secret.slice(12));
    expect((await manager.get(key.id))?.lastUsedAt).toEqual(START);
  });

  test("refusals of known keys are recorded on request", async () => {
    const { appended, audit, manager, ask } = service({ denied: true });
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    await ask(secret, "vehicles:write", "/vehicles");
    await manager.revoke(key.id);
    await ask(secret, "vehicles:write", "/vehicles");
    await ask("ezt_live_junk", "vehicles:write", "/vehicles");
    await audit.close();
    expect(appended.map(({ keyId, details }) => [keyId, details.code, details.reason])).toEqual([
      [key.id, "insufficient_scope", "insufficient_scope"],
      [key.id, "invalid_key", "revoked"],
    ]);
  });

  test("a trail that hangs delays and refuses no request", async () => {
    const audit = toBeClosed(auditLog({ appendAudit: never }, { closeTimeout: "50ms", max: 100 }));
    const store = memoryStore();
    const verifier = createVerifier({ store, scopes, format, observers: [audit.observer] });
    const manager = createKeyManager({ store, scopes, format });
    const { secret } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:write"],
      environment: "live",
    });
    for (let i = 0; i < 1_000; i++) {
      const headers = { authorization: `Bearer ${secret}` };
      expect((await verifier.verify({ headers }, "vehicles:write")).ok).toBe(true);
      if (i % 100 === 0) await sleep(1);
    }
  });

  test.skipIf(memoryStore().appendAudit === undefined)("the trail of the key shows it", async () => {
    const store = memoryStore();
    const audit = toBeClosed(auditLog(store));
    const verifier = createVerifier({ store, scopes, format, observers: [audit.observer] });
    const manager = createKeyManager({ store, scopes, format });
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:write"],
      environment: "live",
    });
    await verifier.verify({ headers: { authorization: `Bearer ${secret}` } }, "vehicles:write");
    await audit.close();
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(items.map(({ action }) => action).sort()).toEqual(["created", "used"]);
  });
});

describe("mistakes are TypeErrors", () => {
  const store = { appendAudit() {} };

  test.each<[string, unknown, unknown, RegExp]>([
    ["no store", undefined, undefined, /appendAudit/],
    ["a store that cannot append", { touch() {} }, undefined, /appendAudit/],
    ["no options", store, null, /options/],
    ["an unknown option", store, { interval: 5 }, /"interval"/],
    ["an interval of 0", store, { interval: "0ms" }, /"interval"/],
    ["an interval with a unit", store, { interval: "1s" }, /"interval"/],
    ["a bound of 0", store, { max: 0 }, /"max"/],
    ["half an entry", store, { max: 1.5 }, /"max"/],
    ["no bound", store, { max: Number.POSITIVE_INFINITY }, /"max"/],
    ["a denied that is no boolean", store, { denied: "yes" }, /"denied"/],
    ["an onError that is no function", store, { onError: true }, /"onError"/],
    ["a time limit of NaN", store, { storeTimeout: Number.NaN }, /"storeTimeout"/],
    ["a time to close below 0", store, { closeTimeout: -1 }, /"closeTimeout"/],
  ])("%s", (_, first, options, message) => {
    const make = () => auditLog(first as never, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("the log is frozen; its errors have a code", () => {
    expect(Object.isFrozen(auditLog(store))).toBe(true);
    expect(new DroppedError("x")).toMatchObject({ name: "DroppedError", code: "KEYBEARER_DROPPED" });
  });
});
