import { describe, expect, it } from "vitest";
import {
  createVerifier,
  hashSecret,
  type KeyFormat,
  type KeyHash,
  keyFormat,
  type VerifiableRecord,
} from "../../../../src/index.js";
import {
  allowed,
  bearer,
  errorOf,
  type FleetScope,
  format,
  polluted,
  recordOf,
  START,
  scopes,
  service,
  stoppedClock,
  storeOf,
  thrownBy,
} from "../fixtures.js";

const store = storeOf((hash) => recordOf(hash));

/** Returns `ok` or the error code for a secret whose record has these members. */
async function outcome(
  secret: string,
  more: Partial<VerifiableRecord>,
  options: Partial<Parameters<typeof createVerifier<FleetScope>>[0]> = {},
): Promise<string> {
  const own = storeOf((hash) => recordOf(hash, more));
  const result = await createVerifier({ store: own, scopes, format, ...options }).verify(bearer(secret));
  return result.ok ? "ok" : result.error.code;
}

describe("the option environment", () => {
  const live = format.generate("live");
  const test_ = format.generate("test");
  const bare = keyFormat({ alphabet: "hex", length: 32, checksum: false });
  const formats = [format, bare];

  it.each<[string, string, Partial<VerifiableRecord>, object, string]>([
    ["serves every environment of the format by default", test_, { environment: "test" }, {}, "ok"],
    ["serves its own environment", live, { environment: "live" }, { environment: "live" }, "ok"],
    [
      "serves every environment of an array",
      test_,
      { environment: "test" },
      { environment: ["live", "test"] },
      "ok",
    ],
    [
      "does not serve another environment",
      test_,
      { environment: "test" },
      { environment: "live" },
      "wrong_environment",
    ],
    ["serves a record without an environment", live, {}, { environment: "live" }, "ok"],
    [
      "does not serve a record of another environment than the secret",
      live,
      { environment: "test" },
      {},
      "invalid_key",
    ],
    [
      "does not serve a record of another served environment",
      live,
      { environment: "test" },
      { environment: ["live", "test"] },
      "invalid_key",
    ],
    [
      "serves a record of its environment if the secret has none",
      bare.generate(),
      { environment: "live" },
      { environment: "live", format: formats },
      "ok",
    ],
    [
      "does not serve a record of another environment if the secret has none",
      bare.generate(),
      { environment: "test" },
      { environment: "live", format: formats },
      "invalid_key",
    ],
    [
      "serves a key without any environment",
      bare.generate(),
      {},
      { environment: "live", format: formats },
      "ok",
    ],
    [
      "serves every environment by default if the secret has none",
      bare.generate(),
      { environment: "test" },
      { format: formats },
      "ok",
    ],
    [
      "does not serve another environment with a format that has none",
      bare.generate(),
      { environment: "test" },
      { environment: "live", format: bare },
      "invalid_key",
    ],
  ])("%s", async (_, secret, more, options, expected) => {
    expect(await outcome(secret, more, options)).toBe(expected);
  });
});

describe("the option format", () => {
  it("takes a custom format with an environment that the others lack", async () => {
    const own: KeyFormat = {
      parse: (secret) => (secret.startsWith("staging-") ? { environment: "staging" } : undefined),
    };
    const serving = (environment: string | string[], formats: KeyFormat[] = [format, own]) =>
      createVerifier({ store, scopes, format: formats, environment });
    const verifier = serving("staging");
    expect((await verifier.verify(bearer("staging-1"))).ok).toBe(true);
    expect(errorOf(await verifier.verify(bearer(format.generate("live")))).code).toBe("wrong_environment");
    const both = serving(["live", "staging"], [own, format]);
    expect((await both.verify(bearer("staging-1"))).ok).toBe(true);
    expect((await both.verify(bearer(format.generate("live")))).ok).toBe(true);
    expect(errorOf(await both.verify(bearer(format.generate("test")))).code).toBe("wrong_environment");
    expect(() => serving("staging", [format])).toThrow(/"staging"/);
    expect(() => serving("", [own])).toThrow(
      /"environment" must be a name or an array of names; received an empty string$/,
    );
  });

  it("takes the format of an older system and a new one", async () => {
    const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false });
    const secret = "0123456789abcdef0123456789abcdef";
    const known = new Map([[hashSecret(secret), recordOf(hashSecret(secret), { ownerId: "old" })]]);
    const verifier = createVerifier({
      store: storeOf((hash) => known.get(hash)),
      scopes,
      format: [format, legacy],
    });
    expect(allowed(await verifier.verify(bearer(secret))).ownerId).toBe("old");
    expect(errorOf(await verifier.verify(bearer(secret.toUpperCase()))).code).toBe("invalid_key");
    expect(errorOf(await verifier.verify(bearer(legacy.generate()))).code).toBe("invalid_key");
  });

  it("takes a custom format that has only parse", async () => {
    const own: KeyFormat = { parse: (secret) => (/^acct-\d{1,9}-[a-z]{24}$/.test(secret) ? {} : undefined) };
    const verifier = createVerifier({ store, scopes, format: own });
    expect((await verifier.verify(bearer(`acct-1-${"a".repeat(24)}`))).ok).toBe(true);
    expect((await verifier.verify(bearer(`acct-1-${"a".repeat(23)}`))).ok).toBe(false);
  });

  it("does not change the noun in messages", async () => {
    const verifier = createVerifier({ store, scopes, format });
    expect(errorOf(await verifier.verify({ headers: {} })).message).toBe(
      "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    );
    expect(errorOf(await verifier.verify(bearer("junk"))).message).toBe("The API key is not valid.");
  });

  it("makes verify reject if it throws", async () => {
    const own: KeyFormat = {
      parse: () => {
        throw new Error("x");
      },
    };
    const verifier = createVerifier({ store, scopes, format: own });
    expect(await thrownBy(() => verifier.verify(bearer("abc")))).toBeInstanceOf(Error);
  });
});

describe("a store with one method", () => {
  const secret = format.generate("live");
  const minimal = { id: 1 as never, hash: hashSecret(secret), ownerId: "acme", scopes: ["vehicles:read"] };

  it("may return the four required members only", async () => {
    const lookups: KeyHash[] = [];
    const verifier = createVerifier({
      store: {
        async findByHash(hash) {
          lookups.push(hash);
          return hash === minimal.hash ? { ...minimal, id: "1" } : null;
        },
      },
      scopes,
      format,
    });
    const principal = allowed(await verifier.verify(bearer(secret), "vehicles:read"));
    expect(principal).toMatchObject({ id: "1", ownerId: "acme", environment: undefined });
    expect(principal.key).toMatchObject({ status: "active", createdAt: null, start: "" });
    expect(lookups).toEqual([hashSecret(secret)]);
    expect((await verifier.verify(bearer(format.generate("live")))).ok).toBe(false);
  });

  it("is called with its own this", async () => {
    class Store {
      #records = new Map([[minimal.hash as string, { ...minimal, id: "1" }]]);
      findByHash(hash: KeyHash) {
        return this.#records.get(hash);
      }
      findManyByHash(hashes: readonly KeyHash[]) {
        return hashes.map((hash) => this.#records.get(hash));
      }
    }
    const verifier = createVerifier({ store: new Store(), scopes, format });
    expect((await verifier.verify(bearer(secret))).ok).toBe(true);
  });

  it.each<[string, Partial<Record<keyof VerifiableRecord, unknown>>, string]>([
    ["an allowlist with an invalid entry", { ipAllowlist: ["junk"] }, "ip_not_allowed"],
    ["an allowlist with null", { ipAllowlist: [null] }, "ip_not_allowed"],
    ["an expiry that is a string", { expiresAt: "2999-01-01" }, "invalid_key"],
    ["a revokedAt of false", { revokedAt: false }, "invalid_key"],
    ["a disabledAt of 0", { disabledAt: 0 }, "invalid_key"],
    [
      "undefined for optional members",
      { expiresAt: undefined, revokedAt: undefined, ipAllowlist: undefined },
      "ok",
    ],
  ])("may return a record with %s", async (_, more, expected) => {
    expect(await outcome(secret, more as never)).toBe(expected);
  });
});

describe("the clock", () => {
  it("expires a key at its expiry", async () => {
    const clock = stoppedClock();
    const verify = () =>
      outcome(format.generate("live"), { expiresAt: new Date(START.getTime() + 1000) }, { clock: clock.now });
    expect(await verify()).toBe("ok");
    clock.set(START.getTime() + 999);
    expect(await verify()).toBe("ok");
    clock.set(START.getTime() + 1000);
    expect(await verify()).toBe("invalid_key");
  });

  it("expires every key with an expiry if it returns an invalid date", async () => {
    const clock = () => new Date(Number.NaN);
    const far = new Date(8.64e15);
    expect(await outcome(format.generate("live"), { expiresAt: far }, { clock })).toBe("invalid_key");
    expect(await outcome(format.generate("live"), {}, { clock })).toBe("ok");
  });

  it("makes verify reject if it throws", async () => {
    const clock = () => {
      throw new Error("no time");
    };
    expect(await thrownBy(() => outcome(format.generate("live"), {}, { clock }))).toBeInstanceOf(Error);
  });

  it("is read after the lookup, so that a key that expires during it is denied", async () => {
    const clock = stoppedClock();
    const expiresAt = new Date(START.getTime() + 10);
    const slow = storeOf(async (hash) => {
      clock.set(expiresAt);
      return recordOf(hash, { expiresAt });
    });
    const verifier = createVerifier({ store: slow, scopes, format, clock: clock.now });
    expect(errorOf(await verifier.verify(bearer(format.generate("live")))).code).toBe("invalid_key");
  });
});

describe("invalid options", () => {
  const good = { store, scopes, format };

  it("do not include these", () => {
    expect(Object.isFrozen(createVerifier(good))).toBe(true);
    expect(service({ storeTimeout: "1ms", realm: "x", exposeKeyState: false })).toBeDefined();
  });

  it.each<[string, unknown, RegExp]>([
    ["no options", undefined, /options object/],
    ["null", null, /options object/],
    ["an unknown option", { ...good, trustedProxy: ["loopback"] }, /"trustedProxy".*trustedProxies/],
    ["a misspelt pepper", { ...good, peper: "x" }, /"peper"/],
    ["no store", { scopes, format }, /"store" must have a method findByHash/],
    ["a store without its method", { ...good, store: {} }, /"store"/],
    [
      "a store with half a method",
      { ...good, store: { ...store, findManyByHash: true } },
      /"store.findManyByHash"/,
    ],
    ["no scopes", { store, format }, /"scopes"/],
    ["an array of scopes", { ...good, scopes: ["vehicles:read"] }, /"scopes"/],
    ["no format", { store, scopes }, /"format"/],
    ["no formats", { ...good, format: [] }, /"format" must have at least one/],
    [
      "an array with an invalid format",
      { ...good, format: [format, {}] },
      /"format" must have a method parse/,
    ],
    ["the options of a format", { ...good, format: { prefix: "ezt" } }, /"format"/],
    [
      "an environment that the format lacks",
      { ...good, environment: "staging" },
      /"live", "test".*"staging"/,
    ],
    ["an environment in another case", { ...good, environment: "Live" }, /"Live"/],
    ["no environments", { ...good, environment: [] }, /"environment" is an empty array/],
    ["an empty environment", { ...good, environment: "" }, /"environment"/],
    ["an environment of null", { ...good, environment: null }, /"environment"/],
    [
      "an array with an environment of undefined",
      { ...good, environment: ["live", undefined] },
      /"environment"/,
    ],
    ["an environment that is undefined", { ...good, environment: undefined }, /"environment" is undefined/],
    ["an empty pepper", { ...good, pepper: "" }, /pepper/],
    ["a pepper that is undefined", { ...good, pepper: undefined }, /"pepper" is undefined/],
    ["a pepper of null", { ...good, pepper: null }, /pepper.*null/],
    ["a pepper that is a number", { ...good, pepper: 7 }, /pepper.*number/],
    ["a pepper that is an array", { ...good, pepper: ["x"] }, /pepper.*array/],
    ["a pepper without its current version", { ...good, pepper: { current: "v2", keys: {} } }, /pepper/],
    ["a timeout of zero", { ...good, storeTimeout: "0ms" }, /"storeTimeout"/],
    ["a negative timeout", { ...good, storeTimeout: "-1ms" }, /"storeTimeout"/],
    ["a timeout of NaN", { ...good, storeTimeout: Number.NaN }, /"storeTimeout"/],
    ["a timeout that is a number", { ...good, storeTimeout: 250 }, /"storeTimeout"/],
    ["a timeout that is too long for setTimeout", { ...good, storeTimeout: "25d" }, /"storeTimeout"/],
    ["a timeout without a unit", { ...good, storeTimeout: "250" }, /"storeTimeout"/],
    ["a timeout of null", { ...good, storeTimeout: null }, /"storeTimeout"/],
    ["a limiter that is a function", { ...good, rateLimiter: () => true }, /"rateLimiter".*consume/],
    ["a limiter of null", { ...good, rateLimiter: null }, /"rateLimiter"/],
    ["a clock that is a date", { ...good, clock: new Date() }, /"clock" must be a function/],
    ["a truthy exposeKeyState", { ...good, exposeKeyState: 1 }, /"exposeKeyState"/],
    ["an unknown member of credential", { ...good, credential: { query: "key" } }, /"query"/],
    ["a credential that is a string", { ...good, credential: "x-api-key" }, /options object/],
    ["an invalid proxy", { ...good, trustedProxies: ["10.0.0.0/33"] }, /"trustedProxies\[0\]"/],
    ["a header without proxies", { ...good, clientIpHeader: "forwarded" }, /"clientIpHeader"/],
    ["the removed option reportOnly", { ...good, reportOnly: {} }, /"reportOnly"/],
  ])("throw a TypeError that names them: %s", (_, options, message) => {
    const make = () => createVerifier(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it("are not read from Object.prototype", async () => {
    const secret = format.generate("live");
    const hostile = {
      exposeKeyState: true,
      trustedProxies: ["0.0.0.0/0", "::/0"],
      clientIpHeader: "x-real-ip",
      environment: "test",
      pepper: "the pepper of an attacker",
      clock: () => START,
      header: "x-evil",
      scheme: "Evil",
    };
    await polluted(hostile, async () => {
      const revoked = createVerifier({
        ...good,
        store: storeOf((hash) => recordOf(hash, { environment: "live", revokedAt: START })),
      });
      expect(errorOf(await revoked.verify(bearer(secret))).details).toEqual({});
      const bound = createVerifier({
        store: storeOf((hash) =>
          hash === hashSecret(secret)
            ? recordOf(hash, { environment: "live", ipAllowlist: ["10.0.0.0/8"] })
            : undefined,
        ),
        scopes,
        format,
        credential: {},
      });
      const headers = {
        authorization: `Bearer ${secret}`,
        "x-forwarded-for": "10.0.0.1",
        "x-real-ip": "10.0.0.1",
      };
      expect(errorOf(await bound.verify({ headers, remoteAddress: "203.0.113.7" })).code).toBe(
        "ip_not_allowed",
      );
      expect((await bound.verify({ headers, remoteAddress: "10.0.0.1" })).ok).toBe(true);
    });
  });

  it("cannot be introduced later, because arrays are copied", async () => {
    const trustedProxies = ["192.168.0.0/16"];
    const formats: KeyFormat[] = [format];
    const environment = ["live"];
    const seen: (string | undefined)[] = [];
    const verifier = createVerifier({
      ...good,
      store: storeOf((hash) => recordOf(hash, { ipAllowlist: ["203.0.113.7"] })),
      trustedProxies,
      format: formats,
      environment,
      observers: [(event) => "clientIp" in event && seen.push(event.clientIp)],
    });
    trustedProxies.push("10.0.0.0/8");
    formats.push({ parse: () => ({}) });
    environment.push("test");
    const headers = { authorization: `Bearer ${format.generate("live")}`, "x-forwarded-for": "203.0.113.7" };
    expect((await verifier.verify({ headers, remoteAddress: "10.0.0.1" })).ok).toBe(false);
    expect((await verifier.verify(bearer("anything"))).ok).toBe(false);
    expect(errorOf(await verifier.verify(bearer(format.generate("test")))).code).toBe("wrong_environment");
    expect(seen[0]).toBe("10.0.0.1");
  });
});

describe("error messages", () => {
  const good = { store, scopes, format };

  it.each<[string, object]>([
    ['"store" must have a method findByHash()', { store: {} }],
    [
      '"store.findManyByHash" must be a function; received a boolean',
      { store: { ...store, findManyByHash: true } },
    ],
    ['"store.rehash" must be a function; received a boolean', { store: { ...store, rehash: true } }],
    ['"scopes" must have a method holds()', { scopes: {} }],
    ['"scopes" must have a method get()', { scopes: { holds() {} } }],
    ['"scopes" must have a method assertRequirement()', { scopes: { holds() {}, get() {} } }],
    ['"format" must have a method parse()', { format: {} }],
    ['"format" must have at least one format', { format: [] }],
    ['"exposeKeyState" must be true or false; received a string', { exposeKeyState: "yes" }],
    ['"rehash" must be true or false; received a string', { rehash: "yes" }],
    ['"clock" must be a function; received a number', { clock: 7 }],
    ['"observers" must be an array of functions', { observers: () => {} }],
    ['"observers" must be an array of functions', { observers: [() => {}, "log"] }],
    ['"rateLimiter" must have a method consume()', { rateLimiter: {} }],
    [
      '"storeTimeout" must be a duration such as "250ms", "30s", "15m", "24h" or "90d", from "1ms" to 24 days; received "0ms"',
      { storeTimeout: "0ms" },
    ],
    [
      '"storeTimeout" must be a duration such as "250ms", "30s", "15m", "24h" or "90d"; received the number 250, write "250ms"',
      { storeTimeout: 250 },
    ],
    ['"environment" must be a name or an array of names; received a number', { environment: 7 }],
    ['"environment" must be a name or an array of names; received null', { environment: ["live", null] }],
    ['"environment" must be one of "live", "test"; received "staging"', { environment: ["live", "staging"] }],
    ['"environment" is an empty array; omit it to serve all environments', { environment: [] }],
    ...["environment", "pepper", "legacyHashes"].map((name): [string, object] => [
      `"${name}" is undefined; omit it to use the default`,
      { [name]: undefined },
    ]),
  ])("%s", (message, wrong) => {
    expect(() => createVerifier({ ...good, ...wrong } as never)).toThrow(
      new TypeError(`createVerifier: ${message}`),
    );
  });

  it("of an unknown option list the known ones", () => {
    const known =
      "store, format, pepper, legacyHashes, rehash, exposeKeyState, rotationAge, scopes, environment, " +
      "trustedProxies, clientIpHeader, realm, resource, clock, storeTimeout, rateLimiter, observers, credential";
    const make = () => createVerifier({ ...good, peper: "x" } as never);
    expect(make).toThrow(TypeError);
    for (const name of known.split(", ")) expect(make).toThrow(name);
  });

  it("do not occur for the longest timeout", () => {
    expect(createVerifier({ ...good, storeTimeout: "24d" })).toBeDefined();
  });
});
