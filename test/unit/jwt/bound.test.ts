import { afterEach, describe, expect, it, vi } from "vitest";
import { type ApiKey, type KeyRecord, StoreError } from "../../../src/index.js";
import type { JwtVerifierOptions } from "../../../src/jwt/index.js";
import { allowed, bearer, errorOf, type FleetScope, service, sleep, thrownBy } from "../core/fixtures.js";
import { claimsWith, jwtService, NOW, reasons, token } from "./fixtures.js";

/** The claims of a token that was issued for a key. */
const claimsFor = (key: ApiKey, version = 1, more: object = {}) =>
  claimsWith({
    sub: key.id,
    key_id: key.id,
    key_version: version,
    owner_id: key.ownerId,
    environment: key.environment ?? undefined,
    scope: key.scopes.join(" "),
    ...more,
  });

async function bound(options: Partial<JwtVerifierOptions<FleetScope>> = {}, created: object = {}) {
  const keys = service();
  const { key } = await keys.manager.create({
    ownerId: "acme",
    scopes: ["vehicles:write"],
    environment: "live",
    ...created,
  });
  const findById = vi.fn((id: string) => keys.store.findById(id));
  const jwt = jwtService({ keyStore: { findById }, keyTtl: "0s", ...options });
  return { ...jwt, jwt, keys, key, findById, sent: token(claimsFor(key)) };
}

describe("createJwtVerifier with keyStore", () => {
  it("returns a principal with the key", async () => {
    const { send, key, sent, events } = await bound();
    const principal = allowed(await send(sent));
    expect(principal).toMatchObject({
      type: "jwt",
      id: key.id,
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:write"],
    });
    expect(principal.key).toEqual(key);
    expect(principal.key).toBe(principal.key);
    expect(JSON.stringify(principal)).not.toContain("hash");
    expect(events[0]).toMatchObject({ keyId: key.id, ownerId: "acme", isKey: true });
  });

  it.each<[string, (s: Awaited<ReturnType<typeof bound>>) => unknown, string]>([
    ["revoked", ({ keys, key }) => keys.manager.revoke(key.id), "key_changed"],
    ["disabled", ({ keys, key }) => keys.manager.disable(key.id), "key_changed"],
    ["renamed", ({ keys, key }) => keys.manager.update(key.id, { name: "x" }), "key_changed"],
    ["rotated", ({ keys, key }) => keys.manager.rotate(key.id, { overlap: "1h" }), "key_changed"],
  ])("denies a token after its key is %s", async (_, change, reason) => {
    const all = await bound();
    expect((await all.send(all.sent)).ok).toBe(true);
    await change(all);
    expect(errorOf(await all.send(all.sent)).code).toBe("invalid_key");
    expect(reasons(all.jwt)).toEqual(["auth.allowed", reason]);
  });

  it("sends the notices of the key", async () => {
    const { send, keys, key, jwt } = await bound({ rotationAge: "1h" });
    const notice = async (sent: string) => {
      const result = await send(sent);
      return result.ok ? result.headers["API-Key-Notice"] : result.error.code;
    };
    expect(await notice(token(claimsFor(key)))).toBeUndefined();
    await keys.manager.update(key.id, { expiresAt: new Date((NOW + 3_600) * 1_000) });
    expect(await notice(token(claimsFor(key, 2)))).toBe(`expiring;end=@${NOW + 3_600}`);
    expect(() => jwtService({ rotationAge: "soon" as never })).toThrow(/"rotationAge"/);
    expect(jwt.events.map(({ type }) => type)).toEqual(["auth.allowed", "auth.allowed"]);
  });

  it("accepts a newer key version until the key expires or is revoked", async () => {
    const { send, keys, key, clock, jwt } = await bound();
    await keys.manager.update(key.id, { expiresAt: new Date((NOW + 60) * 1_000) });
    const sent = token(claimsFor(key, 2));
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 60) * 1_000 - 1);
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 60) * 1_000);
    expect(errorOf(await send(sent)).code).toBe("invalid_key");
    clock.set(NOW * 1_000);
    await keys.manager.revoke(key.id);
    expect(errorOf(await send(token(claimsFor(key, 3)))).code).toBe("invalid_key");
    expect(reasons(jwt).slice(2)).toEqual(["expired", "revoked"]);
  });

  it("denies the token of a missing key, or of another owner", async () => {
    const { send, key, jwt } = await bound();
    expect(errorOf(await send(token(claimsFor(key, 1, { key_id: "key_0" })))).code).toBe("invalid_key");
    expect(errorOf(await send(token(claimsFor(key, 1, { owner_id: "other" })))).code).toBe("invalid_key");
    expect(reasons(jwt)).toEqual(["unknown_key", "key_changed"]);
  });

  it.each<[string, object]>([
    ["no key_id", { key_id: undefined }],
    ["an empty key_id", { key_id: "" }],
    ["a numeric key_id", { key_id: 1 }],
    ["no key_version", { key_version: undefined }],
    ["a key_version that is a string", { key_version: "1" }],
    ["a fractional key_version", { key_version: 1.5 }],
    ["an unsafe integer as key_version", { key_version: 1e300 }],
    ["no owner_id", { owner_id: undefined }],
    ["a numeric owner_id", { owner_id: 1 }],
    ["a numeric environment", { environment: 1 }],
    ["no sub", { sub: undefined }],
  ])("denies a token with %s without a lookup", async (_, more) => {
    const { send, key, findById } = await bound();
    expect(errorOf(await send(token(claimsFor(key, 1, more)))).code).toBe("invalid_key");
    expect(findById).not.toHaveBeenCalled();
  });

  it("grants only scopes that the key still holds, directly or by implication", async () => {
    const { send, key, verifier } = await bound();
    const sent = (scope: string) => token(claimsFor(key, 1, { scope }));
    expect(allowed(await send(sent("vehicles:read"))).scopes).toEqual(["vehicles:read"]);
    expect(allowed(await send(sent("vehicles:read"))).can("vehicles:write")).toBe(false);
    expect(allowed(await send(sent("vehicles:read fleet:admin drivers:read nonsense"))).scopes).toEqual([
      "vehicles:read",
    ]);
    const error = errorOf(await verifier.verify(bearer(sent("fleet:admin vehicles:read")), "drivers:read"));
    expect(error.details).toMatchObject({
      grantedScopes: ["vehicles:read"],
      missingScopes: ["drivers:read"],
    });
  });

  it("enforces the allowlist of the key", async () => {
    const { verifier, sent } = await bound({}, { ipAllowlist: ["10.0.0.0/8"] });
    const from = async (remoteAddress?: string) => {
      const result = await verifier.verify(
        bearer(sent, remoteAddress === undefined ? {} : { remoteAddress }),
      );
      return result.ok ? "ok" : result.error.code;
    };
    expect(await from("10.1.2.3")).toBe("ok");
    expect(await from("11.1.2.3")).toBe("ip_not_allowed");
    expect(await from()).toBe("ip_not_allowed");
  });

  it("enforces the environment of the key", async () => {
    expect((await (await bound({ environment: "test" })).send((await bound()).sent)).ok).toBe(false);
    const { send, key, jwt, sent } = await bound({ environment: ["live", "test"] });
    expect((await send(sent)).ok).toBe(true);
    expect(errorOf(await send(token(claimsFor(key, 1, { environment: "test" })))).code).toBe("invalid_key");
    const live = await bound({ environment: "test" });
    expect(errorOf(await live.send(live.sent)).code).toBe("wrong_environment");
    expect(reasons(jwt)).toEqual(["auth.allowed", "environment_mismatch"]);
  });

  it("passes the rate limit of the key to the limiter", async () => {
    const consume = vi.fn(() => ({ allowed: true, states: [] }));
    const { send, key, sent } = await bound(
      { rateLimiter: { consume } },
      { rateLimit: { limit: 5, windowSeconds: 60 } },
    );
    await send(sent);
    expect(consume).toHaveBeenCalledWith(
      {
        id: key.id,
        rotationRoot: null,
        ownerId: "acme",
        environment: "live",
        rateLimit: { limit: 5, windowSeconds: 60 },
      },
      expect.anything(),
    );
  });
});

describe("lookups in keyStore", () => {
  afterEach(() => void vi.useRealTimers());

  const record = (more: object = {}) =>
    ({
      id: "key_1",
      hash: "h",
      version: 1,
      ownerId: "acme",
      scopes: ["vehicles:read"],
      ...more,
    }) as unknown as KeyRecord;
  const sent = (version = 1, sub = "user-1") =>
    token(claimsWith({ sub, key_id: "key_1", key_version: version, owner_id: "acme" }));
  const withStore = (findById: (id: string) => unknown, more: Partial<JwtVerifierOptions<FleetScope>> = {}) =>
    jwtService({ keyStore: { findById: findById as never }, storeTimeout: "100ms", ...more });

  it("looks up the key for every request with a keyTtl of 0s", async () => {
    const findById = vi.fn(async () => record());
    const { send } = withStore(findById, { keyTtl: "0s" });
    await Promise.all([send(sent()), send(sent())]);
    const one = sent();
    for (const _ of [1, 2, 3]) await send(one);
    expect(findById).toHaveBeenCalledTimes(5);
  });

  it.each([
    ["synchronous", () => record()],
    ["asynchronous", async () => record()],
  ] as const)("caches a %s result for keyTtl", async (_, lookup) => {
    const findById = vi.fn(lookup);
    vi.useFakeTimers({ toFake: ["performance"] });
    const { send } = withStore(findById, { keyTtl: "100ms" });
    const one = sent();
    await Promise.all([send(one), send(sent(1, "b")), send(sent(1, "c"))]);
    for (const _ of [1, 2, 3]) expect((await send(one)).ok).toBe(true);
    expect(findById).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(100);
    await send(one);
    expect(findById).toHaveBeenCalledTimes(2);
  });

  it("measures keyTtl from the start of a lookup", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    let respond = (_: KeyRecord): void => {};
    const findById = vi.fn(() => new Promise<KeyRecord>((resolve) => (respond = resolve)));
    const { send } = withStore(findById, { keyTtl: "50ms", storeTimeout: "10000ms" });
    const calledTimes = async (times: number) => {
      while (findById.mock.calls.length < times) await sleep(1);
    };
    const one = sent();
    const before = send(one);
    await calledTimes(1);
    const respondToFirst = respond;
    vi.advanceTimersByTime(49);
    const second = send(one);
    vi.advanceTimersByTime(1);
    const after = send(one); // too late to share the first lookup
    await calledTimes(2);
    respond(record({ revokedAt: new Date() }));
    expect((await after).ok).toBe(false);
    respondToFirst(record()); // read before the revocation
    expect((await before).ok).toBe(true);
    expect((await second).ok).toBe(true);
    expect((await send(one)).ok).toBe(false); // the older result does not replace the newer one
    expect(findById).toHaveBeenCalledTimes(2);
  });

  it("repeats the lookup if the cached record is older than the token", async () => {
    let version = 1;
    const findById = vi.fn(async () => record({ version }));
    const { send } = withStore(findById, { keyTtl: "1m" });
    expect((await send(sent(1))).ok).toBe(true);
    version = 2;
    expect((await send(sent(2))).ok).toBe(true);
    expect(findById).toHaveBeenCalledTimes(2);
    expect((await send(sent(1))).ok).toBe(false);
    expect(findById).toHaveBeenCalledTimes(2);
  });

  it("does not cache a missing key", async () => {
    let found: KeyRecord | null | undefined = null;
    const { send } = withStore(async () => found, { keyTtl: "1m" });
    expect((await send(sent())).ok).toBe(false);
    found = record();
    expect((await send(sent())).ok).toBe(true);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("secret text");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("secret text");
      },
    ],
    ["hangs", () => new Promise(() => {})],
    ["returns another key", () => record({ id: "key_2" })],
    ["resolves to another key", async () => record({ id: "key_2" })],
    ["returns no version", () => record({ version: undefined })],
    ["returns a string version", () => record({ version: "1" })],
    ["returns no scopes", () => record({ scopes: undefined })],
    ["returns a string", () => "key_1"],
    ["resolves to an array", async () => []],
  ])("rejects with a StoreError if the store %s, and retries", async (_, findById) => {
    let respond = findById;
    const { send } = withStore(() => respond(), { keyTtl: "1m" });
    const one = sent();
    const error = await thrownBy(() => send(one));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
    respond = () => record();
    expect((await send(one)).ok).toBe(true);
  });

  it("looks up the keys of verified tokens only", async () => {
    const findById = vi.fn(() => record());
    const { send } = withStore(findById);
    await send(`${sent()}x`);
    await send(token(claimsWith({ key_id: "key_1", key_version: 1, owner_id: "acme", exp: NOW })));
    expect(findById).not.toHaveBeenCalled();
  });
});
