import { describe, expect, test } from "vitest";
import type { KeyManager, Verifier } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import type { FleetScope } from "../core/fixtures.js";
import { type Api, DAY, later, managementApi, PEOPLE, type Setting } from "./fixtures.js";

/** Keys that hold vehicles:write manage keys. */
const BY_KEYS = { requires: { read: "vehicles:read", write: "vehicles:write" } } as const;
const byKeys = (setting?: Setting): Api => managementApi(BY_KEYS, setting);
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

  test("what is wrong with the input is told before whether there is a key", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue();
    const bad = { json: { name: 7 }, as: "jwt-eve", headers: { "x-request-id": "one" } };
    const theirs = await call(`PATCH /api-keys/${key.id}`, bad);
    expect([theirs.status, theirs.text]).toEqual([400, (await call("PATCH /api-keys/none", bad)).text]);
  });

  test("lists and trails have one's own keys only", async () => {
    const { call, issue } = managementApi();
    await issue();
    const { body } = await call("GET /api-keys", { as: "jwt-eve" });
    expect(body).toEqual({ items: [] });
    const mine = await call("POST /api-keys", { as: "jwt-eve", json: { scopes: [], environment: "live" } });
    expect(mine.body.key.ownerId).toBe("evil");
    expect((await call("GET /api-keys", { as: "jwt-eve" })).body.items).toHaveLength(1);
    expect((await call("GET /api-keys")).body.items).toHaveLength(1);
  });

  test("a cursor of another owner's list shows nothing of it", async () => {
    const { call, issue } = managementApi();
    for (let i = 0; i < 3; i++) await issue();
    const { nextCursor } = (await call("GET /api-keys?limit=1")).body;
    expect((await call(`GET /api-keys?cursor=${nextCursor}`, { as: "jwt-eve" })).body).toEqual({ items: [] });
  });

  test("an owner that the host's defaults name is refused, and told to the operator", async () => {
    const defaults = () => ({ ownerId: "evil" }) as object;
    const { call, errors, manager } = managementApi({ defaults });
    const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([status, body.code]).toEqual([500, "internal_error"]);
    expect(String(errors)).toContain('unknown option "ownerId"');
    expect((await manager.list()).items).toEqual([]);
  });
});

describe("who may", () => {
  test("without a requirement keys manage nothing, whatever they hold, and see themselves", async () => {
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

  test("a requirement for reading opens reading only", async () => {
    const { call, issue } = managementApi({ requires: { read: "vehicles:read" } });
    const { secret, key } = await issue({ scopes: STRONG });
    for (const [line, json] of onKey(key.id)) {
      const { status } = await call(line, { as: secret, json });
      expect([line, status]).toEqual([line, line.startsWith("GET") ? 200 : 403]);
    }
  });

  test("a token that was made of a key is a key", async () => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const people = { "jwt-of-key": { ...key, scopes: STRONG, environment: "live", key } };
    const { call } = managementApi({ manager }, { store, people });
    const refused = await call("GET /api-keys", { as: "jwt-of-key" });
    expect([refused.status, refused.body.code]).toEqual([403, "api_key_not_allowed"]);
    expect((await call("GET /me", { as: "jwt-of-key" })).body.id).toBe(key.id);
  });

  test("a token that was made of a key is one also where its verifier knows no keys", async () => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const claims = { sub: key.id, key_id: key.id, key_version: 1, owner_id: "acme" };
    const people = { "jwt-of-key": { id: key.id, ownerId: "acme", scopes: STRONG, claims } };
    for (const options of [{}, BY_KEYS]) {
      const { call } = managementApi({ ...options, manager }, { store, people });
      for (const [line, json] of onKey(key.id)) {
        const refused = await call(line, { as: "jwt-of-key", json });
        expect([line, refused.status, refused.body.code]).toEqual([line, 403, "api_key_not_allowed"]);
      }
    }
  });

  test("a key that its verifier does not show is refused: nothing would bound its children", async () => {
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

  test("people need what is required too", async () => {
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

  test("keyVerifier decides over /me, verifier over the rest", async () => {
    const { verifier, manager, store, issue } = managementApi();
    const { secret } = await issue();
    const tokens: Verifier<FleetScope> = managementApi({}, { store }).verifier;
    const only = managementApi({ manager, verifier: tokens, keyVerifier: verifier }, { store });
    expect((await only.call("GET /me", { as: secret })).status).toBe(200);
    expect((await only.call("GET /me", { as: "jwt-ann" })).status).toBe(401);
  });
});

describe("nobody grants what they do not hold", () => {
  const scopeError = async (api: Api, as: string, scopes: readonly string[]) => {
    const { status, body } = await api.call("POST /api-keys", { as, json: { scopes } });
    return [status, body.code, body.missingScopes];
  };

  test("scopes of a new key", async () => {
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
    expect((await scopeError(api, secret, ["nobody:knows"]))[0]).toBe(400);
  });

  test("people neither", async () => {
    const { call } = managementApi();
    const json = { scopes: ["vehicles:read", "vehicles:write"], environment: "live" };
    const { status, body } = await call("POST /api-keys", { as: "jwt-bob", json });
    expect([status, body]).toEqual([
      403,
      {
        message: "Nobody can grant scopes that they do not hold.",
        code: "insufficient_scope",
        requestId: body.requestId,
        requiredScopes: ["vehicles:read", "vehicles:write"],
        grantedScopes: ["vehicles:read"],
        missingScopes: ["vehicles:write"],
      },
    ]);
  });

  test("nor through defaults", async () => {
    const { call } = managementApi({ defaults: () => ({ scopes: STRONG, environment: "live" }) });
    expect((await call("POST /api-keys", { as: "jwt-bob" })).status).toBe(403);
    expect((await call("POST /api-keys", { as: "jwt-ann" })).body.key.scopes).toEqual(STRONG);
  });

  test("rotate and enable would hand over, or revive, a stronger key", async () => {
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

  test("update of a stronger key is refused, its revocation is not", async () => {
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

  test("a key that is narrower in one way is stopped by every other", async () => {
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

  test("a key rotates itself, with all that bounds it", async () => {
    const { call, issue } = byKeys();
    const own = await issue({
      scopes: ["vehicles:write"],
      ipAllowlist: ["203.0.113.0/24"],
      expiresAt: later(DAY),
    });
    const { status, body } = await call(`POST /api-keys/${own.key.id}/rotate`, { as: own.secret });
    expect([status, body.key.ipAllowlist, body.key.expiresAt]).toEqual([
      201,
      own.key.ipAllowlist,
      own.key.expiresAt?.toISOString(),
    ]);
    expect((await call("GET /me", { as: own.secret })).status).toBe(401);
  });

  test("a retiring key does not outlive its overlap through a child, or through its successor", async () => {
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

  test("a key revokes itself, and is then nobody", async () => {
    const { call, issue } = byKeys();
    const own = await issue({ scopes: ["vehicles:write"] });
    const { status, body } = await call(`DELETE /api-keys/${own.key.id}?reason=done`, { as: own.secret });
    expect([status, body.status, body.revokedReason]).toEqual([200, "revoked", "done"]);
    expect((await call(`DELETE /api-keys/${own.key.id}`, { as: own.secret })).status).toBe(401);
  });

  test("a disabled or expired key manages nothing, also not its own revival", async () => {
    const { call, issue, manager, clock } = byKeys();
    const own = await issue({ scopes: ["vehicles:write"], expiresAt: later(DAY) });
    await manager.disable(own.key.id);
    expect((await call(`POST /api-keys/${own.key.id}/enable`, { as: own.secret })).status).toBe(401);
    await manager.enable(own.key.id);
    clock.set(later(DAY));
    const json = { expiresAt: later(2 * DAY) };
    expect((await call(`PATCH /api-keys/${own.key.id}`, { as: own.secret, json })).status).toBe(401);
  });

  test("an expiry that a key hands down is the manager's to bound, and told under its name", async () => {
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
  test.each(["key", "person"])("a %s of one sees and manages that one only", async (kind) => {
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

  test("people without one manage every one", async () => {
    const { call, issue } = managementApi();
    const keys = [await issue({ environment: "test" }), await issue({ environment: "live" })];
    for (const { key } of keys) expect((await call(`GET /api-keys/${key.id}`)).status).toBe(200);
  });
});

test.each<[string, object]>([
  ["an actor that is a promise", { actor: async () => "ann" }],
  ["an actor that is a promise, and rejects", { actor: () => Promise.reject(new Error("late")) }],
  ["an actor that is not said", { actor: () => undefined }],
  ["an actor that is no text", { actor: () => ({ id: "ann" }) }],
  ["defaults that are not said", { defaults: async () => undefined }],
  ["defaults that are no object", { defaults: () => 42 }],
  ["defaults that are a list", { defaults: () => [] }],
])("%s: an error of the host, and no key", async (_, options) => {
  const { call, errors, manager } = managementApi(options);
  const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
  expect([status, body.code]).toEqual([500, "internal_error"]);
  expect(errors).toEqual([expect.any(TypeError)]);
  expect((await manager.list()).items).toEqual([]);
});

test("an id of a person that no audit trail can keep is an error of the set-up", async () => {
  const people = { ...PEOPLE, "jwt-odd": { id: "a\nb", ownerId: "acme", scopes: STRONG } };
  const { call, errors } = managementApi({}, { people });
  const { status, body } = await call("POST /api-keys", {
    as: "jwt-odd",
    json: { scopes: [], environment: "live" },
  });
  expect([status, body.code, errors.length]).toEqual([500, "internal_error", 1]);
  expect(body).not.toHaveProperty("errors");
});

describe("a key that its verifier knows as it was", () => {
  /** An API whose verifier of tokens shows the key of a manager as it is at first. */
  const remembering = async (change: (manager: KeyManager<FleetScope>, id: string) => Promise<unknown>) => {
    const { issue, manager, store } = managementApi();
    const { key } = await issue({ scopes: STRONG });
    const { key: other } = await issue();
    const people = { "jwt-of-key": { ...key, scopes: STRONG, environment: "live", key } };
    await change(manager, key.id);
    return { ...managementApi({ ...BY_KEYS, manager }, { store, people }), other };
  };

  test.each<[string, (manager: KeyManager<FleetScope>, id: string) => Promise<unknown>]>([
    ["revoked", (manager, id) => manager.revoke(id)],
    ["disabled", (manager, id) => manager.disable(id)],
    ["rotated without an overlap", (manager, id) => manager.rotate(id)],
  ])("changes nothing once it is %s", async (_, change) => {
    const { call, other, manager } = await remembering(change);
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

  test("gives no more than it has now", async () => {
    const { call } = await remembering(async (manager, id) => {
      await manager.update(id, { ipAllowlist: ["10.0.0.0/8"] });
      await manager.rotate(id, { overlap: "1h" });
    });
    const { status, body } = await call("POST /api-keys", { as: "jwt-of-key", json: { scopes: [] } });
    expect([status, body.code]).toEqual([403, "exceeds_own_key"]);
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(["ipAllowlist", "expiresAt"]);
  });
});

test("a key that is revoked while the defaults of a new one are asked for makes none", async () => {
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

test("what changes between look and leap is seen", async () => {
  const inner = memoryStore();
  const quiet = managementApi(BY_KEYS, { store: inner });
  const own = await quiet.issue({ scopes: ["vehicles:write"], ipAllowlist: ["203.0.113.0/24"] });
  const other = await quiet.issue({ scopes: ["vehicles:read"], ipAllowlist: ["203.0.113.0/24"] });
  let looks = 0;
  const manager: KeyManager<FleetScope> = {
    ...quiet.manager,
    async get(id) {
      const key = await quiet.manager.get(id);
      if (looks++ === 0) await quiet.manager.update(other.key.id, { ipAllowlist: null });
      return key;
    },
  };
  const { call } = managementApi({ ...BY_KEYS, manager }, { store: inner });
  const { status, body } = await call(`POST /api-keys/${other.key.id}/rotate`, { as: own.secret });
  expect([status, body.code]).toEqual([403, "exceeds_own_key"]);
  expect((await quiet.manager.list()).items).toHaveLength(2);
});
