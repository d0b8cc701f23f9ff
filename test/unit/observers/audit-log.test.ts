import { randomBytes } from "node:crypto";
import { createConnection } from "mysql2/promise";
import pg from "pg";
import { describe, expect, inject, it, vi } from "vitest";
import {
  type AuditEntry,
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type ManagedKeyStore,
} from "../../../src/index.js";
import {
  type AuditLogOptions,
  auditLog,
  DroppedError,
  lastUsed,
  type WriteReport,
} from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, scopes } from "../core/fixtures.js";
import {
  allowed,
  cleanUpAfterEach,
  closeAfterEach,
  denied,
  down,
  failing,
  faultyStore,
  later,
  never,
  rejection,
  START,
  sleep,
} from "./fixtures.js";

cleanUpAfterEach();

function recording(options: AuditLogOptions = {}) {
  const store = faultyStore();
  const audit = closeAfterEach(auditLog(store, options));
  return {
    ...audit,
    store,
    /** Emits the events and returns what is written. */
    async written(...events: readonly KeyEvent[]): Promise<readonly AuditEntry[]> {
      for (const event of events) audit.observer(event);
      await audit.flush();
      return [...store.entries.values()];
    },
  };
}

describe("auditLog entries", () => {
  it("records an allowed request", async () => {
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

  it("omits unknown details", async () => {
    const unknown = { method: undefined, path: undefined, clientIp: undefined, environment: undefined };
    const [entry] = await recording().written(allowed("key_1", START, unknown));
    expect(Object.keys(entry?.details ?? {})).toEqual(["requestId", "requiredScopes"]);
  });

  it("records every request under its own id", async () => {
    const entries = await recording().written(...Array.from({ length: 1_200 }, () => allowed("key_1")));
    expect(entries).toHaveLength(1_200);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(1_200);
  });

  it("ignores other events, scopes without audit, and by default denials", async () => {
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

  it("records denials of known keys with denied: true", async () => {
    const entries = await recording({ denied: true }).written(
      denied("a", { code: "ip_not_allowed", reason: "ip_unknown" }),
      denied("b", { audit: false }),
      denied(undefined),
      allowed("c"),
    );
    const [used, refused] = entries;
    expect([used, refused].map((entry) => [entry?.keyId, entry?.action])).toEqual([
      ["c", "used"],
      ["a", "used"],
    ]);
    expect(entries).toHaveLength(2);
    expect(refused?.details).toMatchObject({
      code: "ip_not_allowed",
      reason: "ip_unknown",
      path: "/vehicles",
    });
    expect(used?.details).not.toHaveProperty("code");
  });

  it("drops no use because a revoked key sends many requests, and counts what it drops", async () => {
    vi.useFakeTimers();
    const reports: WriteReport[] = [];
    const { observer, flush, store } = recording({
      denied: true,
      max: 640,
      onError: (_, report) => reports.push(report),
    });
    const noise = (keyId: string, ownerId: string, count: number) => {
      for (let index = 0; index < count; index++) observer(denied(keyId, { ownerId, reason: "revoked" }));
    };
    noise("noisy", "acme", 5_000);
    for (let key = 0; key < 100; key++) noise(`noisy_${key}`, "acme", 100);
    noise("quiet", "other", 3);
    for (let index = 0; index < 640; index++) observer(allowed("key_1"));
    await flush();
    const counts: Record<string, number> = {};
    for (const { keyId } of store.entries.values()) counts[keyId] = (counts[keyId] ?? 0) + 1;
    // 1/64 of 640 for a key, 1/16 for all keys of an owner
    expect(counts).toEqual({ key_1: 640, quiet: 3, noisy: 10, noisy_0: 10, noisy_1: 10, noisy_2: 10 });
    expect(reports.at(-1)?.dropped).toBe(15_000 - 40);
    noise("noisy", "acme", 5);
    await flush();
    expect([...store.entries.values()].filter(({ keyId }) => keyId === "noisy")).toHaveLength(15);
  });

  it("reports the pending entries of both kinds, and waits for both", async () => {
    const reports: WriteReport[] = [];
    const audit = recording({
      denied: true,
      closeTimeout: "50ms",
      onError: (_, report) => reports.push(report),
    });
    audit.store.respond = (_, [key]) => (key === "refused" ? failing() : undefined);
    audit.observer(denied("refused"));
    audit.observer(allowed("used"));
    audit.observer(allowed("used"));
    expect(await rejection(audit.flush())).toBe(down);
    expect([...audit.store.entries.values()].map(({ keyId }) => keyId)).toEqual(["used", "used"]);
    expect(reports.at(-1)).toEqual({ pending: 1, dropped: 0 });
    audit.store.respond = () => {};
    await audit.close();
    expect(audit.store.entries.size).toBe(3);
  });

  it("records wouldDeny if it is not empty", async () => {
    const entries = await recording().written(
      allowed("a", START, { wouldDeny: ["ip_not_allowed", "rate_limited"] }),
      allowed("b"),
    );
    expect(entries[0]?.details).toMatchObject({ wouldDeny: ["ip_not_allowed", "rate_limited"] });
    expect(entries[1]?.details).not.toHaveProperty("wouldDeny");
  });

  it("copies the date and does not freeze the event", async () => {
    const requiredScopes = ["vehicles:write"];
    const at = later(5);
    const [entry] = await recording().written(allowed("a", at, { requiredScopes }));
    at.setTime(0);
    expect(entry?.at).toEqual(later(5));
    expect(Object.isFrozen(requiredScopes)).toBe(false);
  });

  it("uses the system time for an invalid date", async () => {
    const before = Date.now();
    const [entry] = await recording().written(allowed("a", new Date(Number.NaN)));
    expect(entry?.at.getTime()).toBeGreaterThanOrEqual(before);
  });
});

describe("values from clients", () => {
  const detailsOf = async (event: KeyEvent) => (await recording().written(event))[0]?.details ?? {};

  it("are truncated", async () => {
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

  it.each<[string, string, string]>([
    ["NUL", "/a\0b", "/a\ufffdb"],
    [
      "line breaks and other controls",
      "/a\r\nb\u001b[2J\u0085\u007f",
      "/a\ufffd\ufffdb\ufffd[2J\ufffd\ufffd",
    ],
    ["the first half of a surrogate pair", "/a\ud83d", "/a\ufffd"],
    ["the second half", "/\ude00a", "/\ufffda"],
    ["halves in the wrong order", "/\ude00\ud83d", "/\ufffd\ufffd"],
    ["a pair split by the truncation", `${"x".repeat(1_023)}\ud83d\ude00`, `${"x".repeat(1_023)}\ufffd`],
    ["complete pairs, unchanged", "/\ud83d\ude00/é/\u4e2d", "/\ud83d\ude00/é/\u4e2d"],
    ["a byte order mark, unchanged", "\ufeff/a", "\ufeff/a"],
  ])("are sanitized: %s", async (_, path, expected) => {
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

  it.skipIf(postgres === undefined)("are accepted by PostgreSQL, which rejects the originals", async () => {
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

  it.skipIf(mysql === undefined)("are accepted by MariaDB or MySQL", async () => {
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

describe("auditLog writes", () => {
  it("within the interval, in batches of 500", async () => {
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

  it("under unchanged ids after an outage, also if a response was lost", async () => {
    vi.useFakeTimers();
    const ids: string[][] = [];
    const table = new Set<string>();
    const { observer, flush } = closeAfterEach(
      auditLog({
        async appendAudit(entries) {
          ids.push(entries.map(({ id }) => id));
          for (const { id } of entries) table.add(id);
          if (ids.length < 3) throw new Error("response lost");
        },
      }),
    );
    for (let i = 0; i < 10; i++) observer(allowed("a"));
    await vi.advanceTimersByTimeAsync(60_000);
    await flush();
    expect(new Set(ids.flat()).size).toBe(10);
    expect(table.size).toBe(10);
  });

  it("through the store's method with its receiver", async () => {
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

describe("auditLog with a verifier", () => {
  /** A service whose audit trail is recorded. */
  function service(options: AuditLogOptions = {}) {
    const appended: AuditEntry[] = [];
    const memory = memoryStore();
    const appendAudit = (entries: readonly AuditEntry[]) => void appended.push(...entries);
    const store: ManagedKeyStore = { ...memory, appendAudit };
    const audit = closeAfterEach(auditLog(store, { interval: "20ms", ...options }));
    const usage = closeAfterEach(lastUsed(store, { interval: "20ms" }));
    const verifier = createVerifier({
      store,
      scopes,
      format,
      observers: [audit.observer, usage.observer],
      clock: () => START,
    });
    const manager = createKeyManager({ store, scopes, format });
    const send = async (secret: string, scope: "vehicles:read" | "vehicles:write", path: string) =>
      verifier.verify(
        { headers: { authorization: `Bearer ${secret}` }, method: "PUT", path, remoteAddress: "192.0.2.7" },
        scope,
      );
    return { appended, audit, manager, send };
  }

  it("records routes of scopes marked audit", async () => {
    vi.useFakeTimers();
    const { appended, manager, send } = service();
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:write"],
      environment: "live",
    });
    expect((await send(secret, "vehicles:read", "/vehicles")).ok).toBe(true);
    expect((await send(secret, "vehicles:write", "/vehicles/7?token=x")).ok).toBe(true);
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

  it("records denials of known keys with denied: true", async () => {
    const { appended, audit, manager, send } = service({ denied: true });
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    await send(secret, "vehicles:write", "/vehicles");
    await manager.revoke(key.id);
    await send(secret, "vehicles:write", "/vehicles");
    await send("ezt_live_junk", "vehicles:write", "/vehicles");
    await audit.close();
    expect(appended.map(({ keyId, details }) => [keyId, details.code, details.reason])).toEqual([
      [key.id, "insufficient_scope", "insufficient_scope"],
      [key.id, "invalid_key", "revoked"],
    ]);
  });

  it("does not delay or deny requests if the store hangs", async () => {
    const audit = closeAfterEach(auditLog({ appendAudit: never }, { closeTimeout: "50ms", max: 100 }));
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

  it.skipIf(memoryStore().appendAudit === undefined)(
    "adds entries to the audit trail of the key",
    async () => {
      const store = memoryStore();
      const audit = closeAfterEach(auditLog(store));
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
    },
  );
});

describe("auditLog options", () => {
  const store = { appendAudit() {} };

  it.each<[string, unknown, unknown, RegExp]>([
    ["no store", undefined, undefined, /appendAudit/],
    ["a store that cannot append", { touch() {} }, undefined, /appendAudit/],
    ["no options", store, null, /options/],
    ["an unknown option", store, { intervalMs: 5 }, /"intervalMs"/],
    ["an interval of 0", store, { interval: "0ms" }, /"interval"/],
    ["an interval that is a number", store, { interval: 1_000 }, /write "1000ms"/],
    ["max of 0", store, { max: 0 }, /"max"/],
    ["max of 1.5", store, { max: 1.5 }, /"max"/],
    ["an infinite max", store, { max: Number.POSITIVE_INFINITY }, /"max"/],
    ["denied that is no boolean", store, { denied: "yes" }, /"denied"/],
    ["onError that is no function", store, { onError: true }, /"onError"/],
    ["storeTimeout of NaN", store, { storeTimeout: Number.NaN }, /"storeTimeout"/],
    ["a negative closeTimeout", store, { closeTimeout: -1 }, /"closeTimeout"/],
  ])("throws a TypeError for %s", (_, first, options, message) => {
    const make = () => auditLog(first as never, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it("returns a frozen object; DroppedError has a code", () => {
    expect(Object.isFrozen(auditLog(store))).toBe(true);
    expect(new DroppedError("x")).toMatchObject({ name: "DroppedError", code: "KEYBEARER_DROPPED" });
  });
});
