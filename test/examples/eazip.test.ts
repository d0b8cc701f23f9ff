import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { start } from "../../examples/eazip/main.js";
import type { RunningExample } from "../../examples/example.js";
import { createClient, MALFORMED_DATES, ODD_NAMES, type RequestParts, type Send } from "./http.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const NOT_FOUND = { success: false, error: { code: "NOT_FOUND", message: expect.any(String) } };
const printed: unknown[] = [];
const secrets: string[] = [];

let system: RunningExample;
let send: Send;
let key: string;
let otherKey: string;

beforeAll(async () => {
  for (const method of ["log", "info", "warn", "error"] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args));
  }
  system = await start();
  send = createClient(system.credentials.url, { "X-Request-Id": "req-1" });
  ({ key, otherKey } = system.credentials as unknown as { key: string; otherKey: string });
});
afterAll(async () => {
  await system.close();
  vi.restoreAllMocks();
  const all = inspect(printed, { depth: 10, maxStringLength: null });
  for (const secret of [...secrets, key, otherKey]) expect(all).not.toContain(secret);
});

async function create(json: object = {}, bearer = key) {
  const reply = await send("POST", "/api-keys", { bearer, json });
  expect(reply.status).toBe(201);
  secrets.push(reply.body.api_key.key);
  return reply.body.api_key as { id: string; key: string };
}

async function listed(bearer = key): Promise<{ id: string; name: string; last_used_at: string | null }[]> {
  return (await send("GET", "/api-keys", { bearer })).body.api_keys;
}

describe("eazip: keys", () => {
  it("are created by a key, show their secret once, and are listed", async () => {
    const { status, body, headers } = await send("POST", "/api-keys", {
      bearer: key,
      json: { name: "CI/CD Pipeline", expires_at: "2999-12-31T23:59:59Z" },
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      success: true,
      api_key: {
        id: expect.stringMatching(UUID),
        name: "CI/CD Pipeline",
        key: expect.stringMatching(/^eazip_live_[0-9A-Za-z]{38}$/),
        created_at: expect.stringMatching(DATE),
        expires_at: "2999-12-31T23:59:59.000Z",
        last_used_at: null,
      },
    });
    const { key: secret, ...shown } = body.api_key;
    expect(headers.get("Location")).toBe(`/api-keys/${shown.id}`);

    const list = await send("GET", "/api-keys", { bearer: key });
    expect(list.status).toBe(200);
    expect(Object.keys(list.body)).toEqual(["success", "api_keys"]);
    expect(list.body.success).toBe(true);
    expect(list.body.api_keys).toContainEqual(shown);
    for (const each of list.body.api_keys) {
      expect(Object.keys(each)).toEqual(["id", "name", "created_at", "expires_at", "last_used_at"]);
    }
    expect(list.text).not.toContain(secret);
    expect(list.text).not.toContain("key_");
  });

  it("do not require a name, an expiry or a body", async () => {
    for (const sent of [{ json: {} }, { json: { name: null, expires_at: null } }, {}]) {
      const { status, body } = await send("POST", "/api-keys", { bearer: key, ...sent });
      expect([status, body.api_key.name, body.api_key.expires_at]).toEqual([201, null, null]);
    }
  });

  it("are accepted as X-API-Key or as a bearer token, but not as both", async () => {
    const header = { "X-API-Key": key };
    expect((await send("GET", "/api-keys", { headers: header })).status).toBe(200);
    expect((await send("GET", "/api-keys", { bearer: key })).status).toBe(200);
    const both = await send("GET", "/api-keys", { bearer: key, headers: header });
    expect([both.status, both.body.error.code]).toEqual([401, "UNAUTHORIZED"]);
    const twice = await send("GET", "/api-keys", { headers: { "X-API-Key": `${key}, ${key}` } });
    expect(twice.status).toBe(401);
    expect((await send("GET", `/api-keys?api_key=${key}`)).status).toBe(401);
  });

  it("can do everything that their creator can", async () => {
    const child = await create({ name: "child" });
    const grandchild = await create({ name: "grandchild" }, child.key);
    expect((await listed(grandchild.key)).map(({ id }) => id)).toEqual(
      expect.arrayContaining([child.id, grandchild.id]),
    );
    expect((await send("DELETE", `/api-keys/${child.id}`, { bearer: grandchild.key })).status).toBe(200);
    expect((await send("GET", "/jobs", { bearer: grandchild.key })).status).toBe(200);
  });

  it("cannot outlive their creator", async () => {
    const parent = await create({ expires_at: "2500-01-01T00:00:00Z" });
    const sent = { bearer: parent.key };
    const child = await send("POST", "/api-keys", { ...sent, json: {} });
    expect(child.body.api_key.expires_at).toBe("2500-01-01T00:00:00.000Z");
    for (const expires_at of ["2500-01-01T00:00:01Z", null]) {
      const { status, body } = await send("POST", "/api-keys", { ...sent, json: { expires_at } });
      expect([status, body.error.code]).toEqual([403, "FORBIDDEN"]);
    }
    expect(
      (await send("POST", "/api-keys", { ...sent, json: { expires_at: "2499-01-01T00:00:00Z" } })).status,
    ).toBe(201);
  });

  it("are denied, no longer listed and not found after they are revoked", async () => {
    const { id, key: secret } = await create();
    const gone = await send("DELETE", `/api-keys/${id}`, { bearer: key });
    expect([gone.status, gone.body]).toEqual([200, { success: true, message: "API key revoked" }]);
    expect((await listed()).map((each) => each.id)).not.toContain(id);
    const denied = await send("GET", "/api-keys", { bearer: secret });
    expect([denied.status, denied.body.error.code]).toEqual([401, "UNAUTHORIZED"]);
    const again = await send("DELETE", `/api-keys/${id}`, { bearer: key });
    expect([again.status, again.body]).toEqual([404, NOT_FOUND]);
  });

  it("of other users are not found, like unknown ids", async () => {
    const { id, key: secret } = await create();
    const foreign = await send("DELETE", `/api-keys/${id}`, { bearer: otherKey });
    expect([foreign.status, foreign.body]).toEqual([404, NOT_FOUND]);
    for (const unknown of [
      crypto.randomUUID(),
      id.toUpperCase(),
      `key_${id.replaceAll("-", "")}`,
      "x",
      "1 OR 1=1",
      "..%2f..",
      "%00",
    ]) {
      const { status, text } = await send("DELETE", `/api-keys/${encodeURI(unknown)}`, { bearer: otherKey });
      expect([unknown, status, text]).toEqual([unknown, 404, foreign.text]);
    }
    expect((await listed(otherKey)).map((each) => each.id)).not.toContain(id);
    expect((await send("GET", "/jobs", { bearer: secret })).status).toBe(200);
  });

  it("are all on one page", async () => {
    for (let count = 0; count < 120; count++) await create({ name: `key ${count}` }, otherKey);
    const names = (await listed(otherKey)).map(({ name }) => name);
    expect(names).toHaveLength(121);
  });

  it("have the time of their last use", async () => {
    const { id, key: secret } = await create();
    expect((await listed()).find((each) => each.id === id)?.last_used_at).toBeNull();
    await send("GET", "/jobs", { bearer: secret });
    await expect
      .poll(async () => (await listed()).find((each) => each.id === id)?.last_used_at, { timeout: 5_000 })
      .toMatch(DATE);
  });

  it("reject members other than name and expires_at", async () => {
    for (const member of ["user", "owner_id", "ownerId", "scopes", "environment", "id", "key", "expiresAt"]) {
      const { status, body } = await send("POST", "/api-keys", { bearer: key, json: { [member]: ["x"] } });
      expect([member, status, body.error.code]).toEqual([member, 400, "VALIDATION_ERROR"]);
      expect(body.error.issues).toEqual([{ path: member, message: expect.any(String) }]);
    }
    for (const json of [[], "x", null, 7]) {
      expect((await send("POST", "/api-keys", { bearer: key, json })).status).toBe(400);
    }
  });

  it.each(MALFORMED_DATES)("reject the expiry %j", async (expires_at) => {
    const { status, body } = await send("POST", "/api-keys", { bearer: key, json: { expires_at } });
    expect(status).toBe(400);
    expect(body).toEqual({
      success: false,
      error: {
        code: "VALIDATION_ERROR",
        message: expect.any(String),
        issues: [{ path: "expires_at", message: expect.any(String) }],
      },
    });
  });

  it("accept an expiry with an offset", async () => {
    const { body } = await send("POST", "/api-keys", {
      bearer: key,
      json: { expires_at: "2999-01-01T02:00:00+02:00" },
    });
    expect(body.api_key.expires_at).toBe("2999-01-01T00:00:00.000Z");
  });

  it.each(ODD_NAMES)("accept the name %j", async (name) => {
    const { id } = await create({ name });
    expect((await listed()).find((each) => each.id === id)?.name).toBe(name);
  });

  it.each(["a\r\nSet-Cookie: x=1", "a\u0000b", "\u202egnp.exe", "x".repeat(256), 7, {}])(
    "reject the name %j",
    async (name) => {
      const { status, body } = await send("POST", "/api-keys", { bearer: key, json: { name } });
      expect([status, body.error.issues[0].path]).toEqual([400, "name"]);
    },
  );
});

describe("eazip: errors", () => {
  it("have the common body", async () => {
    const plain = { "Content-Type": "text/plain;charset=UTF-8" };
    const cases: [number, string, string, string, RequestParts][] = [
      [401, "UNAUTHORIZED", "GET", "/api-keys", {}],
      [401, "UNAUTHORIZED", "GET", "/jobs", { bearer: "eazip_live_x" }],
      [404, "NOT_FOUND", "GET", "/", {}],
      [404, "NOT_FOUND", "GET", "/api-keys/", { bearer: key }],
      [404, "NOT_FOUND", "POST", `/api-keys/${crypto.randomUUID()}/rotate`, { bearer: key }],
      [405, "METHOD_NOT_ALLOWED", "PUT", "/api-keys", { bearer: key }],
      [405, "METHOD_NOT_ALLOWED", "GET", `/api-keys/${crypto.randomUUID()}`, { bearer: key }],
      [405, "METHOD_NOT_ALLOWED", "POST", "/jobs", { bearer: key }],
      [400, "VALIDATION_ERROR", "POST", "/api-keys", { bearer: key, raw: "{" }],
      [415, "UNSUPPORTED_MEDIA_TYPE", "POST", "/api-keys", { bearer: key, headers: plain, raw: "name=x" }],
      [413, "BODY_TOO_LARGE", "POST", "/api-keys", { bearer: key, raw: " ".repeat(70_000) }],
    ];
    for (const [wanted, code, method, path, sent] of cases) {
      const { status, body, headers } = await send(method, path, sent);
      expect([method, path, status]).toEqual([method, path, wanted]);
      expect(body).toMatchObject({ success: false, error: { code, message: expect.any(String) } });
      expect(headers.get("X-Request-Id")).toBe("req-1");
      expect(headers.get("Content-Type")).toBe("application/json");
    }
  });
});

describe("eazip: data", () => {
  it("belongs to the user of the key", async () => {
    const mine = await send("GET", "/jobs", { bearer: key });
    const theirs = await send("GET", "/jobs", { bearer: otherKey });
    expect(mine.body).toEqual({ success: true, jobs: [expect.any(Object)], meta: { next_cursor: null } });
    expect(theirs.body.jobs).toHaveLength(1);
    expect(theirs.body.jobs[0].id).not.toBe(mine.body.jobs[0].id);
  });
});
