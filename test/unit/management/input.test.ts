import { describe, expect, test } from "vitest";
import { encodeCursor } from "../../../src/core/keys/cursor.js";
import { polluted } from "../core/fixtures.js";
import { managementApi } from "./fixtures.js";

const NEW = { scopes: ["vehicles:read"], environment: "live" };
const paths = (body: { errors?: { path: string }[] }) => body.errors?.map(({ path }) => path);

/** Returns the paths of the errors for the body of a new key. */
async function errorPaths(json: unknown): Promise<string[] | undefined> {
  const { call, manager, errors } = managementApi();
  const { status, body } = await call("POST /api-keys", { json });
  expect([status, body.code]).toEqual([400, "invalid_body"]);
  expect(body.message).toBe("The body is not valid.");
  for (const fault of body.errors) expect(Object.keys(fault)).toEqual(["path", "message"]);
  expect((await manager.list()).items).toEqual([]);
  expect(errors).toEqual([]);
  return paths(body);
}

describe("dates", () => {
  test.each<[string, unknown]>([
    ["an invalid day", "2031-02-30T00:00:00Z"],
    ["February 29 of a common year", "2031-02-29T00:00:00Z"],
    ["24:00", "2031-01-01T24:00:00Z"],
    ["no offset", "2031-01-01T00:00:00"],
    ["a date without a time", "2031-01-01"],
    ["seconds since 1970", 1_924_992_000],
    ["milliseconds since 1970", 1_924_992_000_000],
    ["a number as a string", "1924992000"],
    ["the year 10000", "10000-01-01T00:00:00Z"],
    ["the year 10000 with a sign", "+010000-01-01T00:00:00Z"],
    ["the past", "2029-12-31T23:59:59Z"],
    ["now", "2030-01-01T00:00:00Z"],
    ["an empty string", ""],
    ["an array", ["2031-01-01T00:00:00Z"]],
    ["an object", { date: "2031-01-01T00:00:00Z" }],
    ["true", true],
    ["a week date", "2031-W01-1T00:00:00Z"],
    ["an ordinal date", "2031-001T00:00:00Z"],
    ["spaces around", " 2031-01-01T00:00:00Z "],
    ["a space instead of T", "2031-01-01 00:00:00Z"],
    ["RFC 2822", "Wed, 01 Jan 2031 00:00:00 GMT"],
    ["a 13th month", "2031-13-01T00:00:00Z"],
    ["a leap second", "2031-06-30T23:59:60Z"],
    ["an offset without minutes", "2031-01-01T00:00:00+01"],
    ["an offset of 25 hours", "2031-01-01T00:00:00+25:00"],
    ["no seconds", "2031-01-01T00:00Z"],
    ["a word", "tomorrow"],
    ["NUL", "2031-01-01T00:00:00Z\0"],
    ["a line break", "2031-01-01T00:00:00Z\n"],
    ["Arabic digits", "٢٠٣١-٠١-٠١T00:00:00Z"],
    ["a thousand fractional digits", `2031-01-01T00:00:00.${"1".repeat(1_000)}Z`],
  ])("%s", async (_, expiresAt) => {
    expect(await errorPaths({ ...NEW, expiresAt })).toEqual(["expiresAt"]);
    const { call, issue } = managementApi();
    const { key } = await issue();
    const { status, body } = await call(`PATCH /api-keys/${key.id}`, { json: { expiresAt } });
    expect([status, paths(body)]).toEqual([400, ["expiresAt"]]);
  });

  test.each(["2031-01-01T00:00:00Z", "2031-01-01T01:30:00.5+05:30", "2032-02-29T23:59:59.999-11:00"])(
    "%s is one",
    async (expiresAt) => {
      const { status, body } = await managementApi().call("POST /api-keys", { json: { ...NEW, expiresAt } });
      expect([status, body.key.expiresAt]).toEqual([201, new Date(expiresAt).toISOString()]);
    },
  );
});

describe("members", () => {
  test.each<[string, object, string[]]>([
    ["owner", { ownerId: "evil" }, ["ownerId"]],
    ["owner in snake_case", { owner_id: "evil" }, ["owner_id"]],
    ["id", { id: "key_1" }, ["id"]],
    ["hash", { hash: "0".repeat(64) }, ["hash"]],
    ["secret", { secret: "ezt_live_x" }, ["secret"]],
    [
      "status and dates",
      { status: "active", createdAt: null, lastUsedAt: null },
      ["status", "createdAt", "lastUsedAt"],
    ],
    [
      "version and state",
      { version: 9, revokedAt: null, replaces: "x" },
      ["version", "revokedAt", "replaces"],
    ],
    ["wrong case", { Scopes: ["fleet:admin"], expires_at: null }, ["Scopes", "expires_at"]],
    [
      "names of Object.prototype",
      { constructor: {}, prototype: {}, toString: 1 },
      ["constructor", "prototype", "toString"],
    ],
    ["an empty name", { "": 1 }, ['""']],
  ])("unknown: %s", async (_, more, expected) => {
    expect(await errorPaths({ ...NEW, ...more })).toEqual(expected);
  });

  test.each([
    ['{"name":"a","name":"b"}', "name"],
    ['{"name":"a","n\\u0061me":"a"}', "name"],
    ['{"rateLimit":{"limit":1,"windowSeconds":1,"limit":9}}', "rateLimit.limit"],
    ['{"metadata":{"a":[{},{"b":{"c":[1,2],"c":3}}]}}', "metadata.a[1].b.c"],
    ['{"a":[1,{"b":[],"b":[]}]}', "a[1].b"],
    ['[[],[{"a":1,"a":1}]]', "[1][0].a"],
    [`{"${"x".repeat(500)}":1,"${"x".repeat(500)}":2}`, '"xxxxxxxxxxxx…"'],
    [`${'{"a":'.repeat(5_000)}{"b":1,"b":1}${"}".repeat(5_000)}`, Array(20).fill("a").join(".")],
  ])("duplicate, at any depth: %.60s", async (text, path) => {
    const { call, manager, issue } = managementApi();
    const { key } = await issue();
    const errors = [{ path, message: "must not be repeated" }];
    for (const line of ["POST /api-keys", `PATCH /api-keys/${key.id}`, `DELETE /api-keys/${key.id}`]) {
      const { status, body } = await call(line, { text });
      expect([status, body.code, body.errors]).toEqual([400, "invalid_body", errors]);
    }
    expect((await manager.list()).items).toEqual([key]);
  });

  test("accepts one name in several objects, and strings that look like JSON", async () => {
    const text =
      '{"environment":"live","scopes":[],"name":"{\\"a\\":1,\\"a\\":2}","metadata":{"a":[{"a":1},{"a":2}]}}';
    expect((await managementApi().call("POST /api-keys", { text })).status).toBe(201);
  });

  test("rejects __proto__ at any depth", async () => {
    const { call } = managementApi();
    for (const text of [
      '{"environment":"live","__proto__":{"scopes":["fleet:admin"]},"scopes":["vehicles:read"]}',
      '{"environment":"live","scopes":[],"__proto__":null}',
    ]) {
      const { status, body } = await call("POST /api-keys", { text });
      expect([status, paths(body)]).toEqual([400, ["__proto__"]]);
    }
    const rate = await call("POST /api-keys", {
      text: '{"environment":"live","scopes":[],"rateLimit":{"limit":1,"windowSeconds":1,"__proto__":{}}}',
    });
    expect([rate.status, paths(rate.body)]).toEqual([400, ["rateLimit.__proto__"]]);
    const metadata = await call("POST /api-keys", {
      text: '{"environment":"live","scopes":[],"metadata":{"__proto__":{"admin":true}}}',
    });
    expect([metadata.status, paths(metadata.body)]).toEqual([400, ["metadata.__proto__"]]);
  });

  test("ignores members of a polluted Object.prototype", async () => {
    const { call } = managementApi();
    await polluted({ scopes: ["fleet:admin"], environment: "live", limit: "1", reason: "x" }, async () => {
      const { status, body } = await call("POST /api-keys", { json: { name: "x" } });
      expect([status, paths(body)]).toEqual([400, ["scopes"]]);
      expect((await call("GET /api-keys")).status).toBe(200);
    });
  });

  test("shortens and escapes unknown names in errors", async () => {
    const { call } = managementApi();
    const names = ["<script>", "a\r\nSet-Cookie: x", "\u202e\ud800", "x".repeat(5_000), 'a"b', "é"];
    const json = { ...NEW, ...Object.fromEntries(names.map((name) => [name, 1])) };
    const { status, text, body } = await call("POST /api-keys", { json });
    expect(status).toBe(400);
    expect(text).toMatch(/^[\x20-\x7e…]*$/);
    expect(text.length).toBeLessThan(1_500);
    expect(body.errors).toHaveLength(names.length);
  });

  test("does not echo a secret that is sent as a name", async () => {
    const { call, issue } = managementApi();
    const { secret, key } = await issue();
    const shown = `"${secret.slice(0, 12)}…"`;
    const rateLimit = { limit: 1, windowSeconds: 1, [secret]: 1 };
    for (const [line, json, path] of [
      ["POST /api-keys", { ...NEW, [secret]: 1 }, shown],
      ["POST /api-keys", { ...NEW, rateLimit }, `rateLimit.${shown}`],
      ["POST /api-keys", { ...NEW, metadata: { a: { [secret]: "\0" } } }, `metadata.a.${shown}`],
      [`PATCH /api-keys/${key.id}`, { [secret]: 1 }, shown],
      [`POST /api-keys/${key.id}/rotate`, { [secret]: 1 }, shown],
      [`DELETE /api-keys/${key.id}`, { [secret]: 1 }, shown],
      [`GET /api-keys?${secret}=1`, undefined, shown],
      [`GET /api-keys?${secret}=1&${secret}=1`, undefined, shown],
    ] as const) {
      const { status, text, body } = await call(line, { json });
      expect([line, status, paths(body)]).toEqual([line, 400, [path]]);
      expect(text).not.toContain(secret.slice(0, 13));
    }
  });

  test("echoes plain names of up to 32 characters", async () => {
    const { call } = managementApi();
    const names = ["a".repeat(32), `b${"c".repeat(32)}`];
    const json = { ...NEW, ...Object.fromEntries(names.map((name) => [name, 1])) };
    expect(paths((await call("POST /api-keys", { json })).body)).toEqual([names[0], '"bccccccccccc…"']);
  });

  test("names long members of a custom naming in full", async () => {
    const long = (member: string) => `${member}_${"x".repeat(40)}`;
    const { call } = managementApi({ presenter: { naming: long } });
    const { body } = await call("POST /api-keys", {
      json: { [long("scopes")]: 1, [long("environment")]: "live" },
    });
    expect(body[long("errors")][0][long("path")]).toBe(long("scopes"));
  });

  test.each<[string, object, string[]]>([
    ["name", { name: 7 }, ["name"]],
    ["a long name", { name: "x".repeat(256) }, ["name"]],
    ["name with NUL", { name: "a\0" }, ["name"]],
    ["name with a line break", { name: "a\nb" }, ["name"]],
    ["name with a lone surrogate", { name: "\ud800" }, ["name"]],
    ["name with a bidirectional override", { name: "a\u202eb" }, ["name"]],
    ["scopes", { scopes: "vehicles:read" }, ["scopes"]],
    ["scopes as an object", { scopes: { 0: "vehicles:read", length: 1 } }, ["scopes"]],
    ["null scopes", { scopes: null }, ["scopes"]],
    [
      "unknown scopes",
      { scopes: ["vehicles:read", "x", 7, null, ["a"]] },
      ["scopes[1]", "scopes[2]", "scopes[3]", "scopes[4]"],
    ],
    ["a planned scope", { scopes: ["reports:read"] }, ["scopes[0]"]],
    ["wildcards", { scopes: ["*", "vehicles:*"] }, ["scopes[0]", "scopes[1]"]],
    ["a scope with spaces", { scopes: [" vehicles:read"] }, ["scopes[0]"]],
    [
      "scopes named like members of Object.prototype",
      { scopes: ["__proto__", "constructor"] },
      ["scopes[0]", "scopes[1]"],
    ],
    ["environment", { environment: "prod" }, ["environment"]],
    ["environment null", { environment: null }, ["environment"]],
    ["allowlist", { ipAllowlist: "10.0.0.0/8" }, ["ipAllowlist"]],
    [
      "networks",
      { ipAllowlist: ["10.0.0.0/8", "10.0.0.5/8", "x", 7, "010.0.0.1"] },
      ["ipAllowlist[1]", "ipAllowlist[2]", "ipAllowlist[3]", "ipAllowlist[4]"],
    ],
    ["metadata", { metadata: [] }, ["metadata"]],
    ["metadata as a string", { metadata: "x" }, ["metadata"]],
    ["metadata with NUL", { metadata: { a: { b: ["\0"] } } }, ["metadata.a.b[0]"]],
    ["rate limit", { rateLimit: 5 }, ["rateLimit"]],
    ["an incomplete rate limit", { rateLimit: { limit: 5 } }, ["rateLimit.windowSeconds"]],
    [
      "rate limits",
      { rateLimit: { limit: 0, windowSeconds: 1.5 } },
      ["rateLimit.limit", "rateLimit.windowSeconds"],
    ],
    [
      "a rate limit with an unknown member",
      { rateLimit: { limit: 1, windowSeconds: 1, burst: 9 } },
      ["rateLimit.burst"],
    ],
    ["a huge rate limit", { rateLimit: { limit: 1e300, windowSeconds: 1 } }, ["rateLimit.limit"]],
  ])("%s", async (_, more, expected) => {
    expect(await errorPaths({ ...NEW, ...more })).toEqual(expected);
  });

  test("reports all errors at once", async () => {
    const faults = await errorPaths({ name: 1, expiresAt: "x", ipAllowlist: ["x", "y"], owner: "evil" });
    expect(faults?.sort()).toEqual(
      ["scopes", "name", "expiresAt", "ipAllowlist[0]", "ipAllowlist[1]", "owner"].sort(),
    );
  });

  test("but not more than a hundred", async () => {
    expect(await errorPaths({ ...NEW, scopes: Array(900).fill("x") })).toHaveLength(100);
    expect(await errorPaths({ ...NEW, scopes: Array(9_000).fill("x") })).toEqual(["scopes"]);
    expect(await errorPaths({ ...NEW, ipAllowlist: Array(5_000).fill("10.0.0.1") })).toEqual(["ipAllowlist"]);
    const unknown = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`m${i}`, 1]));
    expect(await errorPaths({ ...NEW, ...unknown })).toHaveLength(100);
  });

  test("error messages do not repeat the input", async () => {
    const { call } = managementApi();
    const json = {
      scopes: ["reports:read", "secret-of-the-client"],
      name: 7,
      expiresAt: "secret-of-the-client",
      rateLimit: { limit: 0, windowSeconds: "secret-of-the-client" },
      ipAllowlist: ["secret-of-the-client"],
      environment: "secret-of-the-client",
    };
    const { text, body } = await call("POST /api-keys", { json });
    expect(text).not.toContain("secret-of-the-client");
    const byPath = Object.fromEntries(
      body.errors.map(({ path, message }: { path: string; message: string }) => [path, message]),
    );
    expect(byPath).toEqual({
      name: "must be a string",
      "scopes[0]": "is planned and cannot be granted yet",
      "scopes[1]": "is not a defined scope",
      environment: "must be one of live, test",
      "ipAllowlist[0]": "is not an IP address or a network such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32",
      expiresAt: "must be a date and time with an offset, such as 2030-01-31T12:00:00Z",
      "rateLimit.limit": "must be at least 1",
      "rateLimit.windowSeconds": "must be an integer",
    });
  });

  test("reports missing members", async () => {
    const { call } = managementApi();
    const none = (await call("POST /api-keys", { json: {} })).body.errors;
    expect(none).toEqual([{ path: "scopes", message: "is required" }]);
    const { errors } = (await call("POST /api-keys", { json: { scopes: [] } })).body;
    expect(errors).toEqual([{ path: "environment", message: "must be one of live, test" }]);
  });

  test("removes duplicate scopes and accepts an empty array", async () => {
    const { call } = managementApi();
    const scopes = ["vehicles:read", "vehicles:read", "drivers:read"];
    expect((await call("POST /api-keys", { json: { ...NEW, scopes } })).body.key.scopes).toEqual([
      "vehicles:read",
      "drivers:read",
    ]);
    expect((await call("POST /api-keys", { json: { ...NEW, scopes: [] } })).body.key.scopes).toEqual([]);
  });

  test("reports a too long lifetime for the member expiresAt", async () => {
    const { call } = managementApi({}, { maxLifetime: "30d" });
    const json = { ...NEW, expiresAt: "2031-01-01T00:00:00Z" };
    const { status, body } = await call("POST /api-keys", { json });
    expect([status, body.errors]).toEqual([
      400,
      [{ path: "expiresAt", message: "must be within 30d of creation" }],
    ]);
  });

  test("PATCH rejects members that are fixed at creation", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue();
    const json = {
      scopes: ["fleet:admin"],
      environment: "test",
      ownerId: "evil",
      revokedAt: null,
      name: "x",
    };
    const { status, body } = await call(`PATCH /api-keys/${key.id}`, { json });
    expect([status, paths(body)]).toEqual([400, ["scopes", "environment", "ownerId", "revokedAt"]]);
  });

  test.each([
    ["rotate", { overlap: 3_600 }, ["overlap"]],
    ["rotate", { overlap: "1 day" }, ["overlap"]],
    ["rotate", { overlap: "99999999d" }, ["overlap"]],
    ["rotate", { overlab: "24h" }, ["overlab"]],
    ["rotate", { environment: "test" }, ["environment"]],
    ["rotate", { scopes: ["fleet:admin"] }, ["scopes"]],
    ["disable", { reason: "x" }, ["reason"]],
    ["enable", { expiresAt: null }, ["expiresAt"]],
  ])("POST …/%s with %j", async (verb, json, expected) => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    const { status, body } = await call(`POST /api-keys/${key.id}/${verb}`, { json });
    expect([status, paths(body)]).toEqual([400, expected]);
    expect(await manager.get(key.id)).toEqual(key);
  });

  test.each([
    [{ reason: 7 }, ["reason"]],
    [{ reason: null }, ["reason"]],
    [{ reason: "x".repeat(256) }, ["reason"]],
    [{ reason: "a\nb" }, ["reason"]],
    [{ Reason: "x" }, ["Reason"]],
  ])("DELETE with %j", async (json, expected) => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    const { status, body } = await call(`DELETE /api-keys/${key.id}`, { json });
    expect([status, paths(body)]).toEqual([400, expected]);
    expect(await manager.get(key.id)).toEqual(key);
  });
});

describe("bodies", () => {
  const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels);

  test.each<[string, string]>([
    ["an empty body", ""],
    ["null", "null"],
    ["an array", "[]"],
    ["an array of a body", '[{"scopes":[],"environment":"live"}]'],
    ["a string", '"x"'],
    ["a number", "7"],
    ["truncated JSON", "{"],
    ["JSON with a trailing comma", '{"scopes":[],}'],
    ["JSON with comments", '{"scopes":[]/**/}'],
    ["two bodies", '{"scopes":[]}{"scopes":[]}'],
    ["a byte order mark", '\ufeff{"scopes":[],"environment":"live"}'],
    ["NaN", '{"scopes":NaN}'],
    ["a form", "scopes=vehicles:read"],
    ["nested arrays", deep("[", "]", 30_000)],
    [
      "deep metadata",
      `{"scopes":[],"environment":"live","metadata":${deep('{"a":', "}", 5_000).replace(":}", ":1}")}}`,
    ],
    [
      "deep lists in metadata",
      `{"scopes":[],"environment":"live","metadata":{"a":${deep("[", "]", 20_000)}}}`,
    ],
    ["nested arrays as scopes", `{"environment":"live","scopes":${deep("[", "]", 20_000)}}`],
    [
      "large metadata",
      JSON.stringify({ scopes: [], environment: "live", metadata: { a: "x".repeat(20_000) } }),
    ],
  ])("%s", async (_, text) => {
    const { call, errors } = managementApi();
    const { status, body } = await call("POST /api-keys", { text });
    expect([status, body.code, errors]).toEqual([400, "invalid_body", []]);
  });

  test.each([
    ["DELETE", "", 200],
    ["POST", "/disable", 200],
    ["POST", "/rotate", 201],
  ])(
    "that may be absent are, without a byte, whatever their type: %s …%s",
    async (method, verb, expected) => {
      const { call, issue } = managementApi();
      for (const headers of [{ "content-type": "application/json" }, { "content-type": "text/plain" }, {}]) {
        const { key } = await issue();
        for (const text of [undefined, ""]) {
          const line = `${method} /api-keys/${key.id}${verb}`;
          const { status } = await call(line, { headers, ...(text !== undefined && { text }) });
          expect(status).toBe(text === "" && verb === "/rotate" ? 409 : expected); // already rotated
        }
      }
    },
  );

  test("need a Content-Type, also where a body is optional", async () => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    const headers = { "content-type": "text/plain" };
    expect((await call(`DELETE /api-keys/${key.id}`, { text: "{}", headers })).status).toBe(415);
    expect((await call(`DELETE /api-keys/${key.id}`, { text: "null" })).status).toBe(400);
    expect((await manager.get(key.id))?.status).toBe("active");
  });

  test("that are not UTF-8", async () => {
    const { handler } = managementApi();
    const response = await handler(
      new Request("http://localhost/api-keys", {
        method: "POST",
        headers: { authorization: "Bearer jwt-ann", "content-type": "application/json" },
        body: new Uint8Array([0x7b, 0xff, 0x7d]),
      }),
    );
    expect(response.status).toBe(400);
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/json; charset=utf-8; charset=utf-16",
    "multipart/form-data",
    "application/jsonp",
    "application/vnd.api+json",
  ])("of type %s", async (type) => {
    const { call } = managementApi();
    const response = await call("POST /api-keys", { json: NEW, headers: { "content-type": type } });
    expect([response.status, response.body.code]).toEqual([415, "unsupported_media_type"]);
  });

  test.each([65_537, 1_000_000])("of %i bytes", async (length) => {
    const { call } = managementApi();
    const { status, body } = await call("POST /api-keys", { text: "x".repeat(length) });
    expect([status, body.code]).toEqual([413, "body_too_large"]);
  });

  test("a body without a Content-Type is not ignored", async () => {
    const { handler, issue, manager } = managementApi();
    const { key } = await issue();
    const send = (chunks: string[]) =>
      handler(
        new Request(`http://localhost/api-keys/${key.id}/rotate`, {
          method: "POST",
          headers: { authorization: "Bearer jwt-ann" },
          body: new ReadableStream({
            start(controller) {
              for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
              controller.close();
            },
          }),
          duplex: "half",
        } as RequestInit),
      );
    expect((await send(["", '{"overlap":"24h"}'])).status).toBe(415);
    expect((await manager.get(key.id))?.status).toBe("active");
    expect((await send([])).status).toBe(201);
  });
});

describe("queries", () => {
  test.each([
    ["GET /api-keys?limit=0", ["limit"]],
    ["GET /api-keys?limit=1001", ["limit"]],
    ["GET /api-keys?limit=-1", ["limit"]],
    ["GET /api-keys?limit=1e2", ["limit"]],
    ["GET /api-keys?limit=0x10", ["limit"]],
    ["GET /api-keys?limit=%201", ["limit"]],
    ["GET /api-keys?limit=", ["limit"]],
    ["GET /api-keys?limit=٣", ["limit"]],
    ["GET /api-keys?limit=1&limit=2", ["limit"]],
    ["GET /api-keys?status=Active", ["status"]],
    ["GET /api-keys?status=__proto__", ["status"]],
    ["GET /api-keys?environment=prod", ["environment"]],
    ["GET /api-keys?cursor=", ["cursor"]],
    ["GET /api-keys?cursor=junk", ["cursor"]],
    [`GET /api-keys?cursor=${"x".repeat(2_000)}`, ["cursor"]],
    [`GET /api-keys?cursor=${encodeCursor({ at: new Date(0), id: "a\0b" })}`, ["cursor"]],
    [`GET /api-keys?cursor=${encodeCursor({ at: new Date(0), id: "\ud800" })}`, ["cursor"]],
    ["GET /api-keys?ownerId=evil", ["ownerId"]],
    ["GET /api-keys?owner_id=evil&status=x", ["status", "owner_id"]],
    ["GET /api-keys?__proto__=x", ["__proto__"]],
    ["GET /api-keys?constructor=x&=", ["constructor", '""']],
    ["POST /api-keys?ownerId=evil", ["ownerId"]],
    ["GET /me?x=1", ["x"]],
    ["GET /openapi.json?x=1", ["x"]],
  ])("%s", async (line, expected) => {
    const { call, issue, errors } = managementApi();
    const { secret } = await issue();
    const as = line.includes("/me") ? secret : "jwt-ann";
    const { status, body } = await call(line, { as });
    expect([status, body.code, paths(body)]).toEqual([400, "invalid_query", expected]);
    expect(errors).toEqual([]);
  });

  test("of one key and of its audit trail", async () => {
    const { call, issue } = managementApi();
    const { key } = await issue();
    for (const [line, path] of [
      [`GET /api-keys/${key.id}?x=1`, "x"],
      [`PATCH /api-keys/${key.id}?name=x`, "name"],
      [`DELETE /api-keys/${key.id}?Reason=x`, "Reason"],
      [`DELETE /api-keys/${key.id}?reason=a%00b`, "reason"],
      [`POST /api-keys/${key.id}/rotate?overlap=24h`, "overlap"],
      [`GET /api-keys/${key.id}/audit?status=active`, "status"],
      [`GET /api-keys/${key.id}/audit?cursor=junk`, "cursor"],
      [`GET /api-keys/${key.id}/audit?keyId=other`, "keyId"],
    ]) {
      const { status, body } = await call(line as string, { json: line?.includes("GET") ? undefined : {} });
      expect([line, status, body.code, paths(body)]).toEqual([line, 400, "invalid_query", [path]]);
    }
  });

  test("accepts an empty query", async () => {
    expect((await managementApi().call("GET /api-keys?")).status).toBe(200);
  });
});
