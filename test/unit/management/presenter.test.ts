import { describe, expect, test } from "vitest";
import type { ApiKey } from "../../../src/index.js";
import type { Presenter } from "../../../src/management/index.js";
import { START } from "../core/fixtures.js";
import { DAY, later, managementApi } from "./fixtures.js";

const NEW = { scopes: ["vehicles:read"], environment: "live" };

describe("snake_case", () => {
  const presenter: Presenter = { naming: "snake_case" };

  test("in requests and responses", async () => {
    const { call, issue } = managementApi({ presenter });
    const json = {
      ...NEW,
      ip_allowlist: ["10.0.0.0/8"],
      expires_at: later(DAY).toISOString(),
      rate_limit: { limit: 1, window_seconds: 60 },
      metadata: { camelCase: { innerCase: 1 } },
    };
    const { status, body } = await call("POST /api-keys", { json });
    expect(status).toBe(201);
    expect(body.key).toMatchObject({ ...json, owner_id: "acme", last_used_at: null, revoked_reason: null });
    expect(Object.keys(body.key).join()).not.toMatch(/[A-Z]/);
    const changed = await call(`PATCH /api-keys/${body.key.id}`, { json: { ip_allowlist: null } });
    expect(changed.body.ip_allowlist).toBe(null);
    const { secret } = await issue();
    expect(Object.keys((await call("GET /me", { as: secret })).body)).toContain("created_at");
    const page = (await call("GET /api-keys?limit=1")).body;
    expect(Object.keys(page)).toEqual(["items", "next_cursor"]);
  });

  test("in the audit trail, including details", async () => {
    const { call, issue } = managementApi({ presenter });
    const { key } = await issue();
    await call(`PATCH /api-keys/${key.id}`, { json: { ip_allowlist: [], name: "x" } });
    await call(`POST /api-keys/${key.id}/rotate`, { json: { overlap: "1h" } });
    const { items } = (await call(`GET /api-keys/${key.id}/audit`)).body;
    expect(items).toMatchObject([
      { action: "rotated", key_id: key.id, owner_id: "acme", details: { expires_at: expect.any(String) } },
      { action: "updated", details: { members: ["name", "ip_allowlist"] } },
      { action: "created" },
    ]);
  });

  test("in names and paths of errors", async () => {
    const { call } = managementApi({ presenter }, { maxLifetime: "1d" });
    const faults = async (json: object) => {
      const { body } = await call("POST /api-keys", { json: { ...NEW, ...json } });
      expect(Object.keys(body)).toEqual(["message", "code", "request_id", "errors"]);
      return body.errors.map(({ path }: { path: string }) => path);
    };
    expect(await faults({ ipAllowlist: [] })).toEqual(["ipAllowlist"]);
    expect(await faults({ ip_allowlist: ["10.0.0.0/8", "x"] })).toEqual(["ip_allowlist[1]"]);
    expect(await faults({ rate_limit: { limit: 1, windowSeconds: 1 } })).toEqual([
      "rate_limit.window_seconds",
      "rate_limit.windowSeconds",
    ]);
    expect(await faults({ expires_at: later(2 * DAY) })).toEqual(["expires_at"]);
    expect(await faults({ rate_limit: { limit: 1, window_seconds: 1.5 } })).toEqual([
      "rate_limit.window_seconds",
    ]);
    expect(await faults({ metadata: { innerCase: "\0" } })).toEqual(["metadata.innerCase"]);
    const scopes = await call("POST /api-keys", { as: "jwt-bob", json: { ...NEW, scopes: ["fleet:admin"] } });
    expect(scopes.body).toMatchObject({ required_scopes: ["fleet:admin"], missing_scopes: ["fleet:admin"] });
  });

  test("in errors about the bounds of the own key", async () => {
    const { call, issue } = managementApi({ presenter, requires: { write: "vehicles:write" } });
    const { secret } = await issue({ scopes: ["vehicles:write"], expiresAt: later(DAY) });
    const { body } = await call("POST /api-keys", { as: secret, json: { scopes: [], expires_at: null } });
    expect(body.errors).toMatchObject([{ path: "expires_at" }]);
  });
});

test("custom names", async () => {
  const own: Record<string, string> = { ipAllowlist: "allowedNetworks", limit: "pageSize", items: "keys" };
  const { call } = managementApi({ presenter: { naming: (member) => own[member] ?? member } });
  const { body } = await call("POST /api-keys", { json: { ...NEW, allowedNetworks: ["10.0.0.0/8"] } });
  expect(body.key.allowedNetworks).toEqual(["10.0.0.0/8"]);
  expect((await call("GET /api-keys?pageSize=1")).body.keys).toHaveLength(1);
  expect((await call("GET /api-keys?limit=1")).status).toBe(400);
});

describe("envelopes", () => {
  const shown = ({ id, name, createdAt, expiresAt, lastUsedAt }: ApiKey) => ({
    id,
    name,
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
  });
  const CODES: Record<string, string> = { not_found: "NOT_FOUND", invalid_body: "VALIDATION_ERROR" };
  const presenter: Presenter = {
    naming: "snake_case",
    key: shown,
    created: ({ secret, key }) => ({ success: true, api_key: { ...shown(key), key: secret } }),
    list: (_, { items }) => ({ success: true, api_keys: items }),
    revoked: () => ({ success: true, message: "API key revoked" }),
    error: ({ code, message }) => ({
      body: { success: false, error: { code: CODES[code] ?? code.toUpperCase(), message } },
    }),
  };
  const api = () =>
    managementApi({
      presenter,
      routes: ["list", "create", "revoke"],
      input: { create: ["name", "expiresAt"] },
      defaults: () => ({ scopes: ["vehicles:read"], environment: "live" }),
    });

  test("creates a key from a name and an expiry, or from an empty body", async () => {
    const { call, manager } = api();
    const json = { name: "mine", expires_at: later(DAY).toISOString() };
    const { status, body } = await call("POST /api-keys", { json });
    expect(status).toBe(201);
    expect(body).toEqual({
      success: true,
      api_key: {
        id: expect.stringMatching(/^key_/),
        name: "mine",
        key: expect.stringMatching(/^ezt_live_/),
        created_at: START.toISOString(),
        expires_at: json.expires_at,
        last_used_at: null,
      },
    });
    expect((await manager.get(body.api_key.id))?.scopes).toEqual(["vehicles:read"]);
    expect((await call("POST /api-keys")).status).toBe(201);
    expect((await call("POST /api-keys", { json: {} })).status).toBe(201);
  });

  test("rejects members that are not in `input`", async () => {
    const { call } = api();
    for (const member of ["scopes", "environment", "metadata", "rate_limit", "ip_allowlist"]) {
      const { status, body } = await call("POST /api-keys", { json: { [member]: [] } });
      expect([status, body.error.code]).toEqual([400, "VALIDATION_ERROR"]);
    }
  });

  test("formats list, revoke and every error", async () => {
    const { call, issue } = api();
    const { key } = await issue({ name: "mine" });
    expect((await call("GET /api-keys")).body).toEqual({
      success: true,
      api_keys: [{ ...shown(key), created_at: START.toISOString() }],
    });
    expect((await call(`DELETE /api-keys/${key.id}`, { as: "jwt-eve" })).body).toEqual({
      success: false,
      error: { code: "NOT_FOUND", message: "No key has this id." },
    });
    const gone = await call(`DELETE /api-keys/${key.id}`);
    expect([gone.status, gone.body]).toEqual([200, { success: true, message: "API key revoked" }]);
    for (const line of ["GET /nothing", "PUT /api-keys", "GET /api-keys?x=1"]) {
      expect((await call(line)).body).toMatchObject({
        success: false,
        error: { message: expect.any(String) },
      });
    }
    const none = await call("GET /api-keys", { as: undefined });
    expect([none.status, none.body.error.code]).toEqual([401, "MISSING_CREDENTIAL"]);
    expect(none.headers.get("www-authenticate")).toBe('Bearer realm="api"');
  });
});

describe("errors", () => {
  test("can be reduced to message and request id", async () => {
    const error: Presenter["error"] = ({ message, requestId }) => ({ body: { message, requestId } });
    const { call, issue } = managementApi({ presenter: { error } });
    const { secret } = await issue();
    for (const [line, as] of [
      ["GET /api-keys", undefined],
      ["GET /api-keys", secret],
      ["GET /api-keys/x", "jwt-ann"],
      ["POST /api-keys", "jwt-ann"],
      ["GET /me", "jwt-ann"],
    ] as const) {
      const { body, headers } = await call(line, { as });
      expect(body).toEqual({ message: expect.any(String), requestId: headers.get("x-request-id") });
    }
  });

  test("can have another status and the details", async () => {
    const error: Presenter["error"] = ({ status, details }, defaultBody) => ({
      status: status === 400 ? 422 : status,
      body: { ...defaultBody, fields: details.errors },
    });
    const { call } = managementApi({ presenter: { error } });
    const { status, body } = await call("POST /api-keys", { json: { ...NEW, name: 7 } });
    expect([status, body.code, body.fields]).toEqual([
      422,
      "invalid_body",
      [{ path: "name", message: "must be a string" }],
    ]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("presenter failed");
      },
    ],
    ["returns nothing", () => undefined],
    ["returns a promise", async () => ({ body: {} })],
    ["returns a promise that rejects", () => Promise.reject(new Error("late"))],
    ["returns a promise as the body", () => ({ body: Promise.reject(new Error("late")) })],
    ["returns no body", () => ({ status: 400 })],
    ["returns an invalid status", () => ({ status: 200, body: {} })],
    ["returns a value that is not JSON", () => ({ body: { big: 1n } })],
  ])("sends the default body if presenter.error %s", async (_, error) => {
    const { call, errors } = managementApi({ presenter: { error: error as never } });
    const { status, body } = await call("GET /api-keys/none");
    expect([status, body.code, errors.length]).toEqual([404, "not_found", 1]);
  });
});

test.each<[string, () => unknown]>([
  [
    "throws",
    () => {
      throw new Error("presenter failed");
    },
  ],
  ["returns a string", () => "x"],
  ["returns a promise", async () => ({ late: true })],
  ["returns a promise that rejects", () => Promise.reject(new Error("late"))],
  ["returns a value that is not JSON", () => ({ big: 1n })],
])("is a 500 without the secret if presenter.created %s", async (_, created) => {
  const { call, errors, manager } = managementApi({ presenter: { created: created as never } });
  const { status, body } = await call("POST /api-keys", { json: NEW });
  expect([status, Object.keys(body), errors.length]).toEqual([500, ["message", "code", "requestId"], 1]);
  expect(String(errors)).not.toContain("ezt_live_");
  expect((await manager.list()).items).toHaveLength(1);
});

test("formats rotations like creations unless presenter.rotated exists", async () => {
  const created: Presenter["created"] = ({ secret }) => ({ value: secret });
  const one = managementApi({ presenter: { created } });
  const { key } = await one.issue();
  expect(Object.keys((await one.call(`POST /api-keys/${key.id}/rotate`)).body)).toEqual(["value"]);
  const rotated: Presenter["rotated"] = (_, defaultBody) => ({ rotated: true, ...defaultBody });
  const two = managementApi({ presenter: { created, rotated } });
  const { key: other } = await two.issue();
  const { body } = await two.call(`POST /api-keys/${other.id}/rotate`);
  expect(Object.keys(body)).toEqual(["rotated", "secret", "key"]);
});
