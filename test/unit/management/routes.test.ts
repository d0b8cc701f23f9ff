import { describe, expect, test } from "vitest";
import { memoryStore } from "../../../src/stores/memory.js";
import { START } from "../core/fixtures.js";
import { DAY, later, managementApi } from "./fixtures.js";

const NEW = { name: "trucks", scopes: ["vehicles:read"], environment: "live" };

describe("POST /api-keys", () => {
  test("creates a key for the owner of the credential and returns its secret once", async () => {
    const { call, manager, verifier } = managementApi();
    const response = await call("POST /api-keys", { json: NEW });
    expect(response.status).toBe(201);
    const { secret, key } = response.body;
    expect(secret).toMatch(/^ezt_live_/);
    expect(key).toEqual({
      id: key.id,
      version: 1,
      ownerId: "acme",
      name: "trucks",
      start: secret.slice(0, 13),
      environment: "live",
      status: "active",
      scopes: ["vehicles:read"],
      ipAllowlist: null,
      rateLimit: null,
      metadata: null,
      createdAt: START.toISOString(),
      updatedAt: START.toISOString(),
      expiresAt: null,
      lastUsedAt: null,
      disabledAt: null,
      suspendedAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
      disabledBy: null,
      createdBy: "jwt:ann",
      createdByKey: null,
    });
    expect(response.headers.get("location")).toBe(`/api-keys/${key.id}`);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    const shown = await call(`GET /api-keys/${key.id}`);
    expect(shown.text).not.toContain(secret);
    expect((await verifier.verify({ headers: { authorization: `Bearer ${secret}` } })).ok).toBe(true);
    expect((await manager.auditTrail({ keyId: key.id })).items).toMatchObject([
      { action: "created", actor: "jwt:ann" },
    ]);
  });

  test("accepts every member", async () => {
    const { call } = managementApi({}, { maxLifetime: "90d" });
    const json = {
      ...NEW,
      ipAllowlist: ["203.0.113.0/24"],
      expiresAt: "2030-02-01T00:00:00+01:00",
      metadata: { team: "a", deep: { list: [1, null, "x"] } },
      rateLimit: { limit: 5, windowSeconds: 60 },
    };
    const { status, body } = await call("POST /api-keys", { json });
    expect(status).toBe(201);
    expect(body.key).toMatchObject({ ...json, expiresAt: "2030-01-31T23:00:00.000Z" });
  });
});

describe("GET /api-keys", () => {
  test("pages through the keys of the owner, newest first", async () => {
    const { call, issue, clock } = managementApi();
    for (let i = 0; i < 5; i++) {
      clock.set(later(i));
      await issue({ name: `key ${i}` });
    }
    await issue({ name: "not yours", ownerId: "evil" });
    const names: string[] = [];
    let query = "?limit=2";
    for (let pages = 1; ; pages++) {
      const { status, body } = await call(`GET /api-keys${query}`);
      expect(status).toBe(200);
      names.push(...body.items.map((key: { name: string }) => key.name));
      if (body.nextCursor === undefined) {
        expect(pages).toBe(3);
        break;
      }
      query = `?limit=2&cursor=${body.nextCursor}`;
    }
    expect(names).toEqual(["key 4", "key 3", "key 2", "key 1", "key 0"]);
  });

  test("names keys and entries that cannot be read", async () => {
    const damaged = ["key_1"];
    const read = () => ({ items: [], damaged });
    const { call, issue } = managementApi({}, { store: { ...memoryStore(), list: read, auditTrail: read } });
    const { key } = await issue();
    for (const path of ["/api-keys", `/api-keys/${key.id}/audit`]) {
      const { status, body } = await call(`GET ${path}`);
      expect([status, body]).toEqual([200, { items: [], damaged }]);
    }
  });

  test("pages through keys with the longest ids", async () => {
    const { call, manager } = managementApi();
    for (const last of ["1", "2"]) {
      const secret = `imported-secret-number-${last}`;
      await manager.import({ id: "鍵".repeat(254) + last, secret, ownerId: "acme", scopes: [] });
    }
    const { nextCursor } = (await call("GET /api-keys?limit=1")).body;
    const { status, body } = await call(`GET /api-keys?limit=1&cursor=${nextCursor}`);
    expect([status, body.items?.length]).toEqual([200, 1]);
  });

  test("filters by status and environment", async () => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue({ name: "gone" });
    await manager.revoke(key.id);
    await issue({ name: "test", environment: "test" });
    await issue({ name: "live" });
    const names = async (query: string) =>
      (await call(`GET /api-keys${query}`)).body.items.map(({ name }: { name: string }) => name).sort();
    expect(await names("")).toEqual(["gone", "live", "test"]);
    expect(await names("?status=revoked")).toEqual(["gone"]);
    expect(await names("?status=active&environment=test")).toEqual(["test"]);
    expect(await names("?status=expired")).toEqual([]);
  });

  test("uses pageSize unless the query has a limit", async () => {
    const { call, issue } = managementApi({ pageSize: 2 });
    for (let i = 0; i < 4; i++) await issue();
    expect((await call("GET /api-keys")).body.items).toHaveLength(2);
    expect((await call("GET /api-keys?limit=3")).body.items).toHaveLength(3);
  });
});

describe("one key", () => {
  test("PATCH changes the sent members, and null removes one", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue({ name: "old", metadata: { a: 1 }, expiresAt: later(DAY) });
    const json = { name: null, ipAllowlist: ["10.0.0.0/8"], expiresAt: null };
    const { status, body } = await call(`PATCH /api-keys/${key.id}`, { json });
    expect(status).toBe(200);
    expect(body).toMatchObject({ ...json, metadata: { a: 1 }, id: key.id });
  });

  test("every change has another ETag, also at the same time and after the clock was set back", async () => {
    const { call, issue, clock } = managementApi();
    const at = `/api-keys/${(await issue()).key.id}`;
    const change = (name: string, tag: string) =>
      call(`PATCH ${at}`, { json: { name }, headers: { "if-match": tag } });
    const tags = [(await call(`GET ${at}`)).headers.get("etag") as string];
    for (const time of [START, START, later(-DAY)]) {
      clock.set(time);
      const changed = await change("new", tags[0] as string);
      expect(changed.status).toBe(200);
      tags.unshift(changed.headers.get("etag") as string);
    }
    expect((await call(`GET ${at}`)).headers.get("etag")).toBe(tags[0]);
    expect(new Set(tags).size).toBe(4);
    for (const tag of tags.slice(1)) expect((await change("lost", tag)).status).toBe(412);
  });

  test("DELETE revokes; a second one changes nothing", async () => {
    const { call, issue, clock } = managementApi();
    const { key } = await issue();
    const first = await call(`DELETE /api-keys/${key.id}`, { json: { reason: "lost" } });
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ status: "revoked", revokedReason: "lost" });
    clock.set(later(DAY));
    const again = await call(`DELETE /api-keys/${key.id}?reason=other`);
    expect([again.status, again.text]).toEqual([200, first.text]);
    expect((await call(`DELETE /api-keys/${key.id}`)).text).toBe(first.text);
    expect((await call(`GET /api-keys/${key.id}`)).text).toBe(first.text);
  });

  test("DELETE accepts an optional reason in the query", async () => {
    const { call, issue } = managementApi();
    const [one, two] = [await issue(), await issue()];
    const withReason = await call(`DELETE /api-keys/${one.key.id}?reason=no%20longer%20used`);
    expect(withReason.body.revokedReason).toBe("no longer used");
    expect((await call(`DELETE /api-keys/${two.key.id}`)).body.revokedReason).toBe(null);
    const both = await call(`DELETE /api-keys/${two.key.id}?reason=a`, { json: { reason: "b" } });
    expect([both.status, both.body.errors]).toEqual([
      400,
      [{ path: "reason", message: "must not be in the body as well" }],
    ]);
  });

  test("rotate, disable, enable", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue();
    expect((await call(`POST /api-keys/${key.id}/disable`)).body.status).toBe("disabled");
    expect((await call(`POST /api-keys/${key.id}/disable`)).body.status).toBe("disabled");
    expect((await call(`POST /api-keys/${key.id}/enable`, { json: {} })).body.status).toBe("active");
    const next = await call(`POST /api-keys/${key.id}/rotate`, { json: { overlap: "24h" } });
    expect(next.status).toBe(201);
    expect(next.body.key).toMatchObject({ replaces: key.id, status: "active" });
    expect(next.headers.get("location")).toBe(`/api-keys/${next.body.key.id}`);
    const old = (await call(`GET /api-keys/${key.id}`)).body;
    expect(old).toMatchObject({ status: "retiring", expiresAt: later(DAY).toISOString() });
  });

  test.each([
    [{}, undefined, 600_000],
    [{ overlap: "1h" }, undefined, 3_600_000],
    [{}, { overlap: "0s" }, 0],
  ] as const)(
    "the overlap of a rotation is 10 minutes unless option or body say otherwise: %j, %j",
    async (options, json, ms) => {
      const { call, issue } = managementApi(options);
      const { key } = await issue();
      await call(`POST /api-keys/${key.id}/rotate`, { json });
      expect((await call(`GET /api-keys/${key.id}`)).body.expiresAt).toBe(later(ms).toISOString());
    },
  );

  test("audit returns the changes and their actors", async () => {
    const { call, issue, clock } = managementApi({ actor: ({ id, type }) => `${type}:${id}` });
    const { key } = await issue();
    clock.set(later(1));
    await call(`PATCH /api-keys/${key.id}`, { json: { name: "new", ipAllowlist: [] } });
    clock.set(later(2));
    await call(`DELETE /api-keys/${key.id}`, { json: { reason: "lost" } });
    const { status, body } = await call(`GET /api-keys/${key.id}/audit?limit=2`);
    expect(status).toBe(200);
    expect(body.items).toMatchObject([
      { action: "revoked", actor: "jwt:ann", keyId: key.id, at: later(2).toISOString() },
      { action: "updated", actor: "jwt:ann", details: { members: ["name", "ipAllowlist"] } },
    ]);
    const rest = (await call(`GET /api-keys/${key.id}/audit?cursor=${body.nextCursor}`)).body;
    expect(rest.items.map(({ action }: { action: string }) => action)).toEqual(["created"]);
    expect(rest).not.toHaveProperty("nextCursor");
  });
});

describe("GET /me", () => {
  test("returns the key of the request without its allowlist", async () => {
    const { call, issue } = managementApi();
    const { secret, key } = await issue({
      name: "me",
      ipAllowlist: ["203.0.113.0/24"],
      metadata: { internal: true },
      expiresAt: later(DAY),
    });
    const { status, body, headers } = await call("GET /me", { as: secret });
    expect(status).toBe(200);
    expect(body).toEqual({
      id: key.id,
      ownerId: "acme",
      name: "me",
      start: key.start,
      environment: "live",
      scopes: ["vehicles:read"],
      status: "active",
      createdAt: START.toISOString(),
      expiresAt: later(DAY).toISOString(),
      lastUsedAt: null,
    });
    expect(headers.get("api-key-notice")).toContain("expiring");
  });

  test("denies a token", async () => {
    const { status, body } = await managementApi().call("GET /me");
    expect([status, body.code]).toEqual([403, "not_an_api_key"]);
  });
});
