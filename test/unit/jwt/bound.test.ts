import { afterEach, describe, expect, test, vi } from "vitest";
import { type ApiKey, type KeyRecord, StoreError } from "../../../src/index.js";
import type { JwtVerifierOptions } from "../../../src/jwt/index.js";
import { allowed, bearer, type FleetScope, refused, service, sleep, thrownBy } from "../core/fixtures.js";
import { claimsWith, jwtService, NOW, reasons, token } from "./fixtures.js";

/** The claims of a token that was made of a key. */
const madeOf = (key: ApiKey, version = 1, more: object = {}) =>
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
  return { ...jwt, jwt, keys, key, findById, sent: token(madeOf(key)) };
}

describe("a token that was made of a key", () => {
  test("stands for the key", async () => {
    const { ask, key, sent, events } = await bound();
    const principal = allowed(await ask(sent));
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

  test.each<[string, (s: Awaited<ReturnType<typeof bound>>) => unknown, string]>([
    ["revoked", ({ keys, key }) => keys.manager.revoke(key.id), "key_changed"],
    ["disabled", ({ keys, key }) => keys.manager.disable(key.id), "key_changed"],
    ["renamed", ({ keys, key }) => keys.manager.update(key.id, { name: "x" }), "key_changed"],
    ["rotated", ({ keys, key }) => keys.manager.rotate(key.id, { overlap: "1h" }), "key_changed"],
  ])("dies when the key is %s", async (_, change, reason) => {
    const all = await bound();
    expect((await all.ask(all.sent)).ok).toBe(true);
    await change(all);
    expect(refused(await all.ask(all.sent)).code).toBe("invalid_key");
    expect(reasons(all.jwt)).toEqual(["auth.allowed", reason]);
  });

  test("brings the notices of its key", async () => {
    const { ask, keys, key, jwt } = await bound({ rotationAge: "1h" });
    const notice = async (sent: string) => {
      const result = await ask(sent);
      return result.ok ? result.headers["API-Key-Notice"] : result.error.code;
    };
    expect(await notice(token(madeOf(key)))).toBeUndefined();
    await keys.manager.update(key.id, { expiresAt: new Date((NOW + 3_600) * 1_000) });
    expect(await notice(token(madeOf(key, 2)))).toBe(`expiring;end=@${NOW + 3_600}`);
    expect(() => jwtService({ rotationAge: "soon" as never })).toThrow(/"rotationAge"/);
    expect(jwt.events.map(({ type }) => type)).toEqual(["auth.allowed", "auth.allowed"]);
  });

  test("of a newer version works while its key does", async () => {
    const { ask, keys, key, clock, jwt } = await bound();
    await keys.manager.update(key.id, { expiresAt: new Date((NOW + 60) * 1_000) });
    const sent = token(madeOf(key, 2));
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 60) * 1_000 - 1);
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 60) * 1_000);
    expect(refused(await ask(sent)).code).toBe("invalid_key");
    clock.set(NOW * 1_000);
    await keys.manager.revoke(key.id);
    expect(refused(await ask(token(madeOf(key, 3)))).code).toBe("invalid_key");
    expect(reasons(jwt).slice(2)).toEqual(["expired", "revoked"]);
  });

  test("of a key that nobody has, or of another owner, is refused", async () => {
    const { ask, key, jwt } = await bound();
    expect(refused(await ask(token(madeOf(key, 1, { key_id: "key_0" })))).code).toBe("invalid_key");
    expect(refused(await ask(token(madeOf(key, 1, { owner_id: "other" })))).code).toBe("invalid_key");
    expect(reasons(jwt)).toEqual(["unknown_key", "key_changed"]);
  });

  test.each<[string, object]>([
    ["no key_id", { key_id: undefined }],
    ["an empty key_id", { key_id: "" }],
    ["a key_id that is no text", { key_id: 1 }],
    ["no key_version", { key_version: undefined }],
    ["a key_version that is text", { key_version: "1" }],
    ["half a key_version", { key_version: 1.5 }],
    ["an endless key_version", { key_version: 1e300 }],
    ["no owner_id", { owner_id: undefined }],
    ["an owner_id that is no text", { owner_id: 1 }],
    ["an environment that is no text", { environment: 1 }],
    ["no sub", { sub: undefined }],
  ])("with %s is refused before the store is asked", async (_, more) => {
    const { ask, key, findById } = await bound();
    expect(refused(await ask(token(madeOf(key, 1, more)))).code).toBe("invalid_key");
    expect(findById).not.toHaveBeenCalled();
  });

  test("grants what the key still grants, by implication too", async () => {
    const { ask, key, verifier } = await bound();
    const sent = (scope: string) => token(madeOf(key, 1, { scope }));
    expect(allowed(await ask(sent("vehicles:read"))).scopes).toEqual(["vehicles:read"]);
    expect(allowed(await ask(sent("vehicles:read"))).can("vehicles:write")).toBe(false);
    expect(allowed(await ask(sent("vehicles:read fleet:admin drivers:read nonsense"))).scopes).toEqual([
      "vehicles:read",
    ]);
    const error = refused(await verifier.verify(bearer(sent("fleet:admin vehicles:read")), "drivers:read"));
    expect(error.details).toMatchObject({
      grantedScopes: ["vehicles:read"],
      missingScopes: ["drivers:read"],
    });
  });

  test("works from the key's networks only", async () => {
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

  test("works in the key's environment only", async () => {
    expect((await (await bound({ environment: "test" })).ask((await bound()).sent)).ok).toBe(false);
    const { ask, key, jwt, sent } = await bound({ environment: ["live", "test"] });
    expect((await ask(sent)).ok).toBe(true);
    expect(refused(await ask(token(madeOf(key, 1, { environment: "test" })))).code).toBe("invalid_key");
    const live = await bound({ environment: "test" });
    expect(refused(await live.ask(live.sent)).code).toBe("wrong_environment");
    expect(reasons(jwt)).toEqual(["auth.allowed", "environment_mismatch"]);
  });

  test("counts against the key's own limit", async () => {
    const consume = vi.fn(() => ({ allowed: true, states: [] }));
    const { ask, key, sent } = await bound(
      { rateLimiter: { consume } },
      { rateLimit: { limit: 5, windowSeconds: 60 } },
    );
    await ask(sent);
    expect(consume).toHaveBeenCalledWith(
      { id: key.id, ownerId: "acme", environment: "live", rateLimit: { limit: 5, windowSeconds: 60 } },
      expect.anything(),
    );
  });
});

describe("answers of the store", () => {
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
  const asking = (findById: (id: string) => unknown, more: Partial<JwtVerifierOptions<FleetScope>> = {}) =>
    jwtService({ keyStore: { findById: findById as never }, storeTimeout: "100ms", ...more });

  test("are asked for each request with 0s", async () => {
    const findById = vi.fn(async () => record());
    const { ask } = asking(findById, { keyTtl: "0s" });
    await Promise.all([ask(sent()), ask(sent())]);
    const one = sent();
    for (const _ of [1, 2, 3]) await ask(one);
    expect(findById).toHaveBeenCalledTimes(5);
  });

  test.each([
    ["at once", () => record()],
    ["later", async () => record()],
  ] as const)("%s, are remembered for keyTtl", async (_, answer) => {
    const findById = vi.fn(answer);
    vi.useFakeTimers({ toFake: ["performance"] });
    const { ask } = asking(findById, { keyTtl: "100ms" });
    const one = sent();
    await Promise.all([ask(one), ask(sent(1, "b")), ask(sent(1, "c"))]);
    for (const _ of [1, 2, 3]) expect((await ask(one)).ok).toBe(true);
    expect(findById).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(100);
    await ask(one);
    expect(findById).toHaveBeenCalledTimes(2);
  });

  test("count from when they were asked for", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    let answer = (_: KeyRecord): void => {};
    const findById = vi.fn(() => new Promise<KeyRecord>((resolve) => (answer = resolve)));
    const { ask } = asking(findById, { keyTtl: "50ms", storeTimeout: "10000ms" });
    const asked = async (times: number) => {
      while (findById.mock.calls.length < times) await sleep(1);
    };
    const one = sent();
    const before = ask(one);
    await asked(1);
    const answerFirst = answer;
    vi.advanceTimersByTime(49);
    const sharing = ask(one);
    vi.advanceTimersByTime(1);
    const after = ask(one); // this call is not young enough to share
    await asked(2);
    answer(record({ revokedAt: new Date() }));
    expect((await after).ok).toBe(false);
    answerFirst(record()); // as it was read before the revocation
    expect((await before).ok).toBe(true);
    expect((await sharing).ok).toBe(true);
    expect((await ask(one)).ok).toBe(false); // and does not replace the younger answer
    expect(findById).toHaveBeenCalledTimes(2);
  });

  test("that are older than the token are none", async () => {
    let version = 1;
    const findById = vi.fn(async () => record({ version }));
    const { ask } = asking(findById, { keyTtl: "1m" });
    expect((await ask(sent(1))).ok).toBe(true);
    version = 2;
    expect((await ask(sent(2))).ok).toBe(true);
    expect(findById).toHaveBeenCalledTimes(2);
    expect((await ask(sent(1))).ok).toBe(false);
    expect(findById).toHaveBeenCalledTimes(2);
  });

  test("are not remembered when there is no key", async () => {
    let found: KeyRecord | null | undefined = null;
    const { ask } = asking(async () => found, { keyTtl: "1m" });
    expect((await ask(sent())).ok).toBe(false);
    found = record();
    expect((await ask(sent())).ok).toBe(true);
  });

  test.each<[string, () => unknown]>([
    [
      "fails",
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
    ["answers another key", () => record({ id: "key_2" })],
    ["answers another key later", async () => record({ id: "key_2" })],
    ["answers no version", () => record({ version: undefined })],
    ["answers a version that is text", () => record({ version: "1" })],
    ["answers no scopes", () => record({ scopes: undefined })],
    ["answers text", () => "key_1"],
    ["answers a list", async () => []],
  ])("a store that %s: 503, and it is asked again", async (_, findById) => {
    let answer = findById;
    const { ask } = asking(() => answer(), { keyTtl: "1m" });
    const one = sent();
    const error = await thrownBy(() => ask(one));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
    answer = () => record();
    expect((await ask(one)).ok).toBe(true);
  });

  test("are asked for by verified tokens only", async () => {
    const findById = vi.fn(() => record());
    const { ask } = asking(findById);
    await ask(`${sent()}x`);
    await ask(token(claimsWith({ key_id: "key_1", key_version: 1, owner_id: "acme", exp: NOW })));
    expect(findById).not.toHaveBeenCalled();
  });
});
