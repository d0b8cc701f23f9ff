import fc from "fast-check";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { describe, expect, it } from "vitest";
import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import {
  createKeyManager,
  createVerifier,
  defineScopes,
  type KeyHash,
  type KeyRecord,
  keyFormat,
  StoreError,
  type Verifier,
} from "../../../src/index.js";
import { createTokenService, type ExchangeResult, type IssuedToken } from "../../../src/oauth/index.js";
import {
  allowed,
  bearer,
  errorOf,
  type FleetScope,
  format,
  START,
  scopes,
  service,
  sleep,
  thrownBy,
} from "../core/fixtures.js";
import { AUDIENCE, ecKey, exchanger, ISSUER, wrapped } from "./fixtures.js";

const SECOND = 1_000;

async function issuedBy<S extends string>(result: Promise<ExchangeResult<S>>): Promise<IssuedToken<S>> {
  const settled = await result;
  if (!settled.ok) throw new Error(settled.error.code);
  return settled;
}

it("waits for a verifier as long as its own storeTimeout", async () => {
  const base = exchanger();
  const { secret } = await base.issue();
  const store = {
    async findByHash(hash: KeyHash) {
      await sleep(600);
      return base.store.findByHash(hash);
    },
  };
  const verifier = createVerifier({ store, scopes, format, clock: base.clock.now, storeTimeout: "60000ms" });
  const { tokens } = exchanger({ verifier, store: base.store });
  await issuedBy(tokens.exchange({ request: bearer(secret) }));
});

describe("an issued token", () => {
  it("has the claims of RFC 9068, and those of its key", async () => {
    const { tokens, issue } = exchanger();
    const { secret, key } = await issue();
    const {
      accessToken,
      expiresIn,
      expiresAt,
      scopes: granted,
    } = await issuedBy(tokens.exchange({ request: bearer(secret) }));
    const { jti, ...claims } = decodeJwt(accessToken);
    const iat = START.getTime() / SECOND;
    expect(claims).toEqual({
      iss: ISSUER,
      aud: AUDIENCE,
      sub: key.id,
      client_id: key.id,
      key_id: key.id,
      key_version: 1,
      owner_id: "acme",
      environment: "live",
      scope: "vehicles:write",
      iat,
      exp: iat + 900,
    });
    expect(jti).toMatch(/^[0-9a-f-]{36}$/);
    expect(decodeProtectedHeader(accessToken)).toEqual({
      alg: "ES256",
      kid: tokens.jwks().keys[0]?.kid,
      typ: "at+jwt",
    });
    expect([expiresIn, expiresAt, granted]).toEqual([
      900,
      new Date((iat + 900) * SECOND),
      ["vehicles:write"],
    ]);
  });

  it("becomes a principal with the key and its implied scopes", async () => {
    const { tokens, issue, tokenOf } = exchanger();
    const { secret, key } = await issue();
    const principal = allowed(await tokens.verifier.verify(bearer(await tokenOf(secret)), "vehicles:read"));
    expect(principal).toMatchObject({ type: "jwt", id: key.id, ownerId: "acme", environment: "live" });
    expect([principal.scopes, principal.key?.id]).toEqual([["vehicles:write"], key.id]);
    expect(principal.can("vehicles:read")).toBe(true);
    expect(principal.can("drivers:read")).toBe(false);
  });

  it("cannot be exchanged, even if the verifier accepts tokens", async () => {
    const base = exchanger();
    const any: { current?: Verifier<FleetScope> } = {};
    const verifier = wrapped(base.verifier, (...args) =>
      (any.current as Verifier<FleetScope>).verify(...args),
    );
    const { tokens, tokenOf } = exchanger({ verifier, store: base.store });
    any.current = anyVerifier(base.verifier, tokens.verifier);
    const { secret } = await base.issue();
    const token = await tokenOf(secret);
    allowed(await any.current.verify(bearer(token)));
    const result = await tokens.exchange({ request: bearer(token) });
    expect(result.ok ? "issued" : result.error.code).toBe("invalid_key");
  });

  it("has the requested audiences", async () => {
    const { tokens, issue } = exchanger({ audience: "a", otherAudiences: ["b", "c"] });
    const { secret } = await issue();
    const audOf = async (audience?: string[]) =>
      decodeJwt(
        (await issuedBy(tokens.exchange({ request: bearer(secret), ...(audience && { audience }) })))
          .accessToken,
      ).aud;
    expect(await audOf()).toBe("a");
    expect(await audOf(["c", "a"])).toEqual(["c", "a"]);
    expect(await audOf(["b"])).toBe("b");
    await expect(audOf(["d"])).rejects.toThrow(TypeError);
    await expect(audOf([])).rejects.toThrow(TypeError);
  });
});

describe("the scopes of a token", () => {
  const list = ["vehicles:read", "vehicles:write", "drivers:read", "fleet:admin"] as const;
  const names = [...list, "reports:read", "unknown:scope", "vehicles:*", "*", "__proto__", ""] as const;

  it.each<[string, readonly FleetScope[], string | undefined, readonly string[] | undefined]>([
    [
      "all scopes by default",
      ["vehicles:write", "drivers:read"],
      undefined,
      ["vehicles:write", "drivers:read"],
    ],
    ["one of two", ["vehicles:write", "drivers:read"], "drivers:read", ["drivers:read"]],
    ["an implied scope", ["vehicles:write"], "vehicles:read", ["vehicles:read"]],
    ["a scope that is named twice", ["vehicles:write"], "vehicles:read vehicles:read", ["vehicles:read"]],
    [
      "scopes that a wildcard implies",
      ["fleet:admin"],
      "drivers:read vehicles:write",
      ["drivers:read", "vehicles:write"],
    ],
    ["a scope that the key lacks", ["vehicles:read"], "vehicles:write", undefined],
    [
      "one scope that the key holds and one that it lacks",
      ["vehicles:write"],
      "vehicles:read drivers:read",
      undefined,
    ],
    ["a planned scope", ["fleet:admin"], "reports:read", undefined],
    ["an undefined scope", ["fleet:admin"], "fleet:owner", undefined],
    ["a wildcard", ["fleet:admin"], "*", undefined],
    ["two spaces", ["fleet:admin"], "drivers:read  vehicles:read", undefined],
    ["a tab", ["fleet:admin"], "drivers:read\tvehicles:read", undefined],
    ["a trailing space", ["fleet:admin"], "drivers:read ", undefined],
    ["a quote", ["fleet:admin"], '"drivers:read"', undefined],
    ["an empty string", ["fleet:admin"], "", undefined],
  ])("are selected or denied for %s", async (_, held, scope, expected) => {
    const { tokens, issue } = exchanger();
    const { secret } = await issue({ scopes: held });
    const result = await tokens.exchange({ request: bearer(secret), ...(scope !== undefined && { scope }) });
    expect(result.ok ? result.scopes : undefined).toEqual(expected);
    if (!result.ok) expect(result.error.code).toBe("insufficient_scope");
  });

  it("never exceed the closure of the key's scopes", async () => {
    const { tokens, issue } = exchanger();
    const keys = new Map<string, string>();
    const secretFor = async (held: readonly FleetScope[]) => {
      const known = keys.get(held.join(" ")) ?? (await issue({ scopes: held })).secret;
      keys.set(held.join(" "), known);
      return known;
    };
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...list], { minLength: 1 }),
        fc.option(
          fc.oneof(
            fc.subarray([...names]),
            fc.subarray([...list], { minLength: 1 }),
            fc.array(fc.string({ maxLength: 12 }), { maxLength: 3 }),
          ),
        ),
        fc.constantFrom(" ", "  ", ",", "\n"),
        async (held, requested, separator) => {
          const scope = requested?.join(separator);
          const request = bearer(await secretFor(held));
          const result = await tokens.exchange({ request, ...(scope !== undefined && { scope }) });
          if (!result.ok) {
            expect(result.error.code).toBe("insufficient_scope");
            return;
          }
          const claimed = String(decodeJwt(result.accessToken).scope).split(" ");
          expect(claimed).toEqual(result.scopes);
          for (const name of claimed) expect(scopes.holds(held, name)).toBe(true);
          if (requested !== null) expect(new Set(claimed)).toEqual(new Set(requested));
          const principal = allowed(await tokens.verifier.verify(bearer(result.accessToken)));
          for (const name of scopes.names) {
            expect(principal.can(name)).toBe(scopes.holds(claimed, name));
            if (principal.can(name)) expect(scopes.holds(held, name)).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("omit undefined and planned scopes; without any there is no scope claim", async () => {
    const { store, manager, clock } = service();
    const { secret } = await manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:read", "drivers:read"],
    });
    const fewer = defineScopes({ "drivers:read": { status: "planned" }, "other:read": {} });
    const tokens = createTokenService({
      issuer: ISSUER,
      audience: AUDIENCE,
      signingKey: ecKey(),
      ttl: "15m",
      verifier: createVerifier({ store, scopes: fewer, format, clock: clock.now }),
      store,
    });
    const { accessToken, scopes: granted } = await issuedBy(tokens.exchange({ request: bearer(secret) }));
    expect(granted).toEqual([]);
    expect(decodeJwt(accessToken)).not.toHaveProperty("scope");
    expect(allowed(await tokens.verifier.verify(bearer(accessToken))).scopes).toEqual([]);
  });

  it("have to be requested in parts if they exceed the size of a token", async () => {
    const many = Array.from({ length: 100 }, (_, index) => `${"long".repeat(25)}:${index}`);
    const wide = defineScopes(Object.fromEntries(many.map((name) => [name, {}])));
    const { store, clock } = service();
    const parts = {
      store,
      scopes: wide,
      format: keyFormat({ prefix: "ezt", environments: ["live"] }),
      clock: clock.now,
    };
    const [verifier, manager] = [createVerifier(parts), createKeyManager(parts)];
    const { secret } = await manager.create({ ownerId: "acme", scopes: many });
    const tokens = createTokenService({
      issuer: ISSUER,
      audience: AUDIENCE,
      signingKey: ecKey(),
      ttl: "15m",
      verifier,
      store,
    });
    const request = bearer(secret);
    const all = await tokens.exchange({ request });
    expect(all.ok ? "issued" : all.error.code).toBe("insufficient_scope");
    const some = await issuedBy(tokens.exchange({ request, scope: many.slice(0, 5) }));
    allowed(await tokens.verifier.verify(bearer(some.accessToken)));
  });
});

describe("the lifetime of a token", () => {
  it.each<[ttl: "1s" | "15m" | "24h", now: number, left: number | undefined, lifetime: number | "denied"]>([
    ["15m", 0, undefined, 900],
    ["24h", 0, undefined, 86_400],
    ["1s", 0, undefined, 1],
    ["15m", 0, 3_600_000, 900],
    ["15m", 0, 900_000, 900],
    ["15m", 0, 899_999, 899],
    ["15m", 0, 60_000, 60],
    ["15m", 0, 1_999, 1],
    ["15m", 0, 1_000, 1],
    ["15m", 0, 999, "denied"],
    ["15m", 0, 1, "denied"],
    ["15m", 900, 100, 1],
    ["15m", 900, 99, "denied"],
    ["15m", 900, undefined, 900],
  ])("ttl %s at +%s ms, the key has %s ms left: %s s", async (ttl, now, left, lifetime) => {
    const { tokens, issue, clock } = exchanger({ ttl });
    const time = START.getTime() + now;
    clock.set(time);
    const { secret } = await issue(left === undefined ? {} : { expiresAt: new Date(time + left) });
    const result = await tokens.exchange({ request: bearer(secret) });
    if (lifetime === "denied" || !result.ok) {
      expect([lifetime, result.ok ? "issued" : result.error.code]).toEqual(["denied", "invalid_key"]);
      return;
    }
    expect(result.expiresIn).toBe(lifetime);
    const { iat = 0, exp = 0 } = decodeJwt(result.accessToken);
    expect(exp - iat).toBe(lifetime);
    expect(exp * SECOND).toBeGreaterThan(time);
    if (left !== undefined) expect(exp * SECOND).toBeLessThanOrEqual(time + left);
    allowed(await tokens.verifier.verify(bearer(result.accessToken)));
    clock.set(exp * SECOND);
    errorOf(await tokens.verifier.verify(bearer(result.accessToken)));
  });

  it("is denied if the clock returns NaN", async () => {
    const { issue, store } = exchanger();
    const { secret } = await issue();
    const verifier = createVerifier({ store, scopes, format, clock: () => new Date(Number.NaN) });
    const { tokens } = exchanger({ verifier, store });
    const result = await tokens.exchange({ request: bearer(secret) });
    expect(result.ok ? "issued" : result.error.code).toBe("invalid_key");
  });
});

describe("the current state of the key", () => {
  const changes: Record<string, (base: ReturnType<typeof exchanger>, id: string) => Promise<unknown>> = {
    revoked: ({ manager }, id) => manager.revoke(id),
    disabled: ({ manager }, id) => manager.disable(id),
    expired: ({ manager, clock }, id) =>
      manager
        .update(id, { expiresAt: new Date(START.getTime() + 5) })
        .then(() => clock.set(START.getTime() + 5)),
    rotated: ({ manager }, id) => manager.rotate(id, { overlap: "0s" }),
    renamed: ({ manager }, id) => manager.update(id, { name: "other" }),
  };

  it.each(Object.keys(changes))(
    "denies the tokens of a key at once with a keyTtl of 0s: %s",
    async (name) => {
      const base = exchanger();
      const { secret, key } = await base.issue();
      const token = await base.tokenOf(secret);
      allowed(await base.tokens.verifier.verify(bearer(token)));
      await changes[name]?.(base, key.id);
      expect(errorOf(await base.tokens.verifier.verify(bearer(token))).code).toBe("invalid_key");
    },
  );

  it.each(Object.keys(changes))("denies the tokens of a key within the keyTtl: %s", async (name) => {
    const base = exchanger({ keyTtl: "60ms" });
    const { secret, key } = await base.issue();
    const token = await base.tokenOf(secret);
    allowed(await base.tokens.verifier.verify(bearer(token)));
    await changes[name]?.(base, key.id);
    await sleep(80);
    expect(errorOf(await base.tokens.verifier.verify(bearer(token))).code).toBe("invalid_key");
  });

  it("is read from the store again, even if the verifier still accepts the key", async () => {
    for (const name of ["revoked", "disabled", "expired"]) {
      const base = exchanger();
      const { secret, key } = await base.issue();
      const stale = await base.verifier.verify(bearer(secret));
      const { tokens } = exchanger({
        store: base.store,
        verifier: wrapped(base.verifier, async () => stale),
      });
      expect((await tokens.exchange({ request: bearer(secret) })).ok).toBe(true);
      await changes[name]?.(base, key.id);
      const result = await tokens.exchange({ request: bearer(secret) });
      expect(result.ok ? "issued" : result.error.code).toBe("invalid_key");
    }
  });

  it("includes the allowlist and the rate limit, which apply to its tokens", async () => {
    let left = 3;
    const rateLimiter = { consume: () => ({ allowed: left-- > 0, states: [] }) };
    const base = exchanger({}, { rateLimiter });
    const { secret } = await base.issue({ ipAllowlist: ["192.0.2.0/24"] });
    const from = (remoteAddress: string) => ({ remoteAddress });
    const outside = await base.tokens.exchange({ request: bearer(secret, from("198.51.100.1")) });
    expect(outside.ok ? "issued" : outside.error.code).toBe("ip_not_allowed");
    const inside = await issuedBy(base.tokens.exchange({ request: bearer(secret, from("192.0.2.1")) }));
    const use = (address: string) => base.tokens.verifier.verify(bearer(inside.accessToken, from(address)));
    expect(errorOf(await use("198.51.100.1")).code).toBe("ip_not_allowed");
    allowed(await use("192.0.2.7"));
    allowed(await use("192.0.2.7"));
    expect(errorOf(await use("192.0.2.7")).code).toBe("rate_limited");
    const limited = await base.tokens.exchange({ request: bearer(secret, from("192.0.2.1")) });
    expect(limited.ok ? "issued" : limited.error.code).toBe("rate_limited");
  });

  it("includes the environment, which the verifier checks", async () => {
    const base = exchanger({}, { environment: "live" });
    const { secret } = await base.issue({ environment: "test" });
    const result = await base.tokens.exchange({ request: bearer(secret) });
    expect(result.ok ? "issued" : result.error.code).toBe("wrong_environment");
  });

  it.each<[string, (record: KeyRecord) => unknown]>([
    ["another id", (record) => ({ ...record, id: "key_other" })],
    ["no version", ({ version: _, ...record }) => record],
    ["invalid scopes", (record) => ({ ...record, scopes: "fleet:admin" })],
    ["a string", () => "record"],
    ["an error", () => Promise.reject(new Error("select * from keys where hash = 'deadbeef'"))],
    [
      "a synchronous error",
      () => {
        throw new Error("select * from keys where hash = 'deadbeef'");
      },
    ],
    ["nothing within the timeout", () => new Promise(() => {})],
  ])("causes a StoreError if the store returns %s", async (_, result) => {
    const base = exchanger({}, { storeTimeout: "50ms" });
    const { secret, key } = await base.issue();
    const record = (await base.store.findById(key.id)) as KeyRecord;
    const { tokens } = exchanger({
      verifier: base.verifier,
      store: { findById: () => result(record) as Promise<KeyRecord> },
    });
    const error = await thrownBy(() => tokens.exchange({ request: bearer(secret) }));
    expect(error).toBeInstanceOf(StoreError);
    expect(String((error as Error).stack)).not.toContain("deadbeef");
  });

  it.each<[string, (record: KeyRecord) => KeyRecord | undefined]>([
    ["another owner", (record) => ({ ...record, ownerId: "evil" })],
    ["another environment", (record) => ({ ...record, environment: "test" })],
    ["no record", () => undefined],
    ["an invalid expiry", (record) => ({ ...record, expiresAt: "never" as unknown as Date })],
  ])("denies the key if the store returns %s", async (_, change) => {
    const base = exchanger();
    const { secret, key } = await base.issue();
    const record = (await base.store.findById(key.id)) as KeyRecord;
    const { tokens } = exchanger({ verifier: base.verifier, store: { findById: () => change(record) } });
    const result = await tokens.exchange({ request: bearer(secret) });
    expect(result.ok ? "issued" : result.error.code).toBe("invalid_key");
  });

  it("emits the events of the verifier only", async () => {
    const base = exchanger();
    const { secret, key } = await base.issue();
    base.events.length = 0;
    await issuedBy(base.tokens.exchange({ request: bearer(secret) }));
    await base.tokens.exchange({ request: bearer(secret), scope: "drivers:read" });
    await base.tokens.exchange({ request: bearer(`${secret}x`) });
    expect(base.events.map(({ type, keyId }) => [type, keyId])).toEqual([
      ["auth.allowed", key.id],
      ["auth.allowed", key.id],
      ["auth.denied", undefined],
    ]);
  });
});

it("issues distinct, valid tokens to concurrent requests", async () => {
  const { tokens, issue } = exchanger();
  const secrets = await Promise.all(Array.from({ length: 5 }, () => issue().then(({ secret }) => secret)));
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      issuedBy(tokens.exchange({ request: bearer(secrets[index % 5] as string) })),
    ),
  );
  expect(new Set(results.map(({ accessToken }) => decodeJwt(accessToken).jti)).size).toBe(100);
  for (const { accessToken } of results) allowed(await tokens.verifier.verify(bearer(accessToken)));
});
