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
import { createAccounts } from "../../examples/trackyard/accounts.js";
import { start } from "../../examples/trackyard/main.js";
import { createClient, type RequestParts, type Send } from "./http.js";

const KEYS = "/account/api-keys";
const SECRET = /^ty_(live|test)_[0-9A-Za-z]{38}$/;
const DATE = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

let running: RunningExample;
let send: Send;
let c: Record<
  "key" | "otherKey" | "testKey" | "readOnlyKey" | "downloadOnlyKey" | "oldKey" | "adminJwt" | "otherJwt",
  string
>;
let printed: MockInstance[];

beforeAll(async () => {
  running = await start({ port: 0 });
  send = createClient(running.credentials.url);
  c = running.credentials as never;
});
afterAll(() => running.close());
beforeEach(() => {
  printed = (["log", "warn", "error", "info"] as const).map((name) => vi.spyOn(console, name));
});
afterEach(() => {
  for (const spy of printed) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

const issue = async (members: object, bearer = c.adminJwt) => {
  const { status, body } = await send("POST", KEYS, { bearer, json: members });
  expect(status, JSON.stringify(body)).toBe(201);
  return body as { secret: string; key: Record<string, unknown> & { id: string } };
};
const ROUTES = {
  search: (bearer: string) => send("POST", "/search", { bearer, json: { query: "piano" } }),
  download: async (bearer: string) => {
    const response = await fetch(`${running.credentials.url}/download-track`, {
      method: "POST",
      headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
      body: JSON.stringify({ track_id: "trk_abc123" }),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  },
};

describe("/me", () => {
  it("returns the key and its account, without hash and allowlist", async () => {
    const { status, body } = await send("GET", "/me", { bearer: c.key });
    expect(status).toBe(200);
    expect(body).toEqual({
      tier: "pro",
      credits_remaining: expect.any(Number),
      monthly_allowance: 50_000,
      rate_limit: { requests_per_minute: 120, requests_per_day: 10_000 },
      id: expect.any(String),
      name: "Production - Main App",
      start: c.key.slice(0, 12),
      environment: "live",
      scopes: ["admin"],
      status: "active",
      created_at: DATE,
      expires_at: null,
      last_used_at: null,
    });
    const test = await send("GET", "/me", { bearer: c.testKey });
    expect(test.body).toMatchObject({ environment: "test", rate_limit: { requests_per_minute: 60 } });
  });

  it("rejects JWTs, invalid keys and requests without a key", async () => {
    for (const bearer of [c.adminJwt, "ty_live_x", `${c.key.slice(0, -1)}!`]) {
      const { status, body } = await send("GET", "/me", { bearer });
      expect(status).toBe(401);
      expect(body).toEqual({
        error: "Unauthorized",
        message: expect.any(String),
        code: expect.any(String),
        request_id: expect.any(String),
      });
    }
    expect((await send("GET", "/me")).body).toMatchObject({
      error: "Unauthorized",
      code: "missing_credential",
    });
  });
});

describe("scopes and tiers", () => {
  it("restricts read-only and download-only keys", async () => {
    const found = await ROUTES.search(c.readOnlyKey);
    expect(found.status).toBe(200);
    expect(found.body).toEqual({
      tracks: [expect.objectContaining({ id: "trk_def456" })],
      credits_remaining: expect.any(Number),
    });
    const denied = await ROUTES.download(c.readOnlyKey);
    expect(denied.status).toBe(403);
    expect(JSON.parse(denied.text)).toEqual({
      error: "Forbidden",
      message: expect.any(String),
      code: "insufficient_scope",
      request_id: expect.any(String),
      required_scopes: ["download"],
      granted_scopes: ["read"],
      missing_scopes: ["download"],
    });

    const track = await ROUTES.download(c.downloadOnlyKey);
    expect(track.status).toBe(200);
    expect(track.headers.get("content-type")).toBe("audio/mpeg");
    expect(track.headers.get("content-disposition")).toBe('attachment; filename="bright-start.mp3"');
    expect(track.headers.get("x-credits-remaining")).toMatch(/^\d+$/);
    expect((await ROUTES.search(c.downloadOnlyKey)).status).toBe(403);
    expect((await send("GET", "/usage", { bearer: c.downloadOnlyKey })).status).toBe(403);
    expect((await send("GET", "/me", { bearer: c.downloadOnlyKey })).status).toBe(200);
  });

  it("denies a feature that the tier of the account does not include", async () => {
    expect((await send("GET", "/reports", { bearer: c.key })).status).toBe(200);
    expect((await send("GET", "/reports", { bearer: c.readOnlyKey })).status).toBe(200);
    const { status, body } = await send("GET", "/reports", { bearer: c.otherKey });
    expect(status).toBe(403);
    expect(body).toEqual({
      error: "Forbidden",
      message: "This feature requires the plan pro",
      code: "tier_required",
      request_id: expect.any(String),
    });
  });

  it("requires admin for admin routes", async () => {
    expect((await send("GET", "/admin/accounts", { bearer: c.key })).status).toBe(200);
    for (const bearer of [c.otherKey, c.readOnlyKey, c.downloadOnlyKey]) {
      expect((await send("GET", "/admin/accounts", { bearer })).status).toBe(403);
    }
    expect((await send("GET", "/admin/accounts", { bearer: c.adminJwt })).status).toBe(401);
  });
});

describe("the list of keys", () => {
  it("returns name, creation, last use and status of the keys of one account", async () => {
    const { secret, key } = await issue({ name: "Listed" });
    await send("GET", "/me", { bearer: secret });
    const listed = await send("GET", KEYS, { bearer: c.adminJwt });
    expect(listed.status).toBe(200);
    expect(listed.body.items.find(({ id }: { id: string }) => id === key.id)).toEqual({
      id: key.id,
      name: "Listed",
      start: secret.slice(0, 12),
      environment: "live",
      scopes: ["read", "download"],
      status: "active",
      created_at: DATE,
      expires_at: null,
      last_used_at: DATE,
      rotation_due_at: DATE,
      rotation_due: false,
      requests: 1,
    });
    expect(listed.text).not.toContain(secret);
    const others = await send("GET", KEYS, { bearer: c.otherJwt });
    expect(others.body.items.map(({ name }: { name: string }) => name)).toEqual(["Weekend project"]);
  });

  it("marks keys that are due for rotation, as the header API-Key-Notice does", async () => {
    const { headers, status } = await send("GET", "/me", { bearer: c.oldKey });
    expect(status).toBe(200);
    expect(headers.get("api-key-notice")).toMatch(/^rotation-due;since=@\d+$/);
    expect((await send("GET", "/me", { bearer: c.key })).headers.get("api-key-notice")).toBeNull();
    const { body } = await send("GET", KEYS, { bearer: c.adminJwt });
    const due = body.items.filter(({ rotation_due }: { rotation_due: boolean }) => rotation_due);
    expect(due.map(({ name }: { name: string }) => name)).toEqual(["From last year"]);
  });

  it("returns only keys of its own environment to a key", async () => {
    const environments = async (bearer: string) => {
      const { body } = await send("GET", KEYS, { bearer });
      return [...new Set(body.items.map(({ environment }: { environment: string }) => environment))];
    };
    expect(await environments(c.key)).toEqual(["live"]);
    expect(await environments(c.testKey)).toEqual(["test"]);
    expect((await environments(c.adminJwt)).sort()).toEqual(["live", "test"]);
    for (const bearer of [c.readOnlyKey, c.downloadOnlyKey]) {
      expect((await send("GET", KEYS, { bearer })).status).toBe(403);
    }
    expect((await send("GET", KEYS)).status).toBe(401);
  });
});

describe("managing keys", () => {
  it("creates a key for an environment and scopes, and shows the secret once", async () => {
    const live = await issue({ name: "Production" });
    const test = await issue({ name: "Staging", environment: "test", scopes: ["download"] }, c.testKey);
    expect(live.secret).toMatch(SECRET);
    expect(test.secret).toMatch(/^ty_test_/);
    expect(test.key).toMatchObject({ environment: "test", scopes: ["download"] });
    const shown = await send("GET", `${KEYS}/${live.key.id}`, { bearer: c.adminJwt });
    expect(shown.text).not.toContain(live.secret);
  });

  it("rejects a key that exceeds its creator, and unknown members", async () => {
    const attempts: [string, object, number][] = [
      [c.otherKey, { scopes: ["admin"] }, 403],
      [c.otherJwt, { scopes: ["admin"] }, 403],
      [c.otherKey, { environment: "test" }, 403],
      [c.otherKey, { owner_id: "studio" }, 400],
      [c.otherKey, { ownerId: "studio" }, 400],
      [c.otherKey, { account: "studio" }, 400],
      [c.otherKey, { metadata: {} }, 400],
      [c.readOnlyKey, {}, 403],
    ];
    for (const [bearer, json, status] of attempts) {
      const reply = await send("POST", KEYS, { bearer, json });
      expect(reply.status, JSON.stringify(json)).toBe(status);
      expect(reply.body).toMatchObject({ error: expect.any(String), request_id: expect.any(String) });
    }
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
  ])("rejects the expiry %j", async (expires_at) => {
    const { status, body } = await send("POST", KEYS, { bearer: c.adminJwt, json: { expires_at } });
    expect(status).toBe(400);
    expect(body.errors[0].path).toBe("expires_at");
  });

  it.each(["'; DROP TABLE keys; --", "<script>alert(1)</script>", "clé 🔑", "x".repeat(255)])(
    "accepts the name %j",
    async (name) => {
      expect((await issue({ name })).key.name).toBe(name);
    },
  );

  it.each(["a\r\nX-Injected: 1", "\u202egnp.exe", "x".repeat(256), 7])(
    "rejects the name %j",
    async (name) => {
      expect((await send("POST", KEYS, { bearer: c.adminJwt, json: { name } })).status).toBe(400);
    },
  );

  it("revokes a key only after confirmation", async () => {
    const { secret, key } = await issue({ name: "To go" });
    const path = `${KEYS}/${key.id}`;
    for (const request of [{}, { json: { confirm: false } }, { json: { confirm: "true" } }, { raw: "{" }]) {
      const { status, body, headers } = await send("DELETE", path, { bearer: c.adminJwt, ...request });
      expect(status).toBe(409);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(body).toEqual({
        error: "Conflict",
        message: expect.stringContaining("?confirm=true"),
        code: "confirmation_required",
        request_id: expect.any(String),
      });
    }
    expect((await send("DELETE", `${path}?confirm=yes`, { bearer: c.adminJwt })).status).toBe(409);
    expect((await send("GET", "/me", { bearer: secret })).status).toBe(200);

    const revoked = await send("DELETE", `${path}?confirm=true`, { bearer: c.adminJwt });
    expect(revoked.status).toBe(200);
    expect(revoked.body).toMatchObject({ id: key.id, status: "revoked" });
    expect((await send("GET", "/me", { bearer: secret })).status).toBe(401);
    expect((await send("GET", path, { bearer: c.adminJwt })).body.status).toBe("revoked");

    const second = await issue({ name: "To go too" });
    const json = { confirm: true };
    expect((await send("DELETE", `${KEYS}/${second.key.id}`, { bearer: c.key, json })).status).toBe(200);
    expect((await send("GET", "/me", { bearer: second.secret })).status).toBe(401);
  });

  it("responds to keys of other accounts as to unknown keys", async () => {
    const { secret, key } = await issue({ name: "Ours" });
    for (const bearer of [c.otherJwt, c.otherKey]) {
      for (const [method, path, json] of [
        ["GET", "", undefined],
        ["DELETE", "", undefined],
        ["DELETE", "?confirm=true", undefined],
        ["PATCH", "", { name: "x" }],
        ["POST", "/rotate", {}],
        ["GET", "/audit", undefined],
      ] as const) {
        const foreign = await send(method, `${KEYS}/${key.id}${path}`, { bearer, json });
        const unknown = await send(method, `${KEYS}/key_${"0".repeat(32)}${path}`, { bearer, json });
        expect(foreign.status).toBe(404);
        expect({ ...foreign.body, request_id: "" }).toEqual({ ...unknown.body, request_id: "" });
      }
    }
    expect((await send("GET", "/me", { bearer: secret })).status).toBe(200);
    expect((await send("DELETE", `${KEYS}/${key.id}?confirm=true`)).status).toBe(401);
  });
});

describe("usage", () => {
  it("counts requests by account and environment", async () => {
    const usage = async (bearer: string) => (await send("GET", "/usage?limit=2", { bearer })).body;
    const [live, test, other] = [await usage(c.key), await usage(c.testKey), await usage(c.otherKey)];
    await ROUTES.search(c.key);
    const after = await usage(c.key);
    expect(after).toEqual({
      usage: [
        {
          timestamp: DATE,
          endpoint: "/search",
          status_code: 200,
          credits_consumed: 1,
          response_time_ms: expect.any(Number),
        },
        {
          timestamp: DATE,
          endpoint: "/usage",
          status_code: 200,
          credits_consumed: 0,
          response_time_ms: expect.any(Number),
        },
      ],
      total_count: live.total_count + 2,
      offset: 0,
      limit: 2,
      environment: "live",
    });
    expect(await usage(c.testKey)).toMatchObject({ environment: "test", total_count: test.total_count + 1 });
    expect((await usage(c.otherKey)).total_count).toBe(other.total_count + 1);
    expect((await send("GET", "/usage?limit=1000", { bearer: c.key })).status).toBe(400);
  });
});

describe("credits", () => {
  it("are spent until none are left", () => {
    const accounts = createAccounts();
    for (let left = 499; left >= 0; left--) expect(accounts.spend("hobby")).toBe(left);
    expect(() => accounts.spend("hobby")).toThrow(
      expect.objectContaining({ status: 402, code: "out_of_credits" }),
    );
    expect(accounts.spend("studio")).toBe(49_999);
  });
});

describe("rate limits", () => {
  it("are sent in headers and apply to each key separately", async () => {
    const limits = { live: { perMinute: 3, perDay: 100 }, test: { perMinute: 2, perDay: 50 } };
    const small = await start({ port: 0, limits });
    const { url, key, testKey } = small.credentials as Record<string, string>;
    try {
      const me = (bearer?: string) => createClient(url as string)("GET", "/me", { bearer });
      const first = await me(testKey);
      expect(Object.fromEntries(first.headers)).toMatchObject({
        ratelimit: expect.stringMatching(/^"minute";r=1;t=\d+, "day";r=49;t=\d+$/),
        "ratelimit-policy": '"minute";q=2;w=60, "day";q=50;w=86400',
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-limit-daily": "50",
        "x-ratelimit-remaining-daily": "49",
      });
      await me(testKey);
      const denied = await me(testKey);
      expect(denied.status).toBe(429);
      expect(denied.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(denied.body).toMatchObject({ error: "Too Many Requests", code: "rate_limited" });
      const live = await me(key);
      expect(live.status).toBe(200);
      expect(live.headers.get("x-ratelimit-remaining")).toBe("2");
    } finally {
      await small.close();
    }
  });
});

describe("the quota of a day", () => {
  it("is shared by the keys of an account, so that more keys are not more requests", async () => {
    const limits = { live: { perMinute: 100, perDay: 3 }, test: { perMinute: 100, perDay: 3 } };
    const small = await start({ port: 0, limits });
    const { url, key, adminJwt } = small.credentials as Record<string, string>;
    try {
      const sendTo = createClient(url as string);
      const created = await sendTo("POST", KEYS, { bearer: adminJwt, json: { name: "second" } });
      const second = created.body.secret as string;
      const statuses: number[] = [];
      for (const bearer of [key, second, key, second]) {
        statuses.push((await sendTo("GET", "/me", { bearer })).status);
      }
      expect([created.status, ...statuses]).toEqual([201, 200, 200, 200, 429]);
    } finally {
      await small.close();
    }
  });
});

describe("errors", () => {
  it.each<[string, string, RequestParts, number]>([
    ["GET", "/nothing", {}, 404],
    ["GET", "/%ZZ", {}, 400],
    ["DELETE", "/me", {}, 404],
    ["PUT", KEYS, { json: {} }, 405],
    ["GET", "/account/nothing", {}, 404],
    ["POST", "/search", { raw: "{" }, 400],
    ["POST", "/search", { raw: "" }, 400],
    ["POST", "/search", { json: {} }, 400],
    ["POST", "/search", { json: { query: "x", hacked: 1 } }, 400],
    ["POST", "/search", { raw: '{"query":"x","__proto__":{"a":1}}' }, 400],
    ["POST", "/search", { raw: "{}", headers: { "Content-Type": "text/plain" } }, 415],
    ["POST", "/search", { json: { query: "x".repeat(70_000) } }, 413],
    ["POST", "/download-track", { json: { track_id: "trk_nothing" } }, 404],
    ["POST", "/download-track", { json: { track_id: "trk_abc123", hit_point_seconds: 3 } }, 400],
  ])("%s %s with %j has the common error body", async (method, path, request, status) => {
    const reply = await send(method, path, { bearer: c.key, ...request });
    expect(reply.status).toBe(status);
    expect(reply.body).toMatchObject({
      error: expect.any(String),
      message: expect.any(String),
      code: expect.any(String),
      request_id: expect.any(String),
    });
  });

  it("does not read the body of a request without a key", async () => {
    expect((await send("POST", "/search", { json: { query: "x".repeat(70_000) } })).status).toBe(401);
  });
});
