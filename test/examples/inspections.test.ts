import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  type MockInstance,
  vi,
} from "vitest";
import type { RunningExample } from "../../examples/example.js";
import { start } from "../../examples/inspections/main.js";
import { createClient, type Send } from "./http.js";

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const ACME_VEHICLE = "550e8400-e29b-41d4-a716-446655440000";
const BOREALIS_VEHICLE = "e902893a-9d22-3c7e-a7b8-d6e313b71d9f";
const TEMPLATE = "a1b2c3d4-e5f6-4a5b-8c9d-0e1f2a3b4c5d";
const GRANTABLE = ["vehicles:read", "vehicles:write", "inspections:read", "inspections:write"];

let running: RunningExample;
let send: Send;
let admin: string;
let other: string;
let key: string;
let otherKey: string;
let readKey: string;
let printed: MockInstance[];

beforeAll(async () => {
  running = await start({ port: 0 });
  send = createClient(running.credentials.url);
  const credentials = running.credentials as Record<string, string>;
  ({ adminJwt: admin, otherJwt: other, key, otherKey, readKey } = credentials as never);
});
afterAll(() => running.close());
beforeEach(() => {
  printed = (["log", "warn", "error", "info"] as const).map((name) => vi.spyOn(console, name));
});
afterEach(() => {
  for (const spy of printed) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

const issue = async (members: object, bearer = admin) => {
  const { status, body } = await send("POST", "/api-keys", { bearer, json: members });
  expect(status, JSON.stringify(body)).toBe(201);
  return body as { secret: string; key: { id: string; scopes: string[] } };
};

describe("data", () => {
  it("is returned in pages, for one company only", async () => {
    const { status, body } = await send("GET", "/vehicles", { bearer: readKey });
    expect(status).toBe(200);
    expect(body.meta).toEqual({
      version: "v1",
      pagination: {
        currentPage: 1,
        totalPages: 1,
        totalCount: 2,
        hasNextPage: false,
        hasPreviousPage: false,
      },
    });
    expect(body.data[0]).toEqual({
      id: ACME_VEHICLE,
      plateNumber: "ABC-1234",
      vin: "WDB9634321L123456",
      brand: "Mercedes-Benz",
      model: "Actros",
      type: "TRACTOR_UNIT",
      status: "OK",
      fuelType: "DIESEL",
      updatedAt: "2026-01-09T14:22:00.000Z",
    });
    expect((await send("GET", `/vehicles/${ACME_VEHICLE}`, { bearer: readKey })).body).toEqual({
      data: body.data[0],
      meta: { version: "v1" },
    });
    const second = await send("GET", "/vehicles?page=2&limit=1", { bearer: readKey });
    expect(second.body.data).toEqual([body.data[1]]);
    expect((await send("GET", "/vehicles?limit=0", { bearer: readKey })).status).toBe(400);
    for (const path of ["/inspection-templates", "/inspections"]) {
      const listed = await send("GET", path, { bearer: readKey });
      expect(listed.status).toBe(200);
      expect(listed.body.data.length).toBeGreaterThan(0);
    }
  });

  it("can be created and changed", async () => {
    const json = { plateNumber: "XYZ-1", brand: "Volvo", type: "TRAILER" };
    const created = await send("POST", "/vehicles", { bearer: key, json });
    expect(created.status).toBe(201);
    const { id } = created.body.data;
    expect(created.headers.get("location")).toBe(`/vehicles/${id}`);
    expect(created.body).toEqual({
      data: {
        ...json,
        id: expect.stringMatching(ID),
        vin: null,
        model: null,
        status: "NO_STATUS",
        fuelType: null,
        updatedAt: expect.any(String),
      },
      meta: { version: "v1" },
    });
    expect((await send("POST", "/vehicles", { bearer: key, json })).status).toBe(409);
    const changed = await send("PUT", `/vehicles/${id}`, { bearer: key, json: { status: "WARNING" } });
    expect(changed.status).toBe(200);
    expect(changed.body.data).toMatchObject({ plateNumber: "XYZ-1", status: "WARNING" });

    const inspection = {
      templateId: TEMPLATE,
      vehicleIds: [id],
      responses: [{ templateItemId: "item-001", responseText: "yes" }],
    };
    const submitted = await send("POST", "/inspections", { bearer: key, json: inspection });
    expect(submitted.status).toBe(201);
    expect(submitted.body.data).toMatchObject({
      templateId: TEMPLATE,
      vehicles: [{ id, plateNumber: "XYZ-1" }],
    });
    const listed = await send("GET", "/inspections", { bearer: key });
    expect(listed.body.data).toContainEqual(submitted.body.data);
  });

  it("of other companies is not found, like unknown ids", async () => {
    const foreign = await send("GET", `/vehicles/${BOREALIS_VEHICLE}`, { bearer: key });
    const unknown = await send("GET", "/vehicles/nothing", { bearer: key });
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, requestId: "" }).toEqual({ ...unknown.body, requestId: "" });
    const json = { status: "WARNING" };
    expect((await send("PUT", `/vehicles/${BOREALIS_VEHICLE}`, { bearer: key, json })).status).toBe(404);
    const inspection = { templateId: TEMPLATE, vehicleIds: [BOREALIS_VEHICLE], responses: [] };
    expect((await send("POST", "/inspections", { bearer: key, json: inspection })).status).toBe(404);
    const ids = (await send("GET", "/vehicles", { bearer: otherKey })).body.data.map(
      ({ id }: { id: string }) => id,
    );
    expect(ids).toEqual([BOREALIS_VEHICLE]);
  });

  it.each([
    ["no body", undefined],
    ["an empty object", {}],
    ["a company", { plateNumber: "A", company: "borealis" }],
    ["an id", { plateNumber: "A", id: BOREALIS_VEHICLE }],
    ["a number as plate", { plateNumber: 1 }],
    ["a line break", { plateNumber: "A\r\nB" }],
    ["an invalid VIN", { plateNumber: "A", vin: "short" }],
    ["an unknown type", { plateNumber: "A", type: "BOAT" }],
  ])("is not created from %s", async (_name, json) => {
    const { status, body } = await send("POST", "/vehicles", {
      bearer: key,
      raw: JSON.stringify(json) ?? "",
    });
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "invalid_body", errors: [{ code: "VALIDATION_ERROR" }] });
  });
});

describe("scopes", () => {
  it.each([
    ["GET", "/vehicles", "vehicles:read"],
    ["GET", `/vehicles/${ACME_VEHICLE}`, "vehicles:read"],
    ["POST", "/vehicles", "vehicles:write"],
    ["PUT", `/vehicles/${ACME_VEHICLE}`, "vehicles:write"],
    ["GET", "/inspection-templates", "inspections:read"],
    ["GET", "/inspections", "inspections:read"],
    ["POST", "/inspections", "inspections:write"],
  ])(
    "%s %s requires %s, and a 403 lists required, available and missing scopes",
    async (method, path, scope) => {
      expect((await send(method, path)).status).toBe(401);
      expect((await send(method, path, { bearer: admin })).status).toBe(401);
      const others = GRANTABLE.filter((name) => name !== scope && name !== scope.replace("read", "write"));
      const without = await issue({ scopes: others });
      const denied = await send(method, path, { bearer: without.secret });
      expect(denied.status).toBe(403);
      expect(denied.headers.get("www-authenticate")).toContain(`scope="${scope}"`);
      expect(denied.body).toEqual({
        message: expect.any(String),
        code: "insufficient_scope",
        requestId: expect.any(String),
        requiredScopes: [scope],
        grantedScopes: others,
        missingScopes: [scope],
        errors: [
          {
            code: "FORBIDDEN",
            message: expect.any(String),
            details: { required: [scope], available: others, missing: [scope] },
          },
        ],
      });
      const { secret } = await issue({ scopes: [scope] });
      expect((await send(method, path, { bearer: secret })).status).not.toBe(403);
    },
  );

  it("for writing imply those for reading", async () => {
    const { secret } = await issue({ scopes: ["vehicles:write", "inspections:write"] });
    for (const path of ["/vehicles", "/inspections", "/inspection-templates"]) {
      expect((await send("GET", path, { bearer: secret })).status).toBe(200);
    }
  });

  it("are listed, including planned ones", async () => {
    const { status, body } = await send("GET", "/scopes");
    expect(status).toBe(200);
    expect(body.data.map(({ name, status }: Record<string, string>) => [name, status])).toEqual([
      ...GRANTABLE.map((name) => [name, "available"]),
      ["reports:read", "planned"],
      ["webhooks:manage", "planned"],
      ["users:read", "under_review"],
      ["analytics:read", "under_review"],
    ]);
    expect(body.data[1]).toEqual({
      name: "vehicles:write",
      description: "Create and update vehicles",
      status: "available",
      implies: ["vehicles:read"],
    });
  });

  it.each([
    "reports:read",
    "webhooks:manage",
    "users:read",
    "analytics:read",
    "vehicles:*",
    "*",
    "VEHICLES:READ",
    "",
  ])("reject %j for a new key", async (scope) => {
    const { status, body } = await send("POST", "/api-keys", { bearer: admin, json: { scopes: [scope] } });
    expect(status).toBe(400);
    expect(body.errors).toEqual([
      { code: "VALIDATION_ERROR", path: "scopes[0]", message: expect.any(String) },
    ]);
  });

  it("are fixed when a key is created", async () => {
    const { key: made } = await issue({ scopes: ["vehicles:read"] });
    const json = { scopes: ["vehicles:write"] };
    const { status, body } = await send("PATCH", `/api-keys/${made.id}`, { bearer: admin, json });
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe("scopes");
    const renamed = await send("PATCH", `/api-keys/${made.id}`, { bearer: admin, json: { name: "New" } });
    expect(renamed.body).toMatchObject({ name: "New", scopes: ["vehicles:read"] });
  });
});

describe("bundles", () => {
  it("are listed, and replace scopes when a key is created", async () => {
    const { body } = await send("GET", "/scope-bundles");
    expect(body.data.map(({ name }: { name: string }) => name)).toEqual([
      "read-only-integration",
      "inspection-submission",
      "full-fleet-management",
    ]);
    expect((await send("GET", "/scopes")).body.bundles).toEqual(body.data);
    for (const { name, scopes } of body.data) {
      expect((await issue({ name, bundle: name })).key.scopes).toEqual(scopes);
    }
  });

  it.each([
    ["an unknown bundle", { bundle: "everything" }],
    ["an inherited member", { bundle: "__proto__" }],
    ["an array", { bundle: ["read-only-integration"] }],
    ["a bundle together with scopes", { bundle: "read-only-integration", scopes: ["vehicles:write"] }],
  ])("are rejected: %s", async (_name, json) => {
    const { status, body } = await send("POST", "/api-keys", { bearer: admin, json });
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe("bundle");
  });
});

describe("keys", () => {
  it("have a secret that is shown once, and are managed by admins of their company only", async () => {
    const created = await issue({ name: "Tablet 4", scopes: ["inspections:write"] });
    expect(created.secret).toMatch(/^insp_[0-9a-f]{64}$/);
    expect(created.key).toMatchObject({ name: "Tablet 4", ownerId: "acme", status: "active" });
    const { id } = created.key;
    const shown = await send("GET", `/api-keys/${id}`, { bearer: admin });
    expect(shown.status).toBe(200);
    expect(shown.text).not.toContain(created.secret);
    const listed = await send("GET", "/api-keys", { bearer: admin });
    expect(listed.body.items.map((item: { id: string }) => item.id)).toContain(id);
    expect(listed.text).not.toContain(created.secret);

    for (const [method, path, json] of [
      ["GET", `/api-keys/${id}`, undefined],
      ["GET", `/api-keys/${id}/audit`, undefined],
      ["PATCH", `/api-keys/${id}`, { name: "x" }],
      ["POST", `/api-keys/${id}/rotate`, {}],
      ["DELETE", `/api-keys/${id}`, undefined],
    ] as const) {
      const foreign = await send(method, path, { bearer: other, json });
      const unknown = await send(method, path.replace(id, `key_${"0".repeat(32)}`), { bearer: other, json });
      expect(foreign.status, path).toBe(404);
      expect({ ...foreign.body, requestId: "" }).toEqual({ ...unknown.body, requestId: "" });
      expect((await send(method, path, { bearer: key, json })).status, path).toBe(401);
    }
    expect((await send("DELETE", `/api-keys/${id}`, { bearer: admin })).status).toBe(200);
    expect((await send("GET", "/inspections", { bearer: created.secret })).status).toBe(401);
  });

  it.each([
    { ownerId: "borealis", scopes: ["vehicles:read"] },
    { owner_id: "borealis", scopes: ["vehicles:read"] },
    { id: "key_1", scopes: ["vehicles:read"] },
    { status: "active", scopes: ["vehicles:read"] },
    { scopes: ["vehicles:read"], secret: "insp_x" },
    {},
    [],
  ])("are not created from %j", async (json) => {
    expect((await send("POST", "/api-keys", { bearer: admin, json })).status).toBe(400);
  });

  it.each([
    "2030-01-31",
    "2030-02-30T12:00:00Z",
    "2030-01-31T12:00:00",
    "2030-13-01T00:00:00Z",
    "2030-01-31T25:00:00Z",
    "2030-01-31 12:00:00Z",
    "2020-01-01T00:00:00Z",
    "tomorrow",
    "",
    "1900000000",
    1_900_000_000,
    true,
    {},
  ])("reject the expiry %j", async (expiresAt) => {
    const json = { scopes: ["vehicles:read"], expiresAt };
    const { status, body } = await send("POST", "/api-keys", { bearer: admin, json });
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe("expiresAt");
  });

  it.each([
    "'; DROP TABLE keys; --",
    '"><script>alert(1)</script>',
    "schlüssel 🔑",
    "{{7*7}}",
    "x".repeat(255),
  ])("accept the name %j and return it unchanged", async (name) => {
    expect((await issue({ name, scopes: ["vehicles:read"] })).key).toMatchObject({ name });
  });

  it.each(["a\r\nX-Injected: 1", "\u0000", "\u202egnp.exe", "x".repeat(256)])(
    "reject the name %j",
    async (name) => {
      const json = { name, scopes: ["vehicles:read"] };
      const { status, headers } = await send("POST", "/api-keys", { bearer: admin, json });
      expect(status).toBe(400);
      expect(headers.get("x-injected")).toBeNull();
    },
  );

  it("are described by /me", async () => {
    const { body } = await send("GET", "/me", { bearer: readKey });
    expect(body).toMatchObject({ name: "Dashboard", scopes: ["vehicles:read", "inspections:read"] });
    expect(body.lastUsedAt).toEqual(expect.any(String));
    expect(body).not.toHaveProperty("ipAllowlist");
  });

  it("have write requests in their audit trail, and no read requests", async () => {
    const { secret, key: made } = await issue({ bundle: "full-fleet-management" });
    await send("POST", "/vehicles", { bearer: secret, json: { plateNumber: "AUD-1" } });
    await send("PUT", `/vehicles/${ACME_VEHICLE}?note=secret`, { bearer: secret, json: { status: "OK" } });
    await send("GET", "/vehicles", { bearer: secret });
    const { status, body } = await send("GET", `/api-keys/${made.id}/audit`, { bearer: admin });
    expect(status).toBe(200);
    const used = body.items.filter(({ action }: { action: string }) => action === "used");
    expect(
      used.map(({ details }: { details: { method: string; path: string } }) => [
        details.method,
        details.path,
      ]),
    ).toEqual([
      ["PUT", `/vehicles/${ACME_VEHICLE}`],
      ["POST", "/vehicles"],
    ]);
    expect(used[0].details).toMatchObject({
      requiredScopes: ["vehicles:write"],
      requestId: expect.any(String),
    });
    expect(body.items.at(-1)).toMatchObject({ action: "created", actor: "jwt:dana@acme.example" });
  });
});

describe("errors", () => {
  it.each([
    ["GET", "/nothing", 404],
    ["DELETE", "/vehicles", 404],
    ["PUT", "/api-keys", 405],
    ["GET", "/api-keys?unknown=1", 400],
    ["GET", "/api-keys/nothing", 404],
  ])("%s %s has the common error body", async (method, path, status) => {
    const reply = await send(method, path, { bearer: admin });
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({
      message: expect.any(String),
      code: expect.any(String),
      requestId: expect.any(String),
      errors: [{ code: expect.stringMatching(/^[A-Z_]+$/), message: expect.any(String) }],
    });
  });

  it("rejects bodies that are too large or not JSON, after the guard", async () => {
    const raw = JSON.stringify({ name: "x".repeat(70_000) });
    for (const [path, bearer] of [
      ["/vehicles", key],
      ["/api-keys", admin],
    ] as const) {
      expect((await send("POST", path, { bearer, raw })).status).toBe(413);
      expect((await send("POST", path, { raw })).status).toBe(401);
      expect((await send("POST", path, { bearer, raw: "{" })).status).toBe(400);
      const headers = { "Content-Type": "text/plain" };
      expect((await send("POST", path, { bearer, raw: "{}", headers })).status).toBe(415);
    }
  });
});
