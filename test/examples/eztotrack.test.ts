import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { RunningExample } from "../../examples/example.js";
import { start } from "../../examples/eztotrack/main.js";
import { createClient, MALFORMED_DATES, ODD_NAMES, type RequestParts, type Send } from "./http.js";

const KEYS = "/api/v2/api-keys";
const ALL = ["vehicles:read", "drivers:read", "drivers:write", "hos:read"];
const printed: unknown[] = [];

let system: RunningExample;
let send: Send;
let admin: string;
let other: string;

beforeAll(async () => {
  for (const method of ["log", "info", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args));
  }
  system = await start();
  send = createClient(system.credentials.url, { "X-Request-Id": "req-1" });
  ({ adminJwt: admin, otherJwt: other } = system.credentials as unknown as Record<string, string> as {
    adminJwt: string;
    otherJwt: string;
  });
});

const secrets: string[] = [];
afterAll(async () => {
  await system.close();
  vi.restoreAllMocks();
  const all = inspect(printed, { depth: 10, maxStringLength: null });
  for (const secret of [...secrets, admin, other]) expect(all).not.toContain(secret);
});

async function create(more: object = {}, bearer = admin) {
  const reply = await send("POST", KEYS, { bearer, json: { name: "Mine", scopes: ALL, ...more } });
  expect(reply.text).toMatch(/"key":"ezt_/);
  secrets.push(reply.body.key);
  return reply.body as { id: string; key: string };
}

describe("eztotrack: keys", () => {
  it("are created with the JWT of an admin, and show their secret once", async () => {
    const { status, body, headers } = await send("POST", KEYS, {
      bearer: admin,
      json: { name: "My Integration", scopes: ["vehicles:read", "drivers:read", "hos:read"] },
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.stringMatching(/^key_[0-9a-f]{32}$/),
      name: "My Integration",
      key: expect.stringMatching(/^ezt_live_[0-9A-Za-z]{38}$/),
      start: body.key.slice(0, 13),
      scopes: ["vehicles:read", "drivers:read", "hos:read"],
      environment: "live",
      ipAllowlist: null,
      status: "active",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      expiresAt: null,
      lastUsedAt: null,
    });
    expect(headers.get("Location")).toBe(`${KEYS}/${body.id}`);
    expect(headers.get("Cache-Control")).toBe("no-store");

    const { key: secret, ...shown } = body;
    const one = await send("GET", `${KEYS}/${body.id}`, { bearer: admin });
    expect([one.status, one.body]).toEqual([200, shown]);
    const list = await send("GET", KEYS, { bearer: admin });
    expect(list.status).toBe(200);
    expect(list.body.data).toContainEqual(shown);
    expect(list.text + one.text).not.toContain(secret);
    expect(list.text).not.toMatch(/hash/i);
  });

  it("belong to production unless the body names the test environment", async () => {
    expect((await create({ environment: "test" })).key).toMatch(/^ezt_test_/);
    expect((await create({ environment: "live" })).key).toMatch(/^ezt_live_/);
    const { status, body } = await send("POST", KEYS, {
      bearer: admin,
      json: { name: "x", scopes: ALL, environment: "staging" },
    });
    expect([status, body.errors[0].path]).toEqual([400, "environment"]);
  });

  it("are listed in pages", async () => {
    for (let count = 0; count < 3; count++) await create({}, other);
    const seen: string[] = [];
    let after = "";
    for (let more = true; more; ) {
      const { body } = await send("GET", `${KEYS}?limit=2${after && `&after=${after}`}`, { bearer: other });
      seen.push(...body.data.map(({ id }: { id: string }) => id));
      more = body.pagination.hasNextPage;
      after = body.pagination.endCursor;
    }
    expect(new Set(seen).size).toBe(3);
    expect(seen).toHaveLength(3);
  });

  it("can be changed and revoked", async () => {
    const { id, key } = await create();
    const changed = await send("PATCH", `${KEYS}/${id}`, {
      bearer: admin,
      json: { name: "Renamed", expiresAt: "2999-01-01T00:00:00Z" },
    });
    expect(changed.body).toMatchObject({ name: "Renamed", expiresAt: "2999-01-01T00:00:00.000Z" });
    const scopes = await send("PATCH", `${KEYS}/${id}`, { bearer: admin, json: { scopes: ALL } });
    expect(scopes.status).toBe(400);
    expect((await send("GET", "/fleet/vehicles", { bearer: key })).status).toBe(200);
    const gone = await send("DELETE", `${KEYS}/${id}`, { bearer: admin });
    expect([gone.status, gone.body.status]).toEqual([200, "revoked"]);
    expect((await send("GET", "/fleet/vehicles", { bearer: key })).status).toBe(401);
    expect((await send("PATCH", `${KEYS}/${id}`, { bearer: admin, json: { name: "x" } })).status).toBe(409);
  });

  it("are replaced by rotation, which ends the old secret", async () => {
    const { id, key } = await create();
    const { status, body } = await send("POST", `${KEYS}/${id}/rotate`, { bearer: admin });
    secrets.push(body.key);
    expect(status).toBe(201);
    expect(body).toMatchObject({ key: expect.stringMatching(/^ezt_live_/), scopes: ALL });
    expect((await send("GET", "/fleet/vehicles", { bearer: key })).status).toBe(401);
    expect((await send("GET", "/fleet/vehicles", { bearer: body.key })).status).toBe(200);
  });

  it("of other companies are not found, like unknown ids", async () => {
    const { id } = await create();
    for (const [method, path, json] of [
      ["GET", `${KEYS}/${id}`, undefined],
      ["PATCH", `${KEYS}/${id}`, { name: "taken over" }],
      ["DELETE", `${KEYS}/${id}`, undefined],
      ["POST", `${KEYS}/${id}/rotate`, undefined],
    ] as const) {
      const foreign = await send(method, path, { bearer: other, json });
      const unknown = await send(method, path.replace(/key_\w+/, `key_${"0".repeat(32)}`), {
        bearer: other,
        json,
      });
      expect([method, foreign.status, foreign.text]).toEqual([method, 404, unknown.text]);
      expect(foreign.body).toEqual({ message: expect.any(String), requestId: "req-1" });
    }
    expect((await send("GET", KEYS, { bearer: other })).text).not.toContain(id);
    expect((await send("GET", `${KEYS}/${id}`, { bearer: admin })).body.name).toBe("Mine");
  });

  it("belong to the company of the token; the body cannot set an owner", async () => {
    for (const member of ["ownerId", "owner_id", "company", "id", "key", "hash", "status", "createdAt"]) {
      const { status, body } = await send("POST", KEYS, {
        bearer: admin,
        json: { name: "x", scopes: ALL, [member]: "borealis-freight" },
      });
      expect([member, status]).toEqual([member, 400]);
      expect(body.errors).toEqual([{ path: member, message: expect.any(String) }]);
    }
  });

  it("cannot be managed with keys or forged tokens", async () => {
    const { key } = await create();
    const [head = "", claims = "", signature = ""] = admin.split(".");
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    for (const bearer of [
      key,
      `${none}.${claims}.`,
      `${none}.${claims}.${signature}`,
      `${head}.${Buffer.from('{"company":"x","role":"admin","exp":9e9}').toString("base64url")}.${signature}`,
      `${admin}x`,
    ]) {
      const { status, body, headers } = await send("GET", KEYS, { bearer });
      expect([status, body]).toEqual([401, { message: expect.any(String), requestId: "req-1" }]);
      expect(headers.get("WWW-Authenticate")).toContain('error="invalid_token"');
    }
    const { status, body } = await send("POST", KEYS, { json: { name: "x", scopes: ALL } });
    expect([status, Object.keys(body)]).toEqual([401, ["message", "requestId"]]);
  });

  it("are rejected with every invalid member", async () => {
    const { status, body } = await send("POST", KEYS, {
      bearer: admin,
      json: {
        name: 7,
        scopes: ["vehicles:read", "vehicles:fly"],
        ipAllowlist: ["10.0.0.0/33"],
        colour: "red",
      },
    });
    expect([status, Object.keys(body)]).toEqual([400, ["message", "requestId", "errors"]]);
    expect(body.errors.map(({ path }: { path: string }) => path).sort()).toEqual([
      "colour",
      "ipAllowlist[0]",
      "name",
      "scopes[1]",
    ]);
    for (const json of [{ name: "no scopes" }, { name: "x", scopes: "vehicles:read" }, [], "x", null, 7]) {
      expect((await send("POST", KEYS, { bearer: admin, json })).status).toBe(400);
    }
  });

  it("are rejected with the list of scopes if a scope is unknown", async () => {
    const { status, body } = await send("POST", KEYS, {
      bearer: admin,
      json: { name: "x", scopes: ["vehicles:fly", "hos:read", "*"] },
    });
    expect(status).toBe(400);
    expect(body.errors.map(({ path }: { path: string }) => path)).toEqual(["scopes[0]", "scopes[2]"]);
    expect(body.message).toContain("vehicles:read, drivers:read, drivers:write, hos:read");
    expect(body.message).not.toContain("vehicles:fly");
  });

  it.each(MALFORMED_DATES)("reject the expiry %j", async (expiresAt) => {
    const { status, body } = await send("POST", KEYS, {
      bearer: admin,
      json: { name: "x", scopes: ALL, expiresAt },
    });
    expect([status, body.errors?.[0]?.path]).toEqual([400, "expiresAt"]);
  });

  it.each(ODD_NAMES)("accept the name %j", async (name) => {
    const { id } = await create({ name });
    const { body, headers } = await send("GET", `${KEYS}/${id}`, { bearer: admin });
    expect(body.name).toBe(name);
    expect(headers.get("Content-Type")).toBe("application/json");
  });

  it.each(["a\r\nSet-Cookie: x=1", "a\u0000b", "\u202egnp.exe", "x".repeat(256)])(
    "reject the name %j",
    async (name) => {
      const { status, body } = await send("POST", KEYS, { bearer: admin, json: { name, scopes: ALL } });
      expect([status, body.errors?.[0]?.path]).toEqual([400, "name"]);
    },
  );
});

describe("eztotrack: data", () => {
  const ROUTES: [method: string, path: string, scope: string, granted: number, json?: object][] = [
    ["GET", "/fleet/vehicles", "vehicles:read", 200],
    ["GET", "/fleet/vehicles/veh_001", "vehicles:read", 200],
    ["GET", "/fleet/vehicles/locations", "vehicles:read", 200],
    ["GET", "/fleet/vehicles/stats", "vehicles:read", 200],
    ["GET", "/fleet/drivers", "drivers:read", 200],
    ["GET", "/fleet/drivers/drv_001", "drivers:read", 200],
    ["POST", "/fleet/drivers", "drivers:write", 201, { name: "Mia Lund" }],
    ["PATCH", "/fleet/drivers/drv_002", "drivers:write", 200, { status: "inactive" }],
    ["GET", "/fleet/hos", "hos:read", 200],
    ["GET", "/fleet/hos/clocks", "hos:read", 200],
    ["GET", "/fleet/hos/drv_001", "hos:read", 200],
  ];

  it.each(ROUTES)("%s %s requires %s", async (method, path, scope, granted, json) => {
    const none = await send(method, path, { json });
    expect(none.status).toBe(401);
    expect(none.body).toEqual({
      message: "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
      requestId: "req-1",
    });
    expect(none.headers.get("WWW-Authenticate")).toBe('Bearer realm="eztotrack"');

    const { key } = await create({ scopes: [scope] });
    expect((await send(method, path, { bearer: key, json })).status).toBe(granted);

    const { key: without } = await create({ scopes: ALL.filter((name) => name !== scope) });
    const denied = await send(method, path, { bearer: without, json });
    expect(denied.status).toBe(403);
    expect(denied.body).toEqual({
      message: expect.stringContaining(scope),
      requestId: "req-1",
    });
  });

  it("is guarded on every path below a route, known or not", async () => {
    const { key } = await create({ scopes: ["drivers:read"] });
    for (const path of ["/fleet/vehicles/veh_001/more", "/fleet/hos/drv_001/more"]) {
      expect((await send("GET", path)).status).toBe(401);
      expect((await send("GET", path, { bearer: key })).status).toBe(403);
    }
    const nothing = await send("GET", "/fleet/drivers/drv_001/more", { bearer: key });
    expect([nothing.status, nothing.body]).toEqual([
      404,
      { message: "There is no such route.", requestId: "req-1" },
    ]);
  });

  it("is separate for live and test keys", async () => {
    const live = await create();
    const test = await create({ environment: "test" });
    const names = async (key: string, path: string) =>
      (await send("GET", path, { bearer: key })).body.data.map(({ name }: { name: string }) => name);
    expect(await names(live.key, "/fleet/vehicles")).toEqual(["Truck 101", "Truck 102", "Truck 103"]);
    expect(await names(test.key, "/fleet/vehicles")).toEqual(["Sandbox truck"]);
    await send("POST", "/fleet/drivers", { bearer: test.key, json: { name: "Only A Test" } });
    expect(await names(test.key, "/fleet/drivers")).toContain("Only A Test");
    expect(await names(live.key, "/fleet/drivers")).not.toContain("Only A Test");
    expect((await send("GET", "/fleet/vehicles/veh_001", { bearer: test.key })).status).toBe(404);
    const change = { bearer: test.key, json: { name: "Changed" } };
    expect((await send("PATCH", "/fleet/drivers/drv_001", change)).status).toBe(404);
  });

  it("belongs to the company of the key", async () => {
    const { key } = await create({}, other);
    expect((await send("GET", "/fleet/vehicles", { bearer: key })).body.data).toEqual([
      { id: "veh_501", name: "Reefer 7", vin: "4V4NC9EJ4LN223017", licensePlate: "MN-3321RF" },
    ]);
    for (const [method, path] of [
      ["GET", "/fleet/vehicles/veh_001"],
      ["GET", "/fleet/drivers/drv_001"],
      ["PATCH", "/fleet/drivers/drv_001"],
      ["GET", "/fleet/hos/drv_001"],
    ] as const) {
      const json = method === "PATCH" ? { name: "Taken Over" } : undefined;
      expect((await send(method, path, { bearer: key, json })).status).toBe(404);
    }
  });

  it("is returned in pages", async () => {
    const { key } = await create();
    const first = await send("GET", "/fleet/vehicles?limit=2", { bearer: key });
    expect(first.body.pagination).toEqual({ endCursor: expect.any(String), hasNextPage: true });
    const { endCursor } = first.body.pagination;
    const next = await send("GET", `/fleet/vehicles?limit=2&after=${endCursor}`, { bearer: key });
    expect(next.body.data.map(({ id }: { id: string }) => id)).toEqual(["veh_003"]);
    expect(next.body.pagination.hasNextPage).toBe(false);
    for (const query of ["limit=0", "limit=513", "limit=x", "after=x", "limit=1&limit=2"]) {
      const { status, body } = await send("GET", `/fleet/vehicles?${query}`, { bearer: key });
      expect([query, status]).toEqual([query, 400]);
      expect(body.errors).toHaveLength(1);
    }
  });

  it("accepts the documented members of a driver and ignores others", async () => {
    const { key } = await create();
    const { body } = await send("POST", "/fleet/drivers", {
      bearer: key,
      json: { name: " Mia Lund ", phone: "+1 555", id: "drv_001", company: "borealis-freight" },
    });
    expect(body.data).toEqual({
      id: expect.not.stringMatching(/^drv_001$/),
      name: "Mia Lund",
      phone: "+1 555",
      status: "active",
    });
    const { id } = body.data;
    const changed = await send("PATCH", `/fleet/drivers/${id}`, { bearer: key, json: { name: "Mia B" } });
    expect(changed.body.data).toMatchObject({ id, name: "Mia B", phone: "+1 555" });
    for (const json of [{}, { name: "" }, { name: "a\nb" }, [], null, { name: { toString: 1 } }]) {
      expect((await send("POST", "/fleet/drivers", { bearer: key, json })).status).toBe(400);
    }
    expect((await send("PATCH", `/fleet/drivers/${id}`, { bearer: key, json: {} })).status).toBe(400);
  });

  it("is denied to addresses outside the allowlist", async () => {
    const here = await create({ ipAllowlist: ["127.0.0.1", "10.0.0.0/8"] });
    expect((await send("GET", "/fleet/vehicles", { bearer: here.key })).status).toBe(200);
    const elsewhere = await create({ ipAllowlist: ["203.0.113.7"] });
    for (const headers of [{}, { "X-Forwarded-For": "203.0.113.7" }, { Forwarded: "for=203.0.113.7" }]) {
      const { status, body } = await send("GET", "/fleet/vehicles", { bearer: elsewhere.key, headers });
      expect([status, body]).toEqual([403, { message: expect.any(String), requestId: "req-1" }]);
    }
    const nowhere = await create({ ipAllowlist: [] });
    expect((await send("GET", "/fleet/vehicles", { bearer: nowhere.key })).status).toBe(403);
  });

  it("is denied to JWTs and to invalid or changed keys", async () => {
    const { key } = await create();
    for (const bearer of [admin, "ezt_live_x", key.replace("live", "test"), `${key.slice(0, -1)}_`]) {
      const { status, body } = await send("GET", "/fleet/vehicles", { bearer });
      expect([status, body]).toEqual([401, { message: "The API key is not valid.", requestId: "req-1" }]);
    }
    expect((await send("GET", `/fleet/vehicles?api_key=${key}`)).status).toBe(401);
    expect((await send("GET", "/fleet/vehicles", { headers: { "X-API-Key": key } })).status).toBe(401);
  });
});

describe("eztotrack: errors", () => {
  it("are never HTML", async () => {
    const { key } = await create();
    const plain = { "Content-Type": "text/plain;charset=UTF-8" };
    const cases: [number, string, string, RequestParts][] = [
      [404, "GET", "/", {}],
      [404, "GET", "/api/v2", { bearer: admin }],
      [404, "GET", "/api/v2/other", { bearer: admin }],
      [405, "PUT", KEYS, { bearer: admin }],
      [400, "POST", KEYS, { bearer: admin, raw: "{" }],
      [415, "POST", KEYS, { bearer: admin, headers: plain, raw: "name=x" }],
      [413, "POST", KEYS, { bearer: admin, raw: `"${"x".repeat(70_000)}"` }],
      [400, "POST", "/fleet/drivers", { bearer: key, raw: "{" }],
      [413, "POST", "/fleet/drivers", { bearer: key, raw: `"${"x".repeat(20_000)}"` }],
      [400, "POST", "/fleet/drivers", { bearer: key, headers: plain, raw: "name=x" }],
      [404, "GET", "/fleet/drivers/%zz", { bearer: key }],
    ];
    for (const [wanted, method, path, sent] of cases) {
      const { status, body, text } = await send(method, path, sent);
      expect([method, path, status]).toEqual([
        method,
        path,
        wanted === 404 && path.endsWith("%zz") ? 400 : wanted,
      ]);
      expect(body).toMatchObject({ message: expect.any(String), requestId: "req-1" });
      expect(text).not.toMatch(/<|at .*\.[jt]s/);
    }
  });

  it("have no member code", async () => {
    const { body } = await send("GET", "/nowhere");
    expect(Object.keys(body)).toEqual(["message", "requestId"]);
  });
});
