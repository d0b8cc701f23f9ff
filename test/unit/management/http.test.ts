import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { HttpProblem } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { sleep } from "../core/fixtures.js";
import { managementApi, send } from "./fixtures.js";

const NEW = { scopes: ["vehicles:read"], environment: "live" };

describe("routes", () => {
  test.each([
    ["GET /", 404],
    ["GET /nothing", 404],
    ["GET /api-keys/", 404],
    ["GET //api-keys", 404],
    ["GET /API-KEYS", 404],
    ["GET /api-key", 404],
    ["GET /api%2Dkeys", 404],
    ["GET /me/", 404],
    ["GET /api-keys/x/", 404],
    ["GET /api-keys/x/y", 404],
    ["POST /api-keys/x/rotate/", 404],
    ["POST /api-keys//rotate", 404],
    ["GET /openapi.json/", 404],
    ["GET /api-keys/x/audit/y", 404],
    ["PUT /api-keys", 405, "GET, HEAD, POST"],
    ["OPTIONS /api-keys", 405, "GET, HEAD, POST"],
    ["DELETE /api-keys", 405, "GET, HEAD, POST"],
    ["POST /api-keys/x", 405, "GET, HEAD, PATCH, DELETE"],
    ["OPTIONS /api-keys/x", 405, "GET, HEAD, PATCH, DELETE"],
    ["GET /api-keys/x/rotate", 405, "POST"],
    ["HEAD /api-keys/x/rotate", 405, "POST"],
    ["POST /api-keys/x/audit", 405, "GET, HEAD"],
    ["POST /me", 405, "GET, HEAD"],
    ["DELETE /openapi.json", 405, "GET, HEAD"],
    ["PROPFIND /me", 405, "GET, HEAD"],
  ])("%s: %i", async (line, status, allow?: string) => {
    const response = await managementApi().call(line);
    expect([response.status, response.headers.get("allow")]).toEqual([status, allow ?? null]);
    if (!line.startsWith("HEAD")) {
      expect(response.body.code).toBe(status === 404 ? "not_found" : "method_not_allowed");
      expect(response.body.requestId).toBe(response.headers.get("x-request-id"));
    }
  });

  test.each([
    "%",
    "%E0%A4%A",
    "%00",
    "key%00",
    "%0a",
    "a%2Fb",
    "..%2F..%2Fme",
    "x".repeat(256),
    "%F0%9F%92%A9".repeat(200),
    "__proto__",
    "constructor",
    "'%20or%201=1--",
    "%ED%A0%80",
    "*",
    "{id}",
    "undefined",
  ])("the id %s is not found", async (id) => {
    const { call, errors } = managementApi();
    for (const [line, json] of [
      [`GET /api-keys/${id}`],
      [`PATCH /api-keys/${id}`, {}],
      [`DELETE /api-keys/${id}`],
      [`POST /api-keys/${id}/rotate`],
      [`GET /api-keys/${id}/audit`],
    ] as const) {
      const { status, body } = await call(line, { json });
      expect([line, status, body.code, body.message]).toEqual([
        line,
        404,
        "not_found",
        "No key has this id.",
      ]);
    }
    expect((await call(`GET /api-keys/${id}`, { as: undefined })).status).toBe(401);
    expect(errors).toEqual([]);
  });

  test("finds keys with ids chosen by the host", async () => {
    const { call, manager } = managementApi();
    for (const id of ["käse/1 ?#%", "a b", "x".repeat(255)]) {
      await manager.import({ id, hash: `${id.length}`.padStart(64, "0"), ownerId: "acme", scopes: [] });
      const { status, body } = await call(`GET /api-keys/${encodeURIComponent(id)}`);
      expect([status, body.id]).toEqual([200, id]);
    }
  });

  test("are served below basePath and at custom paths", async () => {
    const paths = { keys: "/settings/keys", me: "/whoami", openapi: "/docs.json" };
    const { call, issue } = managementApi({ basePath: "/api/v2", paths });
    const { key, secret } = await issue();
    const created = await call("POST /api/v2/settings/keys", { json: NEW });
    expect(created.headers.get("location")).toBe(`/api/v2/settings/keys/${created.body.key.id}`);
    expect((await call(`GET /api/v2/settings/keys/${key.id}`)).status).toBe(200);
    expect((await call("GET /api/v2/whoami", { as: secret })).status).toBe(200);
    const { body } = await call("GET /api/v2/docs.json");
    expect(Object.keys(body.paths)).toContain("/api/v2/settings/keys/{id}/rotate");
    for (const line of ["/settings/keys", "/api/v2/api-keys", "/api/v2/me", "/api/v2", "/api/v2x/whoami"]) {
      expect((await call(`GET ${line}`)).status).toBe(404);
    }
  });

  test("that are not in `routes` are not found", async () => {
    const { call, issue } = managementApi({ routes: ["list", "create", "revoke"] });
    const { key, secret } = await issue();
    expect((await call("GET /api-keys")).status).toBe(200);
    for (const line of ["GET /me", "GET /openapi.json", `POST /api-keys/${key.id}/rotate`]) {
      expect((await call(line, { as: secret })).status).toBe(404);
    }
    const { status, headers } = await call(`GET /api-keys/${key.id}`);
    expect([status, headers.get("allow")]).toEqual([405, "DELETE"]);
  });
});

describe("HEAD", () => {
  test("responds like GET, without the body", async () => {
    const { call, issue } = managementApi();
    const { key, secret } = await issue();
    for (const [path, as] of [
      ["/api-keys", "jwt-ann"],
      [`/api-keys/${key.id}`, "jwt-ann"],
      ["/api-keys/none", "jwt-ann"],
      [`/api-keys/${key.id}/audit`, "jwt-ann"],
      ["/me", secret],
      ["/me", "jwt-unknown"],
      ["/openapi.json", "jwt-ann"],
    ] as const) {
      const headers = { "x-request-id": "one" };
      const [get, head] = [
        await call(`GET ${path}`, { as, headers }),
        await call(`HEAD ${path}`, { as, headers }),
      ];
      expect([head.status, head.text]).toEqual([get.status, ""]);
      expect([...head.headers]).toEqual([...get.headers]);
    }
  });
});

describe("credentials", () => {
  test("denials keep their headers and code", async () => {
    const { call } = managementApi();
    const none = await call("GET /api-keys", { as: undefined });
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="api"']);
    expect(none.body).toEqual({
      message: "Authentication required. Provide a valid token via Authorization: Bearer <token>",
      code: "missing_credential",
      requestId: none.headers.get("x-request-id"),
    });
    const bad = await call("GET /api-keys", { as: "jwt-unknown" });
    expect([bad.status, bad.body.code]).toEqual([401, "invalid_key"]);
    expect(bad.headers.get("www-authenticate")).toContain('error="invalid_token"');
    for (const response of [none, bad]) {
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("content-length")).toBe(String(response.text.length));
    }
  });

  test("are checked before the query and the body", async () => {
    const { handler } = managementApi();
    let pulled = 0;
    const body = new ReadableStream(
      {
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(1_000));
        },
      },
      { highWaterMark: 0 },
    );
    const request = new Request("http://localhost/api-keys?x=1", {
      method: "POST",
      headers: { authorization: "Bearer jwt-unknown", "content-type": "application/json" },
      body,
      duplex: "half",
    } as RequestInit);
    expect((await handler(request)).status).toBe(401);
    expect(pulled).toBe(0);
  });

  test("an endless body is read up to the size limit only", async () => {
    const { handler } = managementApi();
    let pulled = 0;
    let cancelled = false;
    const body = new ReadableStream(
      {
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(1_024));
        },
        cancel() {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    const request = new Request("http://localhost/api-keys", {
      method: "POST",
      headers: { authorization: "Bearer jwt-ann", "content-type": "application/json" },
      body,
      duplex: "half",
    } as RequestInit);
    expect((await handler(request)).status).toBe(413);
    expect([pulled, cancelled]).toEqual([65, true]);
  });

  test("two Authorization lines are malformed", async () => {
    const { handler } = managementApi();
    const request = new Request("http://localhost/api-keys", {
      headers: { authorization: "Bearer jwt-ann" },
    });
    const rawHeaders = ["Authorization", "Bearer jwt-ann", "Authorization", "Bearer jwt-ann"];
    const response = await handler(request, { rawHeaders });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      401,
      "malformed_credential",
    ]);
  });

  test("the allowlist of a key is enforced", async () => {
    const { issue, handler } = managementApi();
    const { secret } = await issue({ ipAllowlist: ["10.0.0.0/8"] });
    const from = (remoteAddress?: string) =>
      handler(new Request("http://localhost/me", { headers: { authorization: `Bearer ${secret}` } }), {
        remoteAddress,
      });
    expect((await from("10.1.2.3")).status).toBe(200);
    expect((await from("203.0.113.7")).status).toBe(403);
    expect((await from()).status).toBe(403);
  });

  test("rate limit headers are on every response, also on later errors", async () => {
    const rateLimiter = {
      consume: () => ({
        allowed: true,
        states: [{ name: "key", limit: 10, windowSeconds: 60, remaining: 9, resetSeconds: 60 }],
      }),
    };
    const { call, issue } = managementApi({ requires: { read: "vehicles:read" } }, { rateLimiter });
    const { secret } = await issue();
    for (const line of [
      "GET /me",
      "GET /api-keys",
      "GET /api-keys/none",
      "GET /api-keys?x=1",
      "POST /api-keys",
    ]) {
      expect((await call(line, { as: secret })).headers.get("ratelimit")).toBe('"key";r=9;t=60');
    }
  });

  test("a key over its limit is denied with 429", async () => {
    const rateLimiter = {
      consume: () => ({
        allowed: false,
        states: [{ name: "key", limit: 1, windowSeconds: 60, remaining: 0, resetSeconds: 60 }],
      }),
    };
    const { call, issue } = managementApi({}, { rateLimiter });
    const { secret } = await issue();
    const { status, body, headers } = await call("GET /me", { as: secret });
    expect([status, body.code, headers.get("retry-after")]).toEqual([429, "rate_limited", "60"]);
  });
});

describe("request ids", () => {
  test("a well-formed one is returned in the header and in errors", async () => {
    const { call } = managementApi();
    const { headers, body } = await call("GET /api-keys/none", { headers: { "x-request-id": "trace-1" } });
    expect([headers.get("x-request-id"), body.requestId]).toEqual(["trace-1", "trace-1"]);
  });

  test.each(["<script>", "x".repeat(129), "a b"])("%s is not echoed", async (id) => {
    const { call } = managementApi();
    for (const line of ["GET /api-keys", "GET /api-keys/none", "GET /none"]) {
      const { headers, text } = await call(line, { headers: { "x-request-id": id } });
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(text).not.toContain(id);
    }
  });
});

describe("failures", () => {
  const secret = "password=hunter2 select * from keys where hash = 'abc'";
  const lines = (id: string): readonly [string, unknown?][] => [
    ["GET /api-keys"],
    ["POST /api-keys", NEW],
    [`GET /api-keys/${id}`],
    [`PATCH /api-keys/${id}`, { name: "x" }],
    [`DELETE /api-keys/${id}`],
    [`POST /api-keys/${id}/rotate`],
    [`POST /api-keys/${id}/disable`],
    [`GET /api-keys/${id}/audit`],
  ];

  test("a failing store is a 503 and calls onError", async () => {
    const inner = memoryStore();
    const { key } = await managementApi({}, { store: inner }).issue();
    const down = () => {
      throw new Error(secret);
    };
    const store = {
      ...inner,
      findById: down,
      list: down,
      insert: down,
      update: down,
      replace: down,
      auditTrail: down,
    };
    const { call, errors } = managementApi({}, { store });
    for (const [line, json] of lines(key.id)) {
      const { status, text, body, headers } = await call(line, { json });
      expect([line, status, body.code, headers.get("retry-after")]).toEqual([line, 503, "unavailable", "1"]);
      expect(text).not.toContain("hunter2");
    }
    expect(errors).toHaveLength(lines(key.id).length);
    for (const error of errors) {
      expect(error).toBeInstanceOf(StoreError);
      expect(inspect(error)).not.toContain("hunter2");
    }
  });

  test("any other error is a 500 without details and calls onError with the request", async () => {
    const { manager, issue } = managementApi();
    const { key } = await issue();
    const broken = () => Promise.reject(new Error(secret));
    const reported: unknown[][] = [];
    const { call } = managementApi({
      keys: { ...manager, get: broken, create: broken, list: broken },
      onError: (...args) => reported.push(args),
    });
    for (const [line, json] of lines(key.id)) {
      const { status, body, headers } = await call(line, { json });
      expect([line, status, body]).toEqual([
        line,
        500,
        {
          message: "An internal error occurred. Include the request id when you report it.",
          code: "internal_error",
          requestId: headers.get("x-request-id"),
        },
      ]);
      const [error, context] = reported.pop() ?? [];
      expect(String(error)).toContain("hunter2");
      const [method, path] = line.split(" ");
      expect(context).toEqual({ requestId: body.requestId, method, path });
    }
  });

  test("a failing verifier is a 503", async () => {
    const { verifier } = managementApi();
    const failing = { ...verifier, verify: () => Promise.reject(new Error(secret)) };
    const { call, errors } = managementApi({ verifier: failing });
    const { status, text, body, headers } = await call("GET /api-keys");
    expect([status, body.code, headers.get("retry-after")]).toEqual([503, "unavailable", "1"]);
    expect(text).not.toContain("hunter2");
    expect(errors).toHaveLength(1);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("onError failed");
      },
    ],
    ["rejects", () => Promise.reject(new Error("onError failed"))],
  ])("an onError that %s does not change the response", async (_, onError) => {
    const { manager } = managementApi();
    const list = () => Promise.reject(new Error(secret));
    const { call } = managementApi({ keys: { ...manager, list }, onError });
    expect((await call("GET /api-keys")).status).toBe(500);
    await sleep(5);
  });

  test("without onError, the first error is a process warning", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      const { manager, verifier } = managementApi();
      const list = () => Promise.reject(new Error(secret));
      const { createManagementApi } = await import("../../../src/management/index.js");
      const handler = createManagementApi({
        keys: { ...manager, list },
        verifier,
        requires: { read: "vehicles:read" },
      });
      const { secret: key } = await manager.create({
        ownerId: "acme",
        scopes: ["vehicles:read"],
        environment: "live",
      });
      for (let i = 0; i < 3; i++)
        expect((await send(handler, "GET /api-keys", { as: key })).status).toBe(500);
      expect(warned).toHaveBeenCalledOnce();
      expect(warned.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_MANAGEMENT_ERROR" });
      expect(String(warned.mock.calls[0]?.[0])).not.toContain("hunter2");
    } finally {
      warned.mockRestore();
    }
  });

  test("an exception of actor or defaults is a 500, and nothing is written", async () => {
    const fail = () => {
      throw new Error(secret);
    };
    for (const options of [{ actor: fail }, { defaults: fail }, { defaults: async () => fail() }]) {
      const { call, manager, errors } = managementApi(options);
      expect((await call("POST /api-keys", { json: NEW })).status).toBe(500);
      expect([(await manager.list()).items, errors.length]).toEqual([[], 1]);
    }
  });

  test("invalid defaults are an error of the host", async () => {
    const { call, errors } = managementApi({ defaults: () => ({ name: "a\nb", environment: "live" }) });
    expect((await call("POST /api-keys", { json: { scopes: [] } })).status).toBe(500);
    expect(errors).toHaveLength(1);
    const named = await call("POST /api-keys", { json: { scopes: [], name: "mine\n" } });
    expect([named.status, named.body.errors]).toMatchObject([400, [{ path: "name" }]]);
  });

  test.each([
    ["an invalid status", new HttpProblem(99, "odd", "Odd.")],
    [
      "a header that cannot be sent",
      new HttpProblem(402, "odd", "Odd.", { headers: { "X-Plan": "größer ≥" } }),
    ],
    ["details that are not JSON", new HttpProblem(402, "odd", "Odd.", { details: { credits: 1n } })],
  ])("an HttpProblem of the host with %s is a 500 and calls onError", async (_, thrown) => {
    const { call, errors } = managementApi({
      defaults() {
        throw thrown;
      },
    });
    const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([status, body.code, errors.length > 0]).toEqual([500, "internal_error", true]);
  });

  test("an HttpProblem of the host is the response", async () => {
    const { call, errors } = managementApi({
      defaults: () => {
        throw new HttpProblem(403, "tier_too_low", "Your plan has no API keys.", {
          details: { plan: "free" },
        });
      },
    });
    const { status, body, headers } = await call("POST /api-keys", { json: NEW });
    expect([status, body, errors]).toEqual([
      403,
      {
        message: "Your plan has no API keys.",
        code: "tier_too_low",
        requestId: headers.get("x-request-id"),
        plan: "free",
      },
      [],
    ]);
  });
});
