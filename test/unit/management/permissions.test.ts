import { describe, expect, test } from "vitest";
import type { KeyManager, Verifier } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import type { FleetScope } from "../core/fixtures.js";
import { type Api, DAY, later, managementApi, type Setup, USERS } from "./fixtures.js";

/** Keys with vehicles:write manage keys. */
const BY_KEYS = { requires: { read: "vehicles:read", write: "vehicles:write" } } as const;
const byKeys = (setting?: Setup): Api => managementApi(BY_KEYS, setting);
const STRONG: readonly FleetScope[] = ["fleet:admin"];

const onKey = (id: string): readonly [line: string, json?: unknown][] => [
  [`GET /api-keys/${id}`],
  [`PATCH /api-keys/${id}`, { name: "x" }],
  [`DELETE /api-keys/${id}`],
  [`POST /api-keys/${id}/rotate`],
  [`POST /api-keys/${id}/disable`],
  [`POST /api-keys/${id}/enable`],
  [`GET /api-keys/${id}/audit`],
];

describe("owners", () => {
  test("another owner's key is the same 404 as an unknown one, byte for byte", async () => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    const headers = { "x-request-id": "one" };
    for (const [index, [line, json]] of onKey(key.id).entries()) {
      const theirs = await call(line, { as: "jwt-eve", json, headers });
      const [unknownLine, unknownJson] = onKey(`key_${"0".repeat(32)}`)[index] ?? ["", undefined];
      const unknown = await call(unknownLine, { as: "jwt-eve", json: unknownJson, headers });
      expect(theirs.status).toBe(404);
      expect(theirs.text).toBe(unknown.text);
      expect([...theirs.headers]).toEqual([...unknown.headers]);
      expect(theirs.body).toEqual({ message: "No key has this id.", code: "not_found", requestId: "one" });
    }
    expect(await manager.get(key.id)).toEqual(key);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  test("validates the input before looking up the key", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue();
    const bad = { json: { name: 7 }, as: "jwt-eve", headers: { "x-request-id": "one" } };
    const theirs = await call(`PATCH /api-keys/${key.id}`, bad);
    expect([theirs.status, theirs.text]).toEqual([400, (await call("PATCH /api-keys/none", bad)).text]);
  });

  test("lists and audit trails contain only keys of the own owner", async () => {
    const { call, issue } = managementApi();
    await issue();
    const { body } = await call("GET /api-keys", { as: "jwt-eve" });
    expect(body).toEqual({ items: [] });
    const mine = await call("POST /api-keys", { as: "jwt-eve", json: { scopes: [], environment: "live" } });
    expect(mine.body.key.ownerId).toBe("evil");
    expect((await call("GET /api-keys", { as: "jwt-eve" })).body.items).toHaveLength(1);
    expect((await call("GET /api-keys")).body.items).toHaveLength(1);
  });

  test("a cursor of another owner's list returns none of its keys", async () => {
    const { call, issue } = managementApi();
    for (let i = 0; i < 3; i++) await issue();
    const { nextCursor } = (await call("GET /api-keys?limit=1")).body;
    expect((await call(`GET /api-keys?cursor=${nextCursor}`, { as: "jwt-eve" })).body).toEqual({ items: [] });
  });

  test("rejects an ownerId in defaults and calls onError", async () => {
    const defaults = () => ({ ownerId: "evil" }) as object;
    const { call, errors, manager } = managementApi({ defaults });
    const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([status, body.code]).toEqual([500, "internal_error"]);
    expect(String(errors)).toContain('unknown option "ownerId"');
    expect((await manager.list()).items).toEqual([]);
  });
});

describe("authorization", () => {
  test("without a requirement, keys cannot manage keys but can call /me", async () => {
    const { call, issue, manager } = managementApi();
    const { secret, key } = await issue({ scopes: STRONG });
    for (const [line, json] of [
      ...onKey(key.id),
      ["GET /api-keys"] as const,
      ["POST /api-keys", { scopes: [] }] as const,
    ]) {
      const { status, body } = await call(line, { as: secret, json });
      expect([line, status, body.code]).toEqual([line, 403, "api_key_not_allowed"]);
    }
    expect((await call("GET /me", { as: secret })).status).toBe(200);
    expect((await manager.list()).items).toEqual([key]);
  });

  test("a read requirement allows reading only", async () => {
    const { call, issue } = managementApi({ requires: { read: "vehicles:read" } });
    const { secret, key } = await issue({ scopes: STRONG });
    for (const [line, json] of onKey(key.id)) {
      const { status } = await call(line, { as: secret, json });
      expect([line, status]).toEqual([line, line.startsWith("GET") ? 200 : 403]);
    }
  });

  test("a token made from a key counts as a key", async () => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const users = { "jwt-of-key": { ...key, scopes: STRONG, environment: "live", key } };
    const { call } = managementApi({ keys: manager }, { store, users });
    const denied = await call("GET /api-keys", { as: "jwt-of-key" });
    expect([denied.status, denied.body.code]).toEqual([403, "api_key_not_allowed"]);
    expect((await call("GET /me", { as: "jwt-of-key" })).body.id).toBe(key.id);
  });

  test("a token made from a key counts as a key, even if its verifier does not provide the key", async () => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const claims = { sub: key.id, key_id: key.id, key_version: 1, owner_id: "acme" };
    const users = { "jwt-of-key": { id: key.id, ownerId: "acme", scopes: STRONG, claims } };
    for (const options of [{}, BY_KEYS]) {
      const { call } = managementApi({ ...options, keys: manager }, { store, users });
      for (const [line, json] of onKey(key.id)) {
        const denied = await call(line, { as: "jwt-of-key", json });
        expect([line, denied.status, denied.body.code]).toEqual([line, 403, "api_key_not_allowed"]);
      }
    }
  });

  test("denies a key that its verifier does not provide, because its bounds are unknown", async () => {
    const verifier: Verifier<FleetScope> = {
      assertRequirement() {},
      verify: async () => ({
        ok: true,
        headers: {},
        principal: {
          type: "api_key",
          id: "key_1",
          ownerId: "acme",
          environment: undefined,
          scopes: STRONG,
          requestId: "",
          can: () => true,
        },
      }),
    };
    const { call } = managementApi({ ...BY_KEYS, verifier });
    expect((await call("GET /api-keys")).body.code).toBe("api_key_not_allowed");
    expect((await call("GET /me")).body.code).toBe("not_an_api_key");
  });

  test("users need the required scopes too", async () => {
    const { call } = byKeys();
    expect((await call("GET /api-keys", { as: "jwt-bob" })).status).toBe(200);
    const json = { scopes: [], environment: "live" };
    const { status, body, headers } = await call("POST /api-keys", { as: "jwt-bob", json });
    expect([status, body]).toEqual([
      403,
      {
        code: "insufficient_scope",
        message: body.message,
        requestId: headers.get("x-request-id"),
        requiredScopes: ["vehicles:write"],
        grantedScopes: ["vehicles:read"],
        missingScopes: ["vehicles:write"],
      },
    ]);
    expect(headers.get("www-authenticate")).toContain('error="insufficient_scope", scope="vehicles:write"');
  });

  test("keyVerifier verifies /me, verifier all other routes", async () => {
    const { verifier, manager, store, issue } = managementApi();
    const { secret } = await issue();
    const tokens: Verifier<FleetScope> = managementApi({}, { store }).verifier;
    const only = managementApi({ keys: manager, verifier: tokens, keyVerifier: verifier }, { store });
    expect((await only.call("GET /me", { as: secret })).status).toBe(200);
    expect((await only.call("GET /me", { as: "jwt-ann" })).status).toBe(401);
  });
});

describe("grants are limited to what the principal holds", () => {
  const scopeError = async (api: Api, as: string, scopes: readonly string[]) => {
    const { status, body } = await api.call("POST /api-keys", { as, json: { scopes } });
    return [status, body.code, body.missingScopes];
  };

  test("denies a new key with scopes that the key does not hold", async () => {
    const api = byKeys();
    const { secret } = await api.issue({ scopes: ["vehicles:write"] });
    const granted = await api.call("POST /api-keys", { as: secret, json: { scopes: ["vehicles:read"] } });
    expect([granted.status, granted.body.key.scopes]).toEqual([201, ["vehicles:read"]]);
    expect(await scopeError(api, secret, ["vehicles:write"])).toEqual([201, undefined, undefined]);
    expect(await scopeError(api, secret, [])).toEqual([201, undefined, undefined]);
    expect(await scopeError(api, secret, ["vehicles:write", "drivers:read", "fleet:admin"])).toEqual([
      403,
      "insufficient_scope",
      ["drivers:read", "fleet:admin"],
    ]);
    expect(await scopeError(api, secret, ["fleet:admin", "fleet:admin"])).toEqual([
      403,
      "insufficient_scope",
      ["fleet:admin"],
    ]);
    expect((await scopeError(api, secret, ["reports:read"]))[0]).toBe(400);
    expect((await scopeError(api, secret, ["unknown:scope"]))[0]).toBe(400);
  });

  test("denies users in the same way", async () => {
    const { call } = managementApi();
    const json = { scopes: ["vehicles:read", "vehicles:write"], environment: "live" };
    const { status, body } = await call("POST /api-keys", { as: "jwt-bob", json });
    expect([status, body]).toEqual([
      403,
      {
        message: "You can only grant scopes that you hold.",
        code: "insufficient_scope",
        requestId: body.requestId,
        requiredScopes: ["vehicles:read", "vehicles:write"],
        grantedScopes: ["vehicles:read"],
        missingScopes: ["vehicles:write"],
      },
    ]);
  });

  test("checks scopes in defaults too", async () => {
    const { call } = managementApi({ defaults: () => ({ scopes: STRONG, environment: "live" }) });
    expect((await call("POST /api-keys", { as: "jwt-bob" })).status).toBe(403);
    expect((await call("POST /api-keys", { as: "jwt-ann" })).body.key.scopes).toEqual(STRONG);
  });

  test("denies rotating or enabling a stronger key", async () => {
    const { call, issue, manager } = byKeys();
    const weak = await issue({ scopes: ["vehicles:write"] });
    const strong = await issue({ scopes: STRONG });
    for (const verb of ["rotate", "enable"]) {
      const { status, body } = await call(`POST /api-keys/${strong.key.id}/${verb}`, { as: weak.secret });
      expect([verb, status, body.code]).toEqual([verb, 403, "insufficient_scope"]);
    }
    await manager.disable(strong.key.id);
    expect((await call(`POST /api-keys/${strong.key.id}/enable`, { as: weak.secret })).status).toBe(403);
    expect((await manager.get(strong.key.id))?.status).toBe("disabled");
    expect((await manager.list({ ownerId: "acme" })).items).toHaveLength(2);
  });

  test("denies updating a stronger key, but allows revoking it", async () => {
    const { call, issue } = byKeys();
    const weak = await issue({ scopes: ["vehicles:write"] });
    const strong = await issue({ scopes: STRONG });
    const line = `/api-keys/${strong.key.id}`;
    for (const json of [{ name: "x" }, { ipAllowlist: null }, { expiresAt: null }, {}]) {
      expect((await call(`PATCH ${line}`, { as: weak.secret, json })).status).toBe(403);
    }
    expect((await call(`POST ${line}/disable`, { as: weak.secret })).body.status).toBe("disabled");
    expect((await call(`DELETE ${line}`, { as: weak.secret })).body.status).toBe("revoked");
  });

  test("denies a grant that exceeds the key in one member", async () => {
    const { call, issue } = byKeys();
    const bounds = {
      ipAllowlist: ["203.0.113.0/24"],
      expiresAt: later(DAY),
      rateLimit: { limit: 5, windowSeconds: 60 },
    };
    const own = await issue({ scopes: ["vehicles:write"], ...bounds });
    const wide = await issue({ scopes: ["vehicles:read"] });
    const paths = async (line: string, json: unknown) => {
      const { status, body } = await call(line, { as: own.secret, json });
      expect([line, status, body.code]).toEqual([line, 403, "exceeds_own_key"]);
      return body.errors.map(({ path }: { path: string }) => path);
    };
    const all = ["ipAllowlist", "expiresAt", "rateLimit"];
    const none = { ipAllowlist: null, expiresAt: null, rateLimit: null };
    const more = {
      ipAllowlist: ["203.0.113.0/24", "::1"],
      expiresAt: later(DAY + 1),
      rateLimit: { limit: 6, windowSeconds: 60 },
    };
    expect(await paths("POST /api-keys", { scopes: [], ...none })).toEqual(all);
    expect(await paths("POST /api-keys", { scopes: [], ...more, environment: "test" })).toEqual([
      "environment",
      ...all,
    ]);
    expect(await paths(`POST /api-keys/${wide.key.id}/rotate`, {})).toEqual(all);
    expect(await paths(`POST /api-keys/${wide.key.id}/enable`, {})).toEqual(all);
    expect(await paths(`PATCH /api-keys/${wide.key.id}`, { name: "x" })).toEqual(all);
    for (const change of [none, more]) {
      expect(await paths(`PATCH /api-keys/${own.key.id}`, change)).toEqual(all);
    }
    expect(await paths(`PATCH /api-keys/${own.key.id}`, { expiresAt: null })).toEqual(["expiresAt"]);

    const child = await call("POST /api-keys", { as: own.secret, json: { scopes: ["vehicles:read"] } });
    expect(child.status).toBe(201);
    expect(child.body.key).toMatchObject({
      ...bounds,
      environment: "live",
      expiresAt: later(DAY).toISOString(),
    });
    const narrower = { ipAllowlist: ["203.0.113.7"], rateLimit: { limit: 1, windowSeconds: 60 } };
    expect((await call(`PATCH /api-keys/${own.key.id}`, { as: own.secret, json: narrower })).status).toBe(
      200,
    );
  });

  test("a key can rotate itself; the successor has the same bounds", async () => {
    const { call, issue } = byKeys();
    const own = await issue({
      scopes: ["vehicles:write"],
      ipAllowlist: ["203.0.113.0/24"],
      expiresAt: later(DAY),
    });
    const line = `POST /api-keys/${own.key.id}/rotate`;
    const { status, body } = await call(line, { as: own.secret, json: { overlap: "0s" } });
    expect([status, body.key.ipAllowlist, body.key.expiresAt]).toEqual([
      201,
      own.key.ipAllowlist,
      own.key.expiresAt?.toISOString(),
    ]);
    expect((await call("GET /me", { as: own.secret })).status).toBe(401);
  });

  test("a child or the successor of a retiring key cannot extend its overlap", async () => {
    const { call, issue, manager } = byKeys();
    const own = await issue({ scopes: ["vehicles:write"] });
    const next = await manager.rotate(own.key.id, { overlap: "1h" });
    const child = await call("POST /api-keys", { as: own.secret, json: { scopes: [] } });
    expect(child.body.key.expiresAt).toBe(later(3_600_000).toISOString());
    const rotated = await call(`POST /api-keys/${next.key.id}/rotate`, { as: own.secret });
    expect([rotated.status, rotated.body.errors]).toMatchObject([403, [{ path: "expiresAt" }]]);
    const again = await call(`POST /api-keys/${own.key.id}/rotate`, { as: own.secret });
    expect([again.status, again.body.code]).toEqual([409, "key_state"]);
  });

  test("a key can revoke itself and is then invalid", async () => {
    const { call, issue } = byKeys();
    const own = await issue({ scopes: ["vehicles:write"] });
    const { status, body } = await call(`DELETE /api-keys/${own.key.id}?reason=done`, { as: own.secret });
    expect([status, body.status, body.revokedReason]).toEqual([200, "revoked", "done"]);
    expect((await call(`DELETE /api-keys/${own.key.id}`, { as: own.secret })).status).toBe(401);
  });

  test("a disabled or expired key cannot manage keys, including itself", async () => {
    const { call, issue, manager, clock } = byKeys();
    const own = await issue({ scopes: ["vehicles:write"], expiresAt: later(DAY) });
    await manager.disable(own.key.id);
    expect((await call(`POST /api-keys/${own.key.id}/enable`, { as: own.secret })).status).toBe(401);
    await manager.enable(own.key.id);
    clock.set(later(DAY));
    const json = { expiresAt: later(2 * DAY) };
    expect((await call(`PATCH /api-keys/${own.key.id}`, { as: own.secret, json })).status).toBe(401);
  });

  test("reports an inherited expiry beyond maxLifetime for the member expiresAt", async () => {
    const store = memoryStore();
    const before = byKeys({ store });
    const own = await before.issue({ scopes: ["vehicles:write"], expiresAt: later(90 * DAY) });
    const { call } = byKeys({ store, maxLifetime: "30d" });
    const { status, body } = await call("POST /api-keys", { as: own.secret, json: { scopes: [] } });
    expect([status, body.errors]).toMatchObject([400, [{ path: "expiresAt" }]]);
    const json = { scopes: [], expiresAt: later(DAY) };
    expect((await call("POST /api-keys", { as: own.secret, json })).status).toBe(201);
  });
});

describe("environments", () => {
  test.each(["key", "user"])("a %s with an environment sees and manages only keys of it", async (kind) => {
    const { call, issue, manager } = byKeys();
    const test = await issue({ scopes: ["vehicles:write"], environment: "test" });
    const live = await issue({ scopes: ["vehicles:read"], environment: "live" });
    const as = kind === "key" ? test.secret : "jwt-tess";
    for (const [line, json] of onKey(live.key.id)) {
      const { status, body } = await call(line, { as, json });
      expect([line, status, body.code]).toEqual([line, 404, "not_found"]);
    }
    const ids = async (query: string) =>
      (await call(`GET /api-keys${query}`, { as })).body.items.map(({ id }: { id: string }) => id);
    expect(await ids("")).toEqual([test.key.id]);
    expect(await ids("?environment=test")).toEqual([test.key.id]);
    expect(await ids("?environment=live")).toEqual([]);
    expect(await manager.get(live.key.id)).toEqual(live.key);

    const child = await call("POST /api-keys", { as, json: { scopes: [] } });
    expect([child.status, child.body.key.environment]).toEqual([201, "test"]);
    const wider = await call("POST /api-keys", { as, json: { scopes: [], environment: "live" } });
    expect([wider.status, wider.body.code, wider.body.errors]).toMatchObject([
      403,
      "exceeds_own_key",
      [{ path: "environment" }],
    ]);
  });

  test("users without an environment manage keys of every environment", async () => {
    const { call, issue } = managementApi();
    const keys = [await issue({ environment: "test" }), await issue({ environment: "live" })];
    for (const { key } of keys) expect((await call(`GET /api-keys/${key.id}`)).status).toBe(200);
  });
});

test.each<[string, object]>([
  ["an actor that is a promise", { actor: async () => "ann" }],
  ["an actor that is a promise, and rejects", { actor: () => Promise.reject(new Error("late")) }],
  ["an actor that is undefined", { actor: () => undefined }],
  ["an actor that is not a string", { actor: () => ({ id: "ann" }) }],
  ["defaults that resolve with undefined", { defaults: async () => undefined }],
  ["defaults that are not an object", { defaults: () => 42 }],
  ["defaults that are an array", { defaults: () => [] }],
])("%s is an error of the host and creates no key", async (_, options) => {
  const { call, errors, manager } = managementApi(options);
  const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
  expect([status, body.code]).toEqual([500, "internal_error"]);
  expect(errors).toEqual([expect.any(TypeError)]);
  expect((await manager.list()).items).toEqual([]);
});

test("an actor that cannot be stored is an error of the host", async () => {
  const users = { ...USERS, "jwt-odd": { id: "a\nb", ownerId: "acme", scopes: STRONG } };
  const { call, errors } = managementApi({}, { users });
  const { status, body } = await call("POST /api-keys", {
    as: "jwt-odd",
    json: { scopes: [], environment: "live" },
  });
  expect([status, body.code, errors.length]).toEqual([500, "internal_error", 1]);
  expect(body).not.toHaveProperty("errors");
});

describe("a key that its verifier has cached", () => {
  /** Creates an API whose verifier provides the key as it was before `change`. */
  const claims = { exp: later(DAY).getTime() / 1_000 };
  const withCachedKey = async (change: (manager: KeyManager<FleetScope>, id: string) => Promise<unknown>) => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const { key: other } = await issue();
    const users = { "jwt-of-key": { ...key, scopes: STRONG, environment: "live", key, claims } };
    await change(manager, key.id);
    const options = { ...BY_KEYS, keys: manager, tokensMayGrant: true };
    return { ...managementApi(options, { store, users }), other };
  };

  test.each<[string, (manager: KeyManager<FleetScope>, id: string) => Promise<unknown>]>([
    ["revoked", (manager, id) => manager.revoke(id)],
    ["disabled", (manager, id) => manager.disable(id)],
    ["rotated without an overlap", (manager, id) => manager.rotate(id)],
  ])("cannot change keys after it was %s", async (_, change) => {
    const { call, other, manager } = await withCachedKey(change);
    const writes: [string, json?: unknown][] = [
      ["POST /api-keys", { scopes: [] }],
      ...onKey(other.id).filter(([line]) => !line.startsWith("GET")),
    ];
    for (const [line, json] of writes) {
      const { status, headers, body } = await call(line, { as: "jwt-of-key", json });
      expect([line, status, body.code]).toEqual([line, 401, "invalid_key"]);
      expect(headers.get("www-authenticate")).toContain('error="invalid_token"');
    }
    expect(await manager.get(other.id)).toEqual(other);
  });

  test("cannot grant more than its current version", async () => {
    const { call } = await withCachedKey(async (manager, id) => {
      await manager.update(id, { ipAllowlist: ["10.0.0.0/8"] });
      await manager.rotate(id, { overlap: "1h" });
    });
    const { status, body } = await call("POST /api-keys", { as: "jwt-of-key", json: { scopes: [] } });
    expect([status, body.code]).toEqual([403, "exceeds_own_key"]);
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(["ipAllowlist", "expiresAt"]);
  });
});

test("a key that is revoked during defaults cannot create a key", async () => {
  const { call, issue, manager } = managementApi({
    ...BY_KEYS,
    async defaults() {
      await manager.revoke(key.id);
      return {};
    },
  });
  const { secret, key } = await issue({ scopes: STRONG });
  const { status, body } = await call("POST /api-keys", { as: secret, json: { scopes: [] } });
  expect([status, body.code]).toEqual([401, "invalid_key"]);
  expect((await manager.list()).items.map(({ id }) => id)).toEqual([key.id]);
});

test("checks the grant again on the version that is changed", async () => {
  const inner = memoryStore();
  const quiet = managementApi(BY_KEYS, { store: inner });
  const own = await quiet.issue({ scopes: ["vehicles:write"], ipAllowlist: ["203.0.113.0/24"] });
  const other = await quiet.issue({ scopes: ["vehicles:read"], ipAllowlist: ["203.0.113.0/24"] });
  let reads = 0;
  const manager: KeyManager<FleetScope> = {
    ...quiet.manager,
    async get(id) {
      const key = await quiet.manager.get(id);
      if (reads++ === 0) await quiet.manager.update(other.key.id, { ipAllowlist: null });
      return key;
    },
  };
  const { call } = managementApi({ ...BY_KEYS, keys: manager }, { store: inner });
  const { status, body } = await call(`POST /api-keys/${other.key.id}/rotate`, { as: own.secret });
  expect([status, body.code]).toEqual([403, "exceeds_own_key"]);
  expect((await quiet.manager.list()).items).toHaveLength(2);
});
