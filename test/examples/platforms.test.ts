import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { APIGatewayProxyEventV2 } from "aws-lambda";
import Database from "libsql";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keys } from "../../examples/platforms/auth.js";
import { handler } from "../../examples/platforms/aws-lambda.js";
import worker, { type Env } from "../../examples/platforms/cloudflare-worker.js";
import { GET, PATCH } from "../../examples/platforms/nextjs.js";
import { createKeyManager, defineScopes, keyFormat } from "../../src/index.js";
import { sqliteStore } from "../../src/stores/sqlite.js";

type Change = Partial<Parameters<typeof keys.create>[0]>;

const issue = async (change: Change = {}): Promise<string> =>
  (await keys.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live", ...change })).secret;

describe("nextjs", () => {
  const route = { params: Promise.resolve({ id: "7" }) };
  const request = (bearer?: string, init: RequestInit = {}) =>
    new Request("https://app.example/api/vehicles/7", {
      ...init,
      headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
    });

  test("passes the route parameters to the handler", async () => {
    const response = await GET(request(await issue()), route);
    expect(await response.json()).toEqual({ id: "7", owner: "acme" });
  });

  test("denies requests without a key or scope", async () => {
    expect((await GET(request(), route)).status).toBe(401);
    const body = JSON.stringify({ name: "Truck" });
    expect((await PATCH(request(await issue(), { method: "PATCH", body }), route)).status).toBe(403);
    const writer = await issue({ scopes: ["vehicles:write"] });
    const changed = await PATCH(request(writer, { method: "PATCH", body }), route);
    expect(await changed.json()).toEqual({ id: "7", owner: "acme", change: { name: "Truck" } });
  });

  test("ignores x-real-ip outside Vercel", async () => {
    const restricted = request(await issue({ ipAllowlist: ["192.0.2.0/24"] }));
    restricted.headers.set("x-real-ip", "192.0.2.1");
    expect((await GET(restricted, route)).status).toBe(403);
  });
});

describe("aws-lambda", () => {
  const event = (headers: Record<string, string>, method = "GET") =>
    ({
      version: "2.0",
      rawPath: "/vehicles",
      headers,
      requestContext: { requestId: "lambda-1", http: { method, path: "/vehicles", sourceIp: "192.0.2.7" } },
    }) as unknown as APIGatewayProxyEventV2;

  test("allows a valid key", async () => {
    const { statusCode, body } = await handler(event({ authorization: `Bearer ${await issue()}` }));
    expect([statusCode, JSON.parse(body ?? "")]).toEqual([200, { owner: "acme" }]);
  });

  test("uses the request id of API Gateway in denials", async () => {
    const { statusCode, headers, body } = await handler(event({}));
    expect([statusCode, JSON.parse(body ?? "")]).toMatchObject([
      401,
      { code: "missing_credential", requestId: "lambda-1" },
    ]);
    expect(headers).toMatchObject({ "www-authenticate": 'Bearer realm="api"' });
    expect((await handler(event({}, "HEAD"))).body).toBe("");
  });

  test("uses the source address of the event, and rejects two credentials", async () => {
    const key = await issue({ ipAllowlist: ["192.0.2.7"] });
    const authorization = `Bearer ${key}`;
    expect((await handler(event({ authorization }))).statusCode).toBe(200);
    const elsewhere = await issue({ ipAllowlist: ["198.51.100.1"] });
    const spoofed = { authorization: `Bearer ${elsewhere}`, "x-forwarded-for": "198.51.100.1" };
    expect((await handler(event(spoofed))).statusCode).toBe(403);
    expect((await handler(event({ authorization: `${authorization},${authorization}` }))).statusCode).toBe(
      401,
    );
  });
});

describe("cloudflare-worker", () => {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-"));
  const database = new Database(join(directory, "d1.sqlite"));
  const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
  const store = sqliteStore(database);
  const service = createKeyManager({
    store,
    scopes,
    format: keyFormat({ prefix: "ezt", environments: ["live", "test"] }),
  });
  // A fake of D1 over the same SQLite file.
  const env: Env = {
    DB: {
      prepare: (sql) => ({
        bind: (...values) => ({
          first: async () =>
            (database.prepare(sql).get(...values) as Readonly<Record<string, unknown>>) ?? null,
        }),
      }),
    },
  };
  const get = (secret: string, headers: Record<string, string> = {}) =>
    worker.fetch(
      new Request("https://worker.example/", { headers: { ...headers, authorization: `Bearer ${secret}` } }),
      env,
    );

  beforeAll(() => store.migrate());
  afterAll(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });

  test("allows a key of the table until it is revoked", async () => {
    const input = { ownerId: "acme", scopes: ["vehicles:write"], environment: "live" } as const;
    const { secret, key } = await service.create(input);
    expect(await (await get(secret)).json()).toEqual({ owner: "acme" });
    await service.revoke(key.id);
    expect((await get(secret)).status).toBe(401);
  });

  test("checks expiry, environment and allowlist of the row", async () => {
    const input = { ownerId: "acme", scopes: ["vehicles:read"] } as const;
    const { secret, key } = await service.create({
      ...input,
      environment: "live",
      ipAllowlist: ["192.0.2.0/24"],
    });
    expect((await get(secret)).status).toBe(403);
    expect((await get(secret, { "cf-connecting-ip": "192.0.2.1" })).status).toBe(200);
    expect((await get(secret, { "cf-connecting-ip": "198.51.100.1" })).status).toBe(403);
    database.prepare("update keybearer_keys set expires_at = ? where id = ?").run(Date.now() - 1, key.id);
    expect((await get(secret, { "cf-connecting-ip": "192.0.2.1" })).status).toBe(401);
    const test = await service.create({ ...input, environment: "test" });
    expect((await get(test.secret)).status).toBe(401);
  });
});
