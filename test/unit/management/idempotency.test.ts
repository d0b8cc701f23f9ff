import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createKeyManager, type IssuedKey, type ManagedKeyStore } from "../../../src/index.js";
import { memoryIdempotency } from "../../../src/management/idempotency-store.js";
import type { IdempotencyStore, ManagementOptions } from "../../../src/management/index.js";
import { HttpProblem } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FleetScope, format, START, scopes } from "../core/fixtures.js";
import { type ApiResponse, type Call, managementApi, type Setup, USERS, type User } from "./fixtures.js";

const SECRET = "0123456789abcdef0123456789abcdef";
const BODY = { scopes: ["vehicles:read"], environment: "live", name: "build server" };
const HOUR = 3_600_000;

/** A store whose values can be read and changed. */
function openStore() {
  const values = new Map<string, string>();
  const store: IdempotencyStore = {
    compareAndSet({ id }, expected, value) {
      const current = values.get(id);
      if (current !== expected) return current;
      if (value === null) values.delete(id);
      else values.set(id, value);
      return current;
    },
  };
  return { values, store };
}

function idempotent(options: Partial<ManagementOptions<FleetScope>> = {}, setup: Setup = {}) {
  const open = openStore();
  const idempotency = { store: open.store, secret: SECRET };
  const requires = { read: "vehicles:write", write: "vehicles:write" } as const;
  const api = managementApi({ idempotency, requires, ...options }, setup);
  const post = (call: Call & { key?: string; at?: string } = {}): Promise<ApiResponse> => {
    const { key = "3f0c2a9e", at = "/api-keys", json = BODY, headers, ...rest } = call;
    return api.call(`POST ${at}`, { json, ...rest, headers: { "idempotency-key": key, ...headers } });
  };
  return { ...api, ...open, post, count: async () => (await api.manager.list()).items.length };
}

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a repeated request with an Idempotency-Key", () => {
  test("returns the first response of a creation, byte for byte, and creates one key", async () => {
    const { post, count, manager } = idempotent();
    const first = await post();
    vi.setSystemTime(Date.now() + 24 * HOUR - 1);
    const again = await post();
    expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([201, null]);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
    expect(again.text).toBe(first.text);
    expect(again.headers.get("location")).toBe(first.headers.get("location"));
    expect(again.headers.get("cache-control")).toBe("no-store");
    expect(await count()).toBe(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  test("returns the first response of a rotation, which would otherwise be a 409", async () => {
    const { post, issue, count } = idempotent();
    const { key } = await issue();
    const at = `/api-keys/${key.id}/rotate`;
    const first = await post({ at, json: { overlap: "1h" } });
    const again = await post({ at, json: { overlap: "1h" } });
    expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
    expect((await post({ at, json: { overlap: "1h" }, key: "other" })).status).toBe(409);
    expect(await count()).toBe(2);
  });

  test("returns it to a key that rotates itself, while its overlap lasts", async () => {
    const { post, issue } = idempotent();
    const own = await issue({ scopes: ["vehicles:write"] });
    const call = { at: `/api-keys/${own.key.id}/rotate`, json: {}, as: own.secret };
    const first = await post(call);
    expect(await post(call)).toMatchObject({ status: 201, text: first.text });
    expect(first.body.key.replaces).toBe(own.key.id);
  });

  test("compares the members of the body, not its bytes", async () => {
    const { post } = idempotent();
    const first = await post();
    const text = ' {"name":"build server", "environment":"live","scopes":["vehicles:read"]}';
    expect((await post({ text, json: undefined })).text).toBe(first.text);
  });

  test("is a 422 with another body, key or route", async () => {
    const { post, issue, count } = idempotent();
    const { key } = await issue();
    await post();
    for (const call of [
      { json: { ...BODY, name: "other" } },
      { json: { ...BODY, metadata: {} } },
      { json: {}, at: `/api-keys/${key.id}/rotate` },
    ]) {
      const { status, body } = await post(call);
      expect([status, body.code]).toEqual([422, "idempotency_key_reused"]);
    }
    expect(await count()).toBe(2);
  });

  test("is executed again after 24 hours", async () => {
    const { post, count } = idempotent({ idempotency: "per-process" });
    await post();
    vi.setSystemTime(Date.now() + 24 * HOUR);
    expect((await post()).headers.get("idempotent-replayed")).toBe(null);
    expect(await count()).toBe(2);
  });

  test("is executed again if the first one failed before it created a key", async () => {
    const { post, count, values } = idempotent();
    expect((await post({ json: { ...BODY, expiresAt: "2000-01-01T00:00:00Z" } })).status).toBe(400);
    expect((await post({ json: { ...BODY, scopes: ["nothing:here"] } })).status).toBe(400);
    expect((await post({ as: "jwt-bob", json: { ...BODY, scopes: ["fleet:admin"] } })).status).toBe(403);
    expect(values.size).toBe(0);
    expect((await post()).status).toBe(201);
    expect(await count()).toBe(1);
  });

  test("is ignored by routes that can be repeated anyway", async () => {
    const { post, issue, values } = idempotent();
    const { key } = await issue();
    expect((await post({ at: `/api-keys/${key.id}/disable`, json: {}, key: "a b" })).status).toBe(200);
    expect(values.size).toBe(0);
  });

  test.each(["", "a b", "é", "a, a", "x".repeat(256), "a\tb"])("is a 400 with the key %j", async (key) => {
    const { post, count } = idempotent();
    const { status, body } = await post({ key });
    expect([status, body.code, await count()]).toEqual([400, "invalid_idempotency_key", 0]);
  });
});

describe("a stored response", () => {
  test("returns the first response of a rotation with If-Match, which changed the key", async () => {
    const { call, post, issue, clock } = idempotent();
    const { key } = await issue();
    const tag = (await call(`GET /api-keys/${key.id}`, { as: "jwt-ann" })).headers.get("etag") as string;
    const rotate = () => {
      clock.set(clock.now().getTime() + 1_000);
      return post({ at: `/api-keys/${key.id}/rotate`, json: {}, headers: { "if-match": tag } });
    };
    const first = await rotate();
    const again = await rotate();
    expect([first.status, again.status, again.text]).toEqual([201, 201, first.text]);
  });

  test("belongs to one caller, also if a user of another issuer or of a key's id repeats the request", async () => {
    const ann = USERS["jwt-ann"] as User;
    const users: Record<string, User> = {};
    const { post, issue, values } = idempotent({ tokensMayGrant: true }, { users });
    const { key } = await issue({ scopes: ["fleet:admin"] });
    const claims = { iss: "https://one.example", exp: START.getTime() / 1_000 + 60 };
    Object.assign(users, {
      one: { ...ann, claims },
      other: { ...ann, claims: { ...claims, iss: "https://other.example" } },
      user: { ...ann, claims, id: key.id },
      token: { ...ann, claims, id: key.id, key },
    });
    const secrets = new Set<string>();
    for (const as of Object.keys(users)) {
      const { status, body } = await post({ as });
      expect(status).toBe(201);
      secrets.add(body.secret);
    }
    expect([secrets.size, values.size]).toEqual([4, 4]);
  });

  test("belongs to one caller: owner, user or key, and environment", async () => {
    const tess = { ...USERS["jwt-ann"], environment: "test" } as never;
    const users = { ...USERS, "jwt-tess": tess, "jwt-ann2": { ...USERS["jwt-ann"], id: "ann2" } as never };
    const { post, issue, values } = idempotent({}, { users });
    const one = await issue({ scopes: ["fleet:admin"] });
    const two = await issue({ scopes: ["fleet:admin"] });
    const secrets = new Set<string>();
    for (const as of ["jwt-ann", "jwt-ann2", "jwt-eve", one.secret, two.secret]) {
      const { status, body } = await post({ as });
      expect(status).toBe(201);
      secrets.add(body.secret);
    }
    secrets.add((await post({ as: "jwt-tess", json: { ...BODY, environment: "test" } })).body.secret);
    expect([secrets.size, values.size]).toEqual([6, 6]);
  });

  test("contains no secret, key id, owner, Idempotency-Key or body in clear", async () => {
    const { post, values } = idempotent();
    const { body } = await post({ key: "order-17" });
    const [[id = "", value = ""] = []] = values;
    const stored = [
      id,
      value,
      Buffer.from(JSON.parse(value).response, "base64url").toString("latin1"),
    ].join();
    for (const text of [
      body.secret,
      body.secret.slice(9, 20),
      body.key.id,
      '"acme"',
      "order-17",
      "build server",
      '"ann"',
    ]) {
      expect(stored).not.toContain(text);
    }
  });

  test("is not sent to a key that was revoked, nor to a user who lost the scope", async () => {
    const users = { ...USERS };
    const { post, issue, manager } = idempotent({}, { users });
    const own = await issue({ scopes: ["fleet:admin"] });
    expect((await post({ as: own.secret })).status).toBe(201);
    await manager.revoke(own.key.id);
    const denied = await post({ as: own.secret });
    expect([denied.status, denied.text.includes("ezt_")]).toEqual([401, false]);

    const wide = { ...BODY, scopes: ["fleet:admin"] };
    expect((await post({ json: wide })).status).toBe(201);
    users["jwt-ann"] = { id: "ann", ownerId: "acme", scopes: ["vehicles:write"] };
    expect((await post({ json: wide })).body.code).toBe("insufficient_scope");
    users["jwt-ann"] = { id: "ann", ownerId: "acme", scopes: ["vehicles:read"] };
    expect((await post({ json: wide })).status).toBe(403);
  });

  test("is not sent to a key whose revocation the verifier has not seen yet", async () => {
    const { post, issue, manager, verifier, store } = idempotent();
    const own = await issue({ scopes: ["fleet:admin"] });
    const stale = await verifier.verify({ headers: { authorization: `Bearer ${own.secret}` } });
    const cached = idempotent({
      keys: manager,
      verifier: { assertRequirement: verifier.assertRequirement, verify: async () => stale },
      idempotency: { store, secret: SECRET },
    });
    const first = await post({ as: own.secret });
    expect((await cached.post({ as: own.secret })).text).toBe(first.text);
    await manager.revoke(own.key.id);
    const { status, text } = await cached.post({ as: own.secret });
    expect([status, text.includes("ezt_")]).toEqual([401, false]);
  });

  test("is not sent if its key was revoked or has expired", async () => {
    const { post, manager, clock } = idempotent();
    const { body } = await post();
    await manager.revoke(body.key.id);
    expect(await post()).toMatchObject({ status: 409, body: { code: "key_state" } });
    const short = { ...BODY, expiresAt: "2030-01-02T00:00:00Z" };
    expect((await post({ key: "b", json: short })).status).toBe(201);
    expect((await post({ key: "b", json: short })).status).toBe(201);
    clock.set(new Date("2030-01-02T00:00:00Z"));
    expect((await post({ key: "b", json: short })).body.code).toBe("key_state");
  });

  test.each<[string, (value: string, other: string) => string]>([
    ["changed", (value) => value.replace(/"response":"../, '"response":"AA')],
    ["cut", (value) => value.replace(/"response":"[^"]*"/, '"response":"AAAA"')],
    [
      "of another caller",
      (value, other) => {
        const { response, salt } = JSON.parse(other);
        return JSON.stringify({ ...JSON.parse(value), response, salt });
      },
    ],
    ["not an entry", () => "[]"],
    ["not JSON", () => "{"],
  ])("that is %s is a 503, without a new key", async (_, change) => {
    const { post, values, count, errors } = idempotent();
    await post();
    await post({ as: "jwt-eve" });
    const [[id = "", value = ""] = [], [, other = ""] = []] = values;
    values.set(id, change(value, other));
    const { status, text } = await post();
    expect([status, text.includes("ezt_live_0"), await count(), errors.length]).toEqual([503, false, 2, 1]);
  });

  test("is unknown after the secret was changed", async () => {
    const { store } = openStore();
    const keys = memoryStore();
    const one = idempotent({ idempotency: { store, secret: SECRET } }, { store: keys });
    const two = idempotent({ idempotency: { store, secret: `${SECRET}2` } }, { store: keys });
    expect((await one.post()).body.secret).not.toBe((await two.post()).body.secret);
  });
});

describe("concurrent requests with one Idempotency-Key", () => {
  test("create one key; the others are a 409 or the same response", async () => {
    const { post, count } = idempotent();
    const responses = await Promise.all(Array.from({ length: 20 }, () => post()));
    const created = responses.filter(({ status }) => status === 201);
    expect(new Set(created.map(({ text }) => text)).size).toBe(1);
    for (const { status, body, headers } of responses.filter((response) => response.status !== 201)) {
      expect([status, body.code, headers.get("retry-after")]).toEqual([409, "idempotency_in_progress", "1"]);
    }
    expect(await count()).toBe(1);
  });

  test("wait for a slow one for a minute; then one takes over, and the slow one creates nothing", async () => {
    const started = gate();
    const blocked = gate();
    let calls = 0;
    const { post, count } = idempotent({
      defaults: async () => {
        if (++calls > 1) return {};
        started.open();
        await blocked.opened;
        return {};
      },
    });
    const slow = post();
    await started.opened;
    vi.setSystemTime(Date.now() + 59_999);
    expect((await post()).body.code).toBe("idempotency_in_progress");
    vi.setSystemTime(Date.now() + 1);
    const taken = await post();
    blocked.open();
    expect([taken.status, (await slow).body.code]).toEqual([201, "idempotency_in_progress"]);
    expect((await post()).text).toBe(taken.text);
    expect(await count()).toBe(1);
  });
});

describe("a failure", () => {
  /** A store whose next insert fails, before or after it has written. */
  function failing(moment: "before" | "after") {
    const store = memoryStore();
    let fails = true;
    const insert: ManagedKeyStore["insert"] = async (...parameters) => {
      if (!fails) return store.insert(...parameters);
      fails = false;
      if (moment === "after") await store.insert(...parameters);
      throw new Error("connection lost");
    };
    return { ...store, insert };
  }

  test("after the key was written returns its secret to the repeated request", async () => {
    const { post, count, verifier } = idempotent({}, { store: failing("after") });
    expect((await post()).status).toBe(503);
    const { status, body } = await post();
    expect([status, await count()]).toEqual([201, 1]);
    expect(await verifier.verify({ headers: { authorization: `Bearer ${body.secret}` } })).toMatchObject({
      ok: true,
    });
  });

  test("before the key was written is a 409 for a minute, in case it is written late", async () => {
    const { post, count } = idempotent({}, { store: failing("before") });
    expect((await post()).status).toBe(503);
    expect((await post()).body.code).toBe("idempotency_in_progress");
    vi.setSystemTime(Date.now() + 60_000);
    expect([(await post()).status, await count()]).toEqual([201, 1]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
    ["returns something else", () => ({}) as never],
  ])("of the store that %s is a 503, without a key", async (_, compareAndSet) => {
    const store = { compareAndSet };
    const { post, count, errors } = idempotent({ idempotency: { store, secret: SECRET } });
    const { status, body } = await post();
    expect([status, body.code, await count(), errors.length]).toEqual([503, "unavailable", 0, 1]);
    expect(String(errors[0])).toMatch(/^StoreError: The idempotency store/);
  });

  test("of the store between reservation and response creates no key", async () => {
    const { store } = openStore();
    let calls = 0;
    const compareAndSet: IdempotencyStore["compareAndSet"] = (...parameters) => {
      if (++calls === 2) throw new Error("down");
      return store.compareAndSet(...parameters);
    };
    const { post, count } = idempotent({ idempotency: { store: { compareAndSet }, secret: SECRET } });
    expect([(await post()).status, await count()]).toEqual([503, 0]);
    expect([(await post()).status, await count()]).toEqual([201, 1]);
  });

  test("of the presenter creates no key", async () => {
    let fails = true;
    const created = (issued: IssuedKey) => {
      if (fails) throw new Error("bug");
      return issued;
    };
    const { post, count } = idempotent({ presenter: { created } });
    expect([(await post()).status, await count()]).toEqual([500, 0]);
    fails = false;
    expect([(await post()).status, await count()]).toEqual([201, 1]);
  });

  test("can be decided by the store with an HttpProblem", async () => {
    const compareAndSet = () => {
      throw new HttpProblem(402, "too_poor", "Pay first.");
    };
    const { post, errors } = idempotent({ idempotency: { store: { compareAndSet }, secret: SECRET } });
    expect([(await post()).body.code, errors]).toEqual(["too_poor", []]);
  });
});

test("a manager of the host that ignores beforeCommit stores the response afterwards", async () => {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format });
  const create: typeof manager.create = (input) => manager.create(input);
  const { post } = idempotent({ keys: { ...manager, create } }, { store });
  const first = await post();
  expect(await post()).toMatchObject({ status: 201, text: first.text });
});

describe("the option idempotency", () => {
  test.each<[unknown, string]>([
    [undefined, '"idempotency"'],
    [{}, '"idempotency.store"'],
    [{ store: {}, secret: SECRET }, "compareAndSet"],
    [{ store: memoryIdempotency() }, '"idempotency.secret"'],
    [{ store: memoryIdempotency(), secret: "short" }, '"idempotency.secret"'],
    [{ store: memoryIdempotency(), secret: SECRET, ttl: "1h" }, '"ttl"'],
  ])("%j is rejected", (idempotency, message) => {
    expect(() => managementApi({ idempotency } as never)).toThrow(TypeError);
    expect(() => managementApi({ idempotency } as never)).toThrow(message);
  });

  test("warns once at the first Idempotency-Key unless it is set", async () => {
    const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      const headers = { "idempotency-key": "a" };
      const silent = managementApi({ idempotency: "per-process" });
      await silent.call("POST /api-keys", { json: BODY, headers });
      const { call } = managementApi();
      await call("POST /api-keys", { json: BODY });
      expect(warnings).not.toHaveBeenCalled();
      const first = await call("POST /api-keys", { json: BODY, headers });
      expect((await call("POST /api-keys", { json: BODY, headers })).text).toBe(first.text);
      expect(warnings.mock.calls).toEqual([
        [expect.any(String), expect.objectContaining({ code: "KEYBEARER_LOCAL_IDEMPOTENCY" })],
      ]);
    } finally {
      warnings.mockRestore();
    }
  });
});

describe("the store in memory", () => {
  const entry = (id: string, ownerId = "acme", until = new Date(Date.now() + HOUR)) => ({
    id,
    ownerId,
    until,
  });

  test("rejects an owner that has too many entries, and nobody else", async () => {
    const store = memoryIdempotency(10, 100);
    await store.compareAndSet(entry("a"), undefined, "12345");
    await store.compareAndSet(entry("a"), "12345", "123456789");
    expect(() => store.compareAndSet(entry("b"), undefined, "12")).toThrow(
      expect.objectContaining({ status: 429, code: "rate_limited" }),
    );
    expect(store.compareAndSet(entry("b", "other"), undefined, "12")).toBeUndefined();
    store.compareAndSet(entry("a"), "123456789", null);
    expect(store.compareAndSet(entry("b"), undefined, "12")).toBe("12");
    expect(store.compareAndSet(entry("c"), undefined, "1234567890")).toBeUndefined();
  });

  test("rejects entries when it is full, until others expire", () => {
    const store = memoryIdempotency(10, 15);
    store.compareAndSet(entry("a", "a"), undefined, "1234567890");
    expect(() => store.compareAndSet(entry("b", "b"), undefined, "123456")).toThrow("full");
    vi.setSystemTime(Date.now() + HOUR);
    expect(store.compareAndSet(entry("b", "b"), undefined, "123456")).toBeUndefined();
    expect(store.compareAndSet(entry("a", "a"), undefined, "1")).toBeUndefined();
  });
});
