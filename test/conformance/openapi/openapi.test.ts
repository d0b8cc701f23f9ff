import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { ManagementOptions, Presenter } from "../../../src/management/index.js";
import type { FleetScope } from "../../unit/core/fixtures.js";
import { type ApiResponse, DAY, later, managementApi, type Setup } from "../../unit/management/fixtures.js";

// biome-ignore lint/suspicious/noExplicitAny: any JSON
type Json = any;
type Options = Partial<ManagementOptions<FleetScope>>;

async function documentOf(options: Options = {}): Promise<Json> {
  const path = `${options.basePath ?? ""}${options.paths?.openapi ?? "/openapi.json"}`;
  const { status, body } = await managementApi(options).call(`GET ${path}`, { as: undefined });
  expect(status).toBe(200);
  return body;
}

const shown = z.object({ id: z.string(), name: z.string().nullable(), created_at: z.date().nullable() });
const enveloped: Presenter = {
  naming: "snake_case",
  key: ({ id, name, createdAt }) => ({ id, name, created_at: createdAt }),
  created: ({ secret }, { key }) => ({ success: true, api_key: { ...(key as object), key: secret } }),
  list: (_, { items }) => ({ success: true, api_keys: items }),
  revoked: () => ({ success: true, message: "API key revoked" }),
  error: ({ status, code, message }) => ({
    status: status === 400 ? 422 : status,
    body: { success: false, error: { code: code.toUpperCase(), message } },
  }),
  schemas: {
    key: shown,
    created: z.object({ success: z.literal(true), api_key: shown.extend({ key: z.string() }) }),
    list: z.object({ success: z.literal(true), api_keys: z.array(shown) }),
    revoked: z.object({ success: z.literal(true), message: z.string() }),
    error: z.object({
      success: z.literal(false),
      error: z.object({ code: z.string(), message: z.string() }),
    }),
  },
};

const variants: readonly (readonly [string, Options])[] = [
  ["by default", {}],
  ["in snake_case", { presenter: { naming: "snake_case" } }],
  ["in envelopes, with schemas", { presenter: enveloped }],
  ["in envelopes, without schemas", { presenter: { ...enveloped, schemas: {} } }],
  [
    "with a base path and requirements",
    {
      basePath: "/api/v2",
      requires: { read: "vehicles:read", write: { anyOf: ["vehicles:write", "fleet:admin"] } },
    },
  ],
  [
    "with some routes and members",
    {
      routes: ["create", "openapi", "revoke"],
      input: { create: ["name", "expiresAt"] },
      defaults: () => ({ scopes: ["vehicles:read"], environment: "live" }),
      openapi: { info: { title: "Keys of Acme", version: "2.3.4", description: "How to manage them" } },
    },
  ],
];

describe.each(variants)("the document, %s", (_, options) => {
  test("is valid OpenAPI 3.1", async () => {
    const result = await new Validator().validate(await documentOf(options));
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
  });

  test("has no dangling references", async () => {
    const document = await documentOf(options);
    const text = JSON.stringify(document);
    for (const [, name = ""] of text.matchAll(/"\$ref":"([^"]+)"/g)) {
      expect(name).toMatch(/^#\/components\/schemas\/\w+$/);
      expect(document.components.schemas).toHaveProperty(name.split("/").at(-1) ?? "");
    }
    expect(text.includes('"hash"')).toBe(false);
  });
});

describe("the document", () => {
  test("is public and built once", async () => {
    let calls = 0;
    const error: Presenter["error"] = (_, defaultBody) => {
      calls++;
      return { body: defaultBody };
    };
    const { call } = managementApi({ presenter: { error } });
    const first = await call("GET /openapi.json", { as: undefined });
    const before = calls;
    expect((await call("GET /openapi.json")).text).toBe(first.text);
    expect(calls).toBe(before);
  });

  test("contains only the served routes", async () => {
    const { paths } = await documentOf({ routes: ["create", "openapi", "revoke"] });
    expect(Object.entries(paths).map(([path, item]) => [path, Object.keys(item as object)])).toEqual([
      ["/api-keys", ["post"]],
      ["/api-keys/{id}", ["delete"]],
      ["/openapi.json", ["get"]],
    ]);
  });

  test("has the info of the service", async () => {
    const info = { title: "Keys of Acme", version: "2.3.4", description: "How to manage them" };
    const license = { name: "Proprietary", identifier: "LicenseRef-Proprietary" };
    expect((await documentOf({ openapi: { info } })).info).toEqual({ ...info, license });
    expect((await documentOf()).info).toEqual({ title: "API keys", version: "1.0.0", license });
  });

  test("has the schemas that validate requests", async () => {
    const { components } = await documentOf({
      presenter: { naming: "snake_case" },
      input: { create: ["name", "scopes", "expiresAt", "rateLimit", "metadata", "ipAllowlist"] },
    });
    const { CreateApiKey } = components.schemas;
    expect(CreateApiKey.additionalProperties).toBe(false);
    expect(CreateApiKey.required).toEqual(["scopes"]); // the input has no environment
    expect(Object.keys(CreateApiKey.properties)).toEqual([
      "name",
      "scopes",
      "expires_at",
      "rate_limit",
      "metadata",
      "ip_allowlist",
    ]);
    expect(CreateApiKey.properties.scopes.items.enum).toEqual([
      "vehicles:read",
      "vehicles:write",
      "drivers:read",
      "fleet:admin",
    ]);
    expect(JSON.stringify(CreateApiKey)).not.toContain("reports:read");
    expect(components.securitySchemes).toEqual({ bearer: { type: "http", scheme: "bearer" } });
  });

  test("has the servers, tags and security schemes of the service", async () => {
    const { servers, tags, paths } = await documentOf();
    expect([servers, tags]).toEqual([
      [{ url: "/" }],
      [{ name: "API keys", description: expect.any(String) }],
    ]);
    expect(paths["/api-keys"].get.tags).toEqual(["API keys"]);
    const session = { type: "apiKey", in: "cookie", name: "session" };
    const openapi = {
      servers: [{ url: "https://api.example.com", description: "production" }],
      tags: [{ name: "Admin" }, { name: "Keys" }],
      securitySchemes: { session },
    };
    const own = await documentOf({ openapi, requires: { read: "vehicles:read" } });
    expect([own.servers, own.tags]).toEqual([openapi.servers, openapi.tags]);
    expect(own.components.securitySchemes).toEqual({ session });
    expect(own.paths["/api-keys"].get).toMatchObject({
      tags: ["Admin", "Keys"],
      security: [{ session: ["vehicles:read"] }],
    });
    expect(own.paths["/me"].get.security).toEqual([{ session: [] }]);
  });

  test("lets clients send metadata", async () => {
    const { CreateApiKey, UpdateApiKey } = (await documentOf()).components.schemas;
    for (const { properties } of [CreateApiKey, UpdateApiKey]) {
      expect(properties.metadata).toMatchObject({ type: ["object", "null"], additionalProperties: true });
    }
  });

  test.each<[string[], Options]>([
    [["scopes", "environment"], {}],
    [["scopes"], { requires: { write: "vehicles:write" } }], // a new key has the environment of the key that makes it
    [["scopes"], { input: { create: ["scopes"] } }],
  ])("requires %j of a new key", async (required, options) => {
    expect((await documentOf(options)).components.schemas.CreateApiKey.required).toEqual(required);
  });

  test("has the required scopes of routes; the document itself is public", async () => {
    const { paths } = await documentOf({ requires: { read: "vehicles:read" } });
    expect(paths["/api-keys"].get.description).toBe("Needs the scope vehicles:read.");
    expect(paths["/api-keys"].get.security).toEqual([{ bearer: ["vehicles:read"] }]);
    expect(paths["/api-keys"].post.security).toEqual([{ bearer: [] }]);
    expect(paths["/openapi.json"].get.security).toEqual([]);
  });

  test("has the statuses of presenter.error", async () => {
    const { paths } = await documentOf({ presenter: enveloped });
    expect(Object.keys(paths["/api-keys"].post.responses)).toEqual([
      "201",
      "401",
      "403",
      "409",
      "413",
      "415",
      "422",
      "429",
      "500",
      "503",
    ]);
  });

  test("supports recursive and shared schemas of the host", async () => {
    const tree: z.ZodType = z.lazy(() => z.object({ key: z.string(), older: tree.optional() }));
    const named = z.object({ id: z.string() }).meta({ id: "HostPart" });
    const document = await documentOf({
      presenter: { schemas: { key: tree, me: z.object({ a: named, b: named }) } },
    });
    expect((await new Validator().validate(document)).valid).toBe(true);
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: "doc", ...document });
    const fits = (name: string, value: unknown) =>
      ajv.validate({ $ref: `doc#/components/schemas/${name}` }, value);
    expect(fits("ApiKey", { key: "a", older: { key: "b" } })).toBe(true);
    expect(fits("ApiKey", { key: "a", older: { key: 7 } })).toBe(false);
    expect(fits("Me", { a: { id: "x" }, b: { id: "y" } })).toBe(true);
    expect(fits("Me", { a: { id: "x" }, b: { id: 7 } })).toBe(false);
  });
});

/** Checks responses against a document: the status must be documented, and the body must match its schema. */
function responseChecker(document: Json) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  (formats as unknown as (ajv: Ajv2020) => void)(ajv);
  ajv.addSchema({ $id: "doc", ...document });
  const seen = new Set<string>();
  return {
    seen,
    expect(template: string, method: string, response: ApiResponse) {
      const documented = document.paths[template][method].responses[response.status];
      expect(documented, `${method} ${template} ${response.status}`).toBeDefined();
      const schema = documented.content["application/json"].schema;
      const at = schema.$ref ? { $ref: `doc${schema.$ref}` } : schema;
      const valid = ajv.validate(at, response.body);
      expect(ajv.errors ?? [], `${method} ${template} ${response.status} ${response.text}`).toEqual([]);
      expect(valid).toBe(true);
      seen.add(`${method} ${template} ${response.status}`);
      return response;
    },
  };
}

/** Calls every route, successfully and with errors. */
async function callEveryRoute(options: Options, setup: Setup = {}): Promise<Set<string>> {
  const api = managementApi(
    { ...options, requires: { read: "vehicles:read", write: "vehicles:write" } },
    setup,
  );
  const document = (await api.call("GET /openapi.json")).body;
  const { seen, expect: fits } = responseChecker(document);
  const snake = options.presenter?.naming === "snake_case";
  const { key } = await api.issue({
    scopes: ["fleet:admin"],
    name: "a",
    metadata: { a: 1 },
    ipAllowlist: [],
    expiresAt: later(DAY),
    rateLimit: { limit: 5, windowSeconds: 60 },
  });
  const own = await api.issue({ scopes: ["vehicles:write"], expiresAt: later(30 * DAY) });
  const at = `/api-keys/${key.id}`;
  const item = "/api-keys/{id}";
  const json = { scopes: ["vehicles:read"], environment: "live" };
  const go = async (template: string, line: string, call?: Parameters<typeof api.call>[1]) =>
    fits(template, (line.split(" ")[0] as string).toLowerCase(), await api.call(line, call));

  await go("/openapi.json", "GET /openapi.json");
  await go("/openapi.json", "GET /openapi.json?x=1");
  await go("/me", "GET /me", { as: own.secret });
  await go("/me", "GET /me");
  await go("/me", "GET /me", { as: "jwt-unknown" });
  await go("/api-keys", "GET /api-keys?limit=1");
  await go("/api-keys", "GET /api-keys?limit=0");
  await go("/api-keys", "GET /api-keys", { as: undefined });
  await go("/api-keys", "POST /api-keys", { json });
  await go("/api-keys", "POST /api-keys", { json: { name: 7 } });
  await go("/api-keys", "POST /api-keys", { json, as: "jwt-bob" });
  await go("/api-keys", "POST /api-keys", {
    as: own.secret,
    json: { scopes: [], [snake ? "expires_at" : "expiresAt"]: null },
  });
  await go("/api-keys", "POST /api-keys", { json, headers: { "content-type": "text/plain" } });
  await go("/api-keys", "POST /api-keys", { text: "x".repeat(70_000) });
  await go(item, `GET ${at}`);
  await go(item, "GET /api-keys/none");
  await go(item, `PATCH ${at}`, { json: { name: "b" } });
  await go(item, `PATCH ${at}`, { json: { ownerId: "b" } });
  await go(`${item}/disable`, `POST ${at}/disable`);
  await go(`${item}/enable`, `POST ${at}/enable`);
  await go(`${item}/rotate`, `POST ${at}/rotate`, { json: { overlap: "1h" } });
  await go(`${item}/rotate`, `POST ${at}/rotate`);
  await go(`${item}/audit`, `GET ${at}/audit?limit=1`);
  await go(`${item}/audit`, `GET ${at}/audit`);
  await go(item, `DELETE ${at}`, { json: { reason: "lost" } });
  await go(item, `PATCH ${at}`, { json: { name: "c" } });
  await go(item, `GET ${at}`);
  return seen;
}

describe("responses match the document", () => {
  test.each(variants.slice(0, 4))("%s", async (_, options) => {
    const seen = await callEveryRoute(options);
    expect(seen.size).toBeGreaterThanOrEqual(24);
  });

  test("including failures", async () => {
    const { manager, errors, call } = managementApi();
    const document = (await call("GET /openapi.json")).body;
    const { expect: fits } = responseChecker(document);
    const broken = managementApi({ keys: { ...manager, list: () => Promise.reject(new Error("x")) } });
    fits("/api-keys", "get", await broken.call("GET /api-keys"));
    const rateLimiter = { consume: () => ({ allowed: false, states: [] }) };
    const limited = managementApi({}, { rateLimiter });
    const { secret } = await limited.issue();
    fits("/me", "get", await limited.call("GET /me", { as: secret }));
    const { secret: plain } = await broken.issue();
    fits("/api-keys", "get", await broken.call("GET /api-keys", { as: plain }));
    expect(errors).toEqual([]);
  });

  test("and so do its examples", async () => {
    for (const [, options] of variants) {
      const document = await documentOf(options);
      const ajv = new Ajv2020({ strict: false });
      ajv.addSchema({ $id: "doc", ...document });
      for (const item of Object.values<Json>(document.paths)) {
        for (const operation of Object.values<Json>(item)) {
          for (const response of Object.values<Json>(operation.responses)) {
            const { schema, examples = {} } = response.content["application/json"];
            for (const { value } of Object.values<Json>(examples)) {
              expect(ajv.validate({ $ref: `doc${schema.$ref}` }, value)).toBe(true);
            }
          }
        }
      }
    }
  });
});
