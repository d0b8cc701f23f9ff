import { afterEach, describe, expect, test } from "vitest";
import {
  type GuardErrorContext,
  hashSecret,
  type KeyHash,
  type KeyStore,
  StoreError,
} from "../../../src/index.js";
import { secrets, verifierOver } from "../../unit/adapters/fixtures.js";
import { type App, setups } from "../../unit/adapters/frameworks.js";
import { type RawRequest, REQUEST_ID } from "../../unit/adapters/raw.js";
import { PROTECTED } from "../../unit/adapters/routes.js";
import { bearer, chosenLines, comparable, expectNoSecrets } from "./case.js";

const LEAK = "connect ECONNREFUSED db.internal:5432 password=hunter2";
const hash = hashSecret(secrets.reader);
const good = { id: "key_1", hash, ownerId: "reader", scopes: ["vehicles:read"] };
const without = (member: keyof typeof good) => ({ ...good, [member]: undefined });

/** Creates a store that returns a value its type forbids. */
const returning = (value: unknown): KeyStore => ({ findByHash: () => value as undefined });

const throwing = (thrown: unknown): KeyStore => ({
  findByHash() {
    throw thrown;
  },
});

/** Creates a thenable that is not a promise. */
function thenable(body: () => void): Promise<undefined> {
  // biome-ignore lint/suspicious/noThenProperty: a broken driver might return this
  return { then: body } as unknown as Promise<undefined>;
}

const UNAVAILABLE_STORES: Readonly<Record<string, KeyStore>> = {
  "throws an error": throwing(new Error(LEAK)),
  "throws a string": throwing(LEAK),
  "throws undefined": throwing(undefined),
  "throws null": throwing(null),
  "throws an error whose name is a sentence": throwing(
    Object.assign(new Error(LEAK), { name: LEAK, code: LEAK }),
  ),
  "throws a StoreError": throwing(new StoreError(LEAK)),
  rejects: { findByHash: () => Promise.reject(new Error(LEAK)) },
  "rejects with an object": { findByHash: () => Promise.reject({ secret: LEAK }) },
  hangs: { findByHash: () => new Promise(() => {}) },
  "hangs on a thenable": { findByHash: () => thenable(() => {}) },
  "returns a thenable that throws": {
    findByHash: () =>
      thenable(() => {
        throw new Error(LEAK);
      }),
  },
  "returns the record of another hash": returning({ ...good, hash: hashSecret(secrets.writer) }),
  "returns the record of a hash in upper case": returning({ ...good, hash: hash.toUpperCase() as KeyHash }),
  "returns the record of half of the hash": returning({ ...good, hash: hash.slice(0, 32) as KeyHash }),
  "returns {}": returning({}),
  'returns "x"': returning("x"),
  "returns 5": returning(5),
  "returns 0": returning(0),
  "returns true": returning(true),
  "returns false": returning(false),
  'returns ""': returning(""),
  "returns []": returning([]),
  "returns an array of rows": returning([good]),
  "returns a function": returning(() => good),
  "returns no id": returning(without("id")),
  "returns an empty id": returning({ ...good, id: "" }),
  "returns a number as the id": returning({ ...good, id: 5 }),
  "returns no hash": returning(without("hash")),
  "returns the hash as bytes": returning({ ...good, hash: Buffer.from(hash, "hex") }),
  "returns no owner": returning(without("ownerId")),
  "returns an empty owner": returning({ ...good, ownerId: "" }),
  "returns an object as the owner": returning({ ...good, ownerId: { $ne: null } }),
  "returns a number as the environment": returning({ ...good, environment: 1 }),
  "returns an empty environment": returning({ ...good, environment: "" }),
  "returns no scopes": returning(without("scopes")),
  "returns scopes as a string": returning({ ...good, scopes: "vehicles:read" }),
  "returns scopes as JSON": returning({ ...good, scopes: '["vehicles:read"]' }),
  "returns scopes as a Set": returning({ ...good, scopes: new Set(["vehicles:read"]) }),
  "returns scopes as an object": returning({ ...good, scopes: { "vehicles:read": true } }),
  "returns an allowlist as a string": returning({ ...good, ipAllowlist: "127.0.0.1" }),
};

/** Readable records of a key that is not valid. */
const INVALID_RECORDS: Readonly<Record<string, unknown>> = {
  "no record": undefined,
  null: null,
  "an expiry that is Invalid Date": { ...good, expiresAt: new Date(Number.NaN) },
  "an expiry in words": { ...good, expiresAt: "never" },
  "an expiry as a string": { ...good, expiresAt: "2099-01-01T00:00:00Z" },
  "an expiry in milliseconds": { ...good, expiresAt: 4_102_444_800_000 },
  "an expiry that is false": { ...good, expiresAt: false },
  "an expiry that is 0": { ...good, expiresAt: 0 },
  "an empty expiry": { ...good, expiresAt: "" },
  "an expiry with only a getTime method": { ...good, expiresAt: { getTime: () => 4_102_444_800_000 } },
  "a revocation that is Invalid Date": { ...good, revokedAt: new Date(Number.NaN) },
  "a revocation in words": { ...good, revokedAt: "yesterday" },
  "a revocation in the future": { ...good, revokedAt: new Date("2099-01-01T00:00:00Z") },
  "a disablement that is true": { ...good, disabledAt: true },
  "another environment": { ...good, environment: "test" },
};

const keyed: RawRequest = { headers: [bearer(secrets.reader)] };

describe.each(setups)("$name", ({ start }) => {
  let app: App | undefined;
  const errors: { readonly error: unknown; readonly context: GuardErrorContext }[] = [];
  afterEach(async () => {
    errors.length = 0;
    await app?.close();
  });

  const serve = async (faulty: KeyStore): Promise<App> => {
    const onError = (error: unknown, context: GuardErrorContext) => errors.push({ error, context });
    app = await start({ verifier: verifierOver(faulty, "50ms"), guard: { onError } });
    return app;
  };

  test.each(Object.entries(UNAVAILABLE_STORES))("responds with 503 if the store %s", async (what, faulty) => {
    const { request } = await serve(faulty);
    const response = await request(keyed);
    expect(response?.statusLine).toBe("HTTP/1.1 503 Service Unavailable");
    expect(JSON.parse(response?.body ?? "")).toEqual({
      message: "The API key cannot be checked right now. Try again later.",
      code: "unavailable",
      requestId: REQUEST_ID,
    });
    expect(response && chosenLines(response)).toEqual([
      "cache-control: no-store",
      `content-length: ${response?.body.length}`,
      "content-type: application/json",
      "retry-after: 1",
      `x-request-id: ${REQUEST_ID}`,
    ]);
    expectNoSecrets(response);
    expect(response && comparable(response)).not.toContain("hunter2");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.error).toBeInstanceOf(StoreError);
    expect(errors[0]?.context).toEqual({ requestId: REQUEST_ID, method: "GET", path: "/vehicles" });
    if (!what.includes("StoreError")) expect(String(errors[0]?.error)).not.toContain("hunter2");
  });

  test.each(Object.entries(INVALID_RECORDS))(
    "responds with 401 if the store returns %s",
    async (_what, record) => {
      const { request } = await serve(returning(record));
      const response = await request(keyed);
      expect(response?.status).toBe(401);
      expect(JSON.parse(response?.body ?? "")).toMatchObject({ code: "invalid_key" });
      expect(errors).toEqual([]);
    },
  );

  test("responds with 200 for a record with only the required members", async () => {
    const { request } = await serve(returning(good));
    expect((await request(keyed))?.status).toBe(200);
  });

  test("ignores scopes that are not strings", async () => {
    const odd = [5, null, undefined, {}, ["vehicles:read"], { toString: () => "vehicles:read" }, "vehicles"];
    const { request } = await serve(returning({ ...good, scopes: odd }));
    const response = await request(keyed);
    expect(response?.status).toBe(403);
    expect(JSON.parse(response?.body ?? "")).toMatchObject({ grantedScopes: [] });
  });

  test.each([
    ["invalid networks", ["here", 5, null, {}]],
    ["no networks", []],
    ["networks with bits after the prefix length", ["127.0.0.1/8"]],
  ])("denies a key with an allowlist of %s", async (_what, ipAllowlist) => {
    const { request } = await serve(returning({ ...good, ipAllowlist }));
    const response = await request(keyed);
    expect(response?.status).toBe(403);
    expect(JSON.parse(response?.body ?? "")).toMatchObject({ code: "ip_not_allowed" });
  });

  test("while the store is down, requests without a lookup get their usual response", async () => {
    const { request } = await serve(throwing(new Error(LEAK)));
    const code = async (sent: RawRequest) => JSON.parse((await request(sent))?.body ?? "null");
    expect(await code({})).toMatchObject({ code: "missing_credential" });
    expect(await code({ headers: ["Authorization: Bearer"] })).toMatchObject({
      code: "malformed_credential",
    });
    expect(await code({ headers: [bearer("junk")] })).toMatchObject({ code: "invalid_key" });
    expect(await code({ headers: [bearer(secrets.testing)] })).toMatchObject({ code: "wrong_environment" });
    expect(await code({ target: "/optional" })).toMatchObject({ body: PROTECTED, owner: null });
    expect(errors).toEqual([]);
    expect(await code({ ...keyed, target: "/optional" })).toMatchObject({ code: "unavailable" });
    expect(errors).toHaveLength(1);
  });

  test("a 503 is a problem document if accepted, and has no body for HEAD", async () => {
    const { request } = await serve(throwing(new Error(LEAK)));
    const problem = await request({ headers: [bearer(secrets.reader), "Accept: application/problem+json"] });
    expect(JSON.parse(problem?.body ?? "")).toMatchObject({
      type: "about:blank",
      status: 503,
      code: "unavailable",
    });
    const head = await request({ ...keyed, method: "HEAD" });
    expect([head?.status, head?.body]).toEqual([503, ""]);
  });

  test("recovers when the store recovers", async () => {
    let down = true;
    const { request } = await serve({
      findByHash: async () => {
        if (down) throw new Error(LEAK);
        return good;
      },
    });
    expect((await request(keyed))?.status).toBe(503);
    down = false;
    expect((await request(keyed))?.status).toBe(200);
  });

  test("a call that hangs does not block later requests", async () => {
    let calls = 0;
    const { request } = await serve({
      findByHash: () => (calls++ === 0 ? new Promise(() => {}) : Promise.resolve(good)),
    });
    expect((await request(keyed))?.status).toBe(503);
    expect((await request(keyed))?.status).toBe(200);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("onError failed");
      },
    ],
    ["rejects", () => Promise.reject(new Error("onError failed"))],
    ["hangs", () => new Promise(() => {})],
  ])("an onError that %s does not change the response", async (_what, onError) => {
    app = await start({ verifier: verifierOver(throwing(new Error(LEAK))), guard: { onError } });
    expect((await app.request(keyed))?.status).toBe(503);
    expect((await app.request(keyed))?.status).toBe(503);
  });
});

test("responds with 503 if a custom verifier rejects or returns undefined", async () => {
  for (const verify of [() => Promise.reject(new TypeError(LEAK)), () => Promise.resolve(undefined)]) {
    const verifier = { ...verifierOver(returning(good)), verify: verify as never };
    for (const { start } of setups) {
      const app = await start({ verifier, guard: { onError: () => {} } });
      const response = await app.request(keyed);
      expect(response?.status).toBe(503);
      expect(response?.body).not.toContain("hunter2");
      await app.close();
    }
  }
});
