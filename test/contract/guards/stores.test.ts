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

/** A store that answers what its type forbids. */
const answering = (answer: unknown): KeyStore => ({ findByHash: () => answer as undefined });

const throwing = (thrown: unknown): KeyStore => ({
  findByHash() {
    throw thrown;
  },
});

/** What is no promise, but can be awaited. */
function thenable(body: () => void): Promise<undefined> {
  // biome-ignore lint/suspicious/noThenProperty: a broken driver might answer this
  return { then: body } as unknown as Promise<undefined>;
}

const UNAVAILABLE_STORES: Readonly<Record<string, KeyStore>> = {
  "throws an error": throwing(new Error(LEAK)),
  "throws a text": throwing(LEAK),
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
  "answers a thenable that throws": {
    findByHash: () =>
      thenable(() => {
        throw new Error(LEAK);
      }),
  },
  "answers the record of another hash": answering({ ...good, hash: hashSecret(secrets.writer) }),
  "answers the record of a hash in upper case": answering({ ...good, hash: hash.toUpperCase() as KeyHash }),
  "answers the record of half of the hash": answering({ ...good, hash: hash.slice(0, 32) as KeyHash }),
  "answers {}": answering({}),
  'answers "x"': answering("x"),
  "answers 5": answering(5),
  "answers 0": answering(0),
  "answers true": answering(true),
  "answers false": answering(false),
  'answers ""': answering(""),
  "answers []": answering([]),
  "answers a list of rows": answering([good]),
  "answers a function": answering(() => good),
  "answers no id": answering(without("id")),
  "answers an empty id": answering({ ...good, id: "" }),
  "answers a number as the id": answering({ ...good, id: 5 }),
  "answers no hash": answering(without("hash")),
  "answers the hash as bytes": answering({ ...good, hash: Buffer.from(hash, "hex") }),
  "answers no owner": answering(without("ownerId")),
  "answers an empty owner": answering({ ...good, ownerId: "" }),
  "answers an object as the owner": answering({ ...good, ownerId: { $ne: null } }),
  "answers an environment that is no text": answering({ ...good, environment: 1 }),
  "answers an empty environment": answering({ ...good, environment: "" }),
  "answers no scopes": answering(without("scopes")),
  "answers scopes as a text": answering({ ...good, scopes: "vehicles:read" }),
  "answers scopes as JSON": answering({ ...good, scopes: '["vehicles:read"]' }),
  "answers scopes as a Set": answering({ ...good, scopes: new Set(["vehicles:read"]) }),
  "answers scopes as an object": answering({ ...good, scopes: { "vehicles:read": true } }),
  "answers an allowlist as a text": answering({ ...good, ipAllowlist: "127.0.0.1" }),
  "answers in batches of another size": {
    findByHash: () => good,
    findManyByHash: () => Promise.resolve([]),
  },
  "answers no batch at all": {
    findByHash: () => good,
    findManyByHash: (() => undefined) as unknown as NonNullable<KeyStore["findManyByHash"]>,
  },
  "answers batches in another order": {
    findByHash: () => good,
    findManyByHash: async (hashes) => hashes.map(() => ({ ...good, hash: hashSecret(secrets.writer) })),
  },
};

/** Records that can be read, and count against the key. */
const USELESS_RECORDS: Readonly<Record<string, unknown>> = {
  "no record": undefined,
  null: null,
  "an expiry that is Invalid Date": { ...good, expiresAt: new Date(Number.NaN) },
  "an expiry in words": { ...good, expiresAt: "never" },
  "an expiry as a text": { ...good, expiresAt: "2099-01-01T00:00:00Z" },
  "an expiry in milliseconds": { ...good, expiresAt: 4_102_444_800_000 },
  "an expiry that is false": { ...good, expiresAt: false },
  "an expiry that is 0": { ...good, expiresAt: 0 },
  "an empty expiry": { ...good, expiresAt: "" },
  "an expiry that only looks like a date": { ...good, expiresAt: { getTime: () => 4_102_444_800_000 } },
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
    app = await start({ verifier: verifierOver(faulty, 50), guard: { onError } });
    return app;
  };

  test.each(Object.entries(UNAVAILABLE_STORES))("a store that %s: 503", async (what, faulty) => {
    const { request } = await serve(faulty);
    const answer = await request(keyed);
    expect(answer?.statusLine).toBe("HTTP/1.1 503 Service Unavailable");
    expect(JSON.parse(answer?.body ?? "")).toEqual({
      message: "The API key cannot be checked right now. Try again later.",
      code: "unavailable",
      requestId: REQUEST_ID,
    });
    expect(answer && chosenLines(answer)).toEqual([
      "cache-control: no-store",
      `content-length: ${answer?.body.length}`,
      "content-type: application/json",
      "retry-after: 1",
      `x-request-id: ${REQUEST_ID}`,
    ]);
    expectNoSecrets(answer);
    expect(answer && comparable(answer)).not.toContain("hunter2");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.error).toBeInstanceOf(StoreError);
    expect(errors[0]?.context).toEqual({ requestId: REQUEST_ID, method: "GET", path: "/vehicles" });
    if (!what.includes("StoreError")) expect(String(errors[0]?.error)).not.toContain("hunter2");
  });

  test.each(Object.entries(USELESS_RECORDS))("a store that answers %s: 401", async (_what, record) => {
    const { request } = await serve(answering(record));
    const answer = await request(keyed);
    expect(answer?.status).toBe(401);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "invalid_key" });
    expect(errors).toEqual([]);
  });

  test("records that hold no more than they must: 200", async () => {
    const { request } = await serve(answering(good));
    expect((await request(keyed))?.status).toBe(200);
  });

  test("scopes that are no texts grant nothing", async () => {
    const odd = [5, null, undefined, {}, ["vehicles:read"], { toString: () => "vehicles:read" }, "vehicles"];
    const { request } = await serve(answering({ ...good, scopes: odd }));
    const answer = await request(keyed);
    expect(answer?.status).toBe(403);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ grantedScopes: [] });
  });

  test.each([
    ["networks that are none", ["here", 5, null, {}]],
    ["no network", []],
    ["networks with bits behind the prefix length", ["127.0.0.1/8"]],
  ])("an allowlist of %s denies", async (_what, ipAllowlist) => {
    const { request } = await serve(answering({ ...good, ipAllowlist }));
    const answer = await request(keyed);
    expect(answer?.status).toBe(403);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "ip_not_allowed" });
  });

  test("while the store is down, requests that need no lookup are answered as ever", async () => {
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

  test("a 503 is a problem document for those who ask, and has no body for HEAD", async () => {
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

  test("once the store is back, so is the service", async () => {
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

  test("one that hangs once holds up nobody for good", async () => {
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
        throw new Error("of the listener");
      },
    ],
    ["rejects", () => Promise.reject(new Error("of the listener"))],
    ["hangs", () => new Promise(() => {})],
  ])("an onError that %s changes nothing", async (_what, onError) => {
    app = await start({ verifier: verifierOver(throwing(new Error(LEAK))), guard: { onError } });
    expect((await app.request(keyed))?.status).toBe(503);
    expect((await app.request(keyed))?.status).toBe(503);
  });
});

test("a verifier that breaks its word is a 503 as well", async () => {
  for (const verify of [() => Promise.reject(new TypeError(LEAK)), () => Promise.resolve(undefined)]) {
    const verifier = { ...verifierOver(answering(good)), verify: verify as never };
    for (const { start } of setups) {
      const app = await start({ verifier, guard: { onError: () => {} } });
      const answer = await app.request(keyed);
      expect(answer?.status).toBe(503);
      expect(answer?.body).not.toContain("hunter2");
      await app.close();
    }
  }
});
