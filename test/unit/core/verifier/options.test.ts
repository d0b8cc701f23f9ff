import { describe, expect, test } from "vitest";
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
  type FleetScope,
  format,
  polluted,
  recordOf,
  refused,
  START,
  scopes,
  service,
  stoppedClock,
  storeOf,
  thrownBy,
} from "../fixtures.js";

const store = storeOf((hash) => recordOf(hash));

/** What becomes of a secret whose record says so. */
async function outcome(
  secret: string,
  more: Partial<VerifiableRecord>,
  options: Partial<Parameters<typeof createVerifier<FleetScope>>[0]> = {},
): Promise<string> {
  const own = storeOf((hash) => recordOf(hash, more));
  const result = await createVerifier({ store: own, scopes, format, ...options }).verify(bearer(secret));
  return result.ok ? "ok" : result.error.code;
}

describe("environments", () => {
  const live = format.generate("live");
  const test_ = format.generate("test");
  const bare = keyFormat({ alphabet: "hex", length: 32, checksum: false });
  const formats = [format, bare];

  test.each<[string, string, Partial<VerifiableRecord>, object, string]>([
    ["every environment of the format by default", test_, { environment: "test" }, {}, "ok"],
    ["the served one", live, { environment: "live" }, { environment: "live" }, "ok"],
    ["one of a list", test_, { environment: "test" }, { environment: ["live", "test"] }, "ok"],
    ["another one", test_, { environment: "test" }, { environment: "live" }, "wrong_environment"],
    ["a record without one", live, {}, { environment: "live" }, "ok"],
    ["a record of another one", live, { environment: "test" }, {}, "invalid_key"],
    [
      "a record of another served one",
      live,
      { environment: "test" },
      { environment: ["live", "test"] },
      "invalid_key",
    ],
    [
      "a bare secret: the record decides",
      bare.generate(),
      { environment: "live" },
      { environment: "live", format: formats },
      "ok",
    ],
    [
      "a bare secret of another one",
      bare.generate(),
      { environment: "test" },
      { environment: "live", format: formats },
      "invalid_key",
    ],
    [
      "a bare secret, a record without one",
      bare.generate(),
      {},
      { environment: "live", format: formats },
      "ok",
    ],
    ["a bare secret, every environment", bare.generate(), { environment: "test" }, { format: formats }, "ok"],
    [
      "a bare format alone",
      bare.generate(),
      { environment: "test" },
      { environment: "live", format: bare },
      "invalid_key",
    ],
  ])("%s", async (_, secret, more, options, expected) => {
    expect(await outcome(secret, more, options)).toBe(expected);
  });
});

describe("formats", () => {
  test("a format of one's own may tell an environment that the others lack", async () => {
    const own: KeyFormat = {
      parse: (secret) => (secret.startsWith("staging-") ? { environment: "staging" } : undefined),
    };
    const serving = (environment: string | string[], formats: KeyFormat[] = [format, own]) =>
      createVerifier({ store, scopes, format: formats, environment });
    const verifier = serving("staging");
    expect((await verifier.verify(bearer("staging-1"))).ok).toBe(true);
    expect(refused(await verifier.verify(bearer(format.generate("live")))).code).toBe("wrong_environment");
    const both = serving(["live", "staging"], [own, format]);
    expect((await both.verify(bearer("staging-1"))).ok).toBe(true);
    expect((await both.verify(bearer(format.generate("live")))).ok).toBe(true);
    expect(refused(await both.verify(bearer(format.generate("test")))).code).toBe("wrong_environment");
    expect(() => serving("staging", [format])).toThrow(/"staging"/);
    expect(() => serving("", [own])).toThrow(
      /"environment" must be a name or a list of names, got an empty text$/,
    );
  });

  test("keys of an older system beside new ones", async () => {
    const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false });
    const secret = "0123456789abcdef0123456789abcdef";
    const known = new Map([[hashSecret(secret), recordOf(hashSecret(secret), { ownerId: "old" })]]);
    const verifier = createVerifier({
      store: storeOf((hash) => known.get(hash)),
      scopes,
      format: [format, legacy],
    });
    expect(allowed(await verifier.verify(bearer(secret))).ownerId).toBe("old");
    expect(refused(await verifier.verify(bearer(secret.toUpperCase()))).code).toBe("invalid_key");
    expect(refused(await verifier.verify(bearer(legacy.generate()))).code).toBe("invalid_key");
  });

  test("a format of one's own needs only parse", async () => {
    const own: KeyFormat = { parse: (secret) => (/^acct-\d{1,9}-[a-z]{24}$/.test(secret) ? {} : undefined) };
    const verifier = createVerifier({ store, scopes, format: own });
    expect((await verifier.verify(bearer(`acct-1-${"a".repeat(24)}`))).ok).toBe(true);
    expect((await verifier.verify(bearer(`acct-1-${"a".repeat(23)}`))).ok).toBe(false);
  });

  test("what is refused is an API key, in words", async () => {
    const verifier = createVerifier({ store, scopes, format });
    expect(refused(await verifier.verify({ headers: {} })).message).toBe(
      "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    );
    expect(refused(await verifier.verify(bearer("junk"))).message).toBe("The API key is not valid.");
  });

  test("a format that throws lets nobody pass", async () => {
    const own: KeyFormat = {
      parse: () => {
        throw new Error("x");
      },
    };
    const verifier = createVerifier({ store, scopes, format: own });
    expect(await thrownBy(() => verifier.verify(bearer("abc")))).toBeInstanceOf(Error);
  });
});

describe("a store of one method", () => {
  const secret = format.generate("live");
  const minimal = { id: 1 as never, hash: hashSecret(secret), ownerId: "acme", scopes: ["vehicles:read"] };

  test("with the four members that are needed", async () => {
    const asked: KeyHash[] = [];
    const verifier = createVerifier({
      store: {
        async findByHash(hash) {
          asked.push(hash);
          return hash === minimal.hash ? { ...minimal, id: "1" } : null;
        },
      },
      scopes,
      format,
    });
    const principal = allowed(await verifier.verify(bearer(secret), "vehicles:read"));
    expect(principal).toMatchObject({ id: "1", ownerId: "acme", environment: undefined });
    expect(principal.key).toMatchObject({ status: "active", createdAt: null, start: "" });
    expect(asked).toEqual([hashSecret(secret)]);
    expect((await verifier.verify(bearer(format.generate("live")))).ok).toBe(false);
  });

  test("is called as a method", async () => {
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

  test.each<[string, Partial<Record<keyof VerifiableRecord, unknown>>, string]>([
    ["an allowlist with an entry that cannot be read", { ipAllowlist: ["junk"] }, "ip_not_allowed"],
    ["an allowlist with a hole", { ipAllowlist: [null] }, "ip_not_allowed"],
    ["an expiry that is a text", { expiresAt: "2999-01-01" }, "invalid_key"],
    ["a mark of revocation that is false", { revokedAt: false }, "invalid_key"],
    ["a mark of disablement that is 0", { disabledAt: 0 }, "invalid_key"],
    [
      "undefined for everything else",
      { expiresAt: undefined, revokedAt: undefined, ipAllowlist: undefined },
      "ok",
    ],
  ])("that answers %s", async (_, more, expected) => {
    expect(await outcome(secret, more as never)).toBe(expected);
  });
});

describe("the clock", () => {
  test("a key is expired from its expiry on", async () => {
    const clock = stoppedClock();
    const verify = () =>
      outcome(format.generate("live"), { expiresAt: new Date(START.getTime() + 1000) }, { clock: clock.now });
    expect(await verify()).toBe("ok");
    clock.set(START.getTime() + 999);
    expect(await verify()).toBe("ok");
    clock.set(START.getTime() + 1000);
    expect(await verify()).toBe("invalid_key");
  });

  test("under a clock that answers no date nothing passes that has an expiry", async () => {
    const clock = () => new Date(Number.NaN);
    const far = new Date(8.64e15);
    expect(await outcome(format.generate("live"), { expiresAt: far }, { clock })).toBe("invalid_key");
    expect(await outcome(format.generate("live"), {}, { clock })).toBe("ok");
  });

  test("a clock that throws lets nobody pass", async () => {
    const clock = () => {
      throw new Error("no time");
    };
    expect(await thrownBy(() => outcome(format.generate("live"), {}, { clock }))).toBeInstanceOf(Error);
  });

  test("is read after the lookup: a key that expires meanwhile is expired", async () => {
    const clock = stoppedClock();
    const expiresAt = new Date(START.getTime() + 10);
    const slow = storeOf(async (hash) => {
      clock.set(expiresAt);
      return recordOf(hash, { expiresAt });
    });
    const verifier = createVerifier({ store: slow, scopes, format, clock: clock.now });
    expect(refused(await verifier.verify(bearer(format.generate("live")))).code).toBe("invalid_key");
  });
});

describe("mistakes are TypeErrors that name the option", () => {
  const good = { store, scopes, format };

  test("the good options are good", () => {
    expect(Object.isFrozen(createVerifier(good))).toBe(true);
    expect(service({ storeTimeout: 0.5, realm: "x", exposeKeyState: false })).toBeDefined();
  });

  test.each<[string, unknown, RegExp]>([
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
    ["a list of scopes", { ...good, scopes: ["vehicles:read"] }, /"scopes"/],
    ["no format", { store, scopes }, /"format"/],
    ["no formats", { ...good, format: [] }, /"format" must name at least one/],
    ["one format that is none", { ...good, format: [format, {}] }, /"format" must have a method parse/],
    ["the options of a format", { ...good, format: { prefix: "ezt" } }, /"format"/],
    ["an environment that the format lacks", { ...good, environment: "staging" }, /"staging".*live, test/],
    ["an environment in other case", { ...good, environment: "Live" }, /"Live"/],
    ["no environments", { ...good, environment: [] }, /"environment" is empty/],
    ["an empty environment", { ...good, environment: "" }, /"environment"/],
    ["an environment of null", { ...good, environment: null }, /"environment"/],
    ["an environment in a list that is none", { ...good, environment: ["live", undefined] }, /"environment"/],
    ["an environment that is undefined", { ...good, environment: undefined }, /"environment" is undefined/],
    ["an empty pepper", { ...good, pepper: "" }, /pepper/],
    ["a pepper that is undefined", { ...good, pepper: undefined }, /"pepper" is undefined/],
    ["a pepper of null", { ...good, pepper: null }, /pepper.*null/],
    ["a pepper that is a number", { ...good, pepper: 7 }, /pepper.*number/],
    ["a pepper that is a list", { ...good, pepper: ["x"] }, /pepper.*array/],
    ["a pepper without its current version", { ...good, pepper: { current: "v2", keys: {} } }, /pepper/],
    ["a time limit of 0", { ...good, storeTimeout: "0ms" }, /"storeTimeout"/],
    ["a time limit below 0", { ...good, storeTimeout: -1 }, /"storeTimeout"/],
    ["a time limit of NaN", { ...good, storeTimeout: Number.NaN }, /"storeTimeout"/],
    ["no time limit", { ...good, storeTimeout: Number.POSITIVE_INFINITY }, /"storeTimeout"/],
    ["a time limit that setTimeout takes for none", { ...good, storeTimeout: 2 ** 31 }, /"storeTimeout"/],
    ["a time limit that is a text", { ...good, storeTimeout: "250" }, /"storeTimeout"/],
    ["a time limit of null", { ...good, storeTimeout: null }, /"storeTimeout"/],
    ["a limiter that is a function", { ...good, rateLimiter: () => true }, /"rateLimiter".*consume/],
    ["a limiter of null", { ...good, rateLimiter: null }, /"rateLimiter"/],
    ["a clock that is a date", { ...good, clock: new Date() }, /"clock" must be a function/],
    ["a truthy exposeKeyState", { ...good, exposeKeyState: 1 }, /"exposeKeyState"/],
    ["an unknown member of credential", { ...good, credential: { query: "key" } }, /"query"/],
    ["a credential that is a text", { ...good, credential: "x-api-key" }, /options object/],
    ["proxies that cannot be read", { ...good, trustedProxies: ["10.0.0.0/33"] }, /"trustedProxies\[0\]"/],
    ["a header without proxies", { ...good, clientIpHeader: "forwarded" }, /"clientIpHeader"/],
  ])("%s", (_, options, message) => {
    const make = () => createVerifier(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("an option that somebody put on every object's prototype has no effect", async () => {
    const secret = format.generate("live");
    const hostile = {
      exposeKeyState: true,
      trustedProxies: ["0.0.0.0/0", "::/0"],
      clientIpHeader: "x-real-ip",
      environment: "test",
      pepper: "a pepper of somebody else",
      clock: () => START,
      header: "x-evil",
      scheme: "Evil",
    };
    await polluted(hostile, async () => {
      const revoked = createVerifier({
        ...good,
        store: storeOf((hash) => recordOf(hash, { environment: "live", revokedAt: START })),
      });
      expect(refused(await revoked.verify(bearer(secret))).details).toEqual({});
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
      expect(refused(await bound.verify({ headers, remoteAddress: "203.0.113.7" })).code).toBe(
        "ip_not_allowed",
      );
      expect((await bound.verify({ headers, remoteAddress: "10.0.0.1" })).ok).toBe(true);
    });
  });

  test("lists are copied: a proxy or format that is added later counts for nothing", async () => {
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
    expect(refused(await verifier.verify(bearer(format.generate("test")))).code).toBe("wrong_environment");
    expect(seen[0]).toBe("10.0.0.1");
  });
});

describe("mistakes, in words", () => {
  const good = { store, scopes, format };

  test.each<[string, object]>([
    ['"store" must have a method findByHash()', { store: {} }],
    [
      '"store.findManyByHash" must be a function, got a value of type boolean',
      { store: { ...store, findManyByHash: true } },
    ],
    ['"store.rehash" must be a function, got a value of type boolean', { store: { ...store, rehash: true } }],
    ['"scopes" must have a method holds()', { scopes: {} }],
    ['"scopes" must have a method get()', { scopes: { holds() {} } }],
    ['"scopes" must have a method assertRequirement()', { scopes: { holds() {}, get() {} } }],
    ['"format" must have a method parse()', { format: {} }],
    ['"format" must name at least one format', { format: [] }],
    ['"exposeKeyState" must be true or false', { exposeKeyState: "yes" }],
    ['"rehash" must be true or false', { rehash: "yes" }],
    ['"clock" must be a function, got a value of type number', { clock: 7 }],
    ['"observers" must be a list of functions', { observers: () => {} }],
    ['"observers" must be a list of functions', { observers: [() => {}, "log"] }],
    ['"rateLimiter" must have a method consume()', { rateLimiter: {} }],
    ['"storeTimeout" must be a number of milliseconds above 0', { storeTimeout: "0ms" }],
    ['"storeTimeout" must be a number of milliseconds above 0', { storeTimeout: 2 ** 31 }],
    ['"environment" must be a name or a list of names, got a value of type number', { environment: 7 }],
    ['"environment" must be a name or a list of names, got null', { environment: ["live", null] }],
    ['"environment" names "staging"; the format has live, test', { environment: ["live", "staging"] }],
    ['"environment" is empty; leave it out to serve every one', { environment: [] }],
    ...["environment", "pepper", "legacyHashes"].map((name): [string, object] => [
      `"${name}" is undefined; leave it out if it is not meant to be in force`,
      { [name]: undefined },
    ]),
  ])("%s", (message, wrong) => {
    expect(() => createVerifier({ ...good, ...wrong } as never)).toThrow(
      new TypeError(`createVerifier: ${message}`),
    );
  });

  test("an unknown option is told the known ones", () => {
    const known =
      "store, format, pepper, legacyHashes, rehash, exposeKeyState, rotationAge, scopes, environment, " +
      "trustedProxies, clientIpHeader, realm, clock, storeTimeoutMs, rateLimiter, observers, credential";
    const make = () => createVerifier({ ...good, peper: "x" } as never);
    expect(make).toThrow(TypeError);
    for (const name of known.split(", ")) expect(make).toThrow(name);
  });

  test("a time limit may be as long as a timer can wait", () => {
    expect(createVerifier({ ...good, storeTimeout: 2 ** 31 - 1 })).toBeDefined();
  });
});
