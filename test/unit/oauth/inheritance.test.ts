import { expect, it } from "vitest";
import { createVerifier, StoreError, type VerifierOptions } from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { anyVerifier, COMMON_VERIFIER_OPTIONS } from "../../../src/kit.js";
import { createTokenService } from "../../../src/oauth/index.js";
import { createRateLimiter, failedAuthLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
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
import { AUDIENCE, ecKey, exchanger, ISSUER } from "./fixtures.js";

type Options = Partial<VerifierOptions<FleetScope>>;
const PROXY = "192.0.2.1";
const INSIDE = { ipAllowlist: ["10.0.0.0/8"] };

/** Creates a service wired as in docs/tokens.md, and a token of one of its keys. */
async function wired(options: Options, created: object = {}, from = "10.0.0.1") {
  const base = exchanger({}, options);
  const { secret, key } = await base.issue(created);
  const exchanged = await base.tokens.exchange({ request: bearer(secret, { remoteAddress: from }) });
  if (!exchanged.ok) throw exchanged.error;
  const auth = anyVerifier(base.verifier, base.tokens.verifier);
  const use = async (credential: string, headers: Record<string, string> = {}, remoteAddress = PROXY) => {
    const request = bearer(credential, { remoteAddress });
    const result = await auth.verify(
      {
        ...request,
        headersTruncated: false,
        headers: { ...request.headers, ...headers } as Record<string, string>,
      },
      "vehicles:write",
    );
    return result.ok ? "ok" : result.error.code;
  };
  return { ...base, auth, use, secret, key, token: exchanged.accessToken };
}

/** What the verifier of tokens enforces or observes because the verifier of API keys does, by option. */
const CASES: Record<(typeof COMMON_VERIFIER_OPTIONS)[number], () => Promise<void>> = {
  async trustedProxies() {
    const { use, secret, token } = await wired({ trustedProxies: [PROXY] }, INSIDE);
    for (const credential of [secret, token]) {
      expect(await use(credential, { "x-forwarded-for": "10.1.1.1" })).toBe("ok");
      expect(await use(credential, { "x-forwarded-for": "203.0.113.9" })).toBe("ip_not_allowed");
    }
  },
  async clientIpHeader() {
    const options = { trustedProxies: [PROXY], clientIpHeader: "cf-connecting-ip" };
    const { use, secret, token } = await wired(options, INSIDE);
    for (const credential of [secret, token]) {
      expect(await use(credential, { "cf-connecting-ip": "10.1.1.1" })).toBe("ok");
      expect(await use(credential, { "cf-connecting-ip": "203.0.113.9" })).toBe("ip_not_allowed");
    }
  },
  async missingForwardedHeader() {
    for (const [option, expected] of [
      ["unknown", "ip_not_allowed"],
      ["use-peer", "ok"],
    ] as const) {
      const options = { trustedProxies: ["192.0.2.0/25"], missingForwardedHeader: option };
      const { use, secret, token } = await wired(
        options,
        { ipAllowlist: [PROXY, "203.0.113.9"] },
        "203.0.113.9",
      );
      for (const credential of [secret, token]) expect(await use(credential)).toBe(expected);
    }
  },
  async rateLimiter() {
    const windows = [{ name: "key", per: "key", limit: 1_000_000, window: "24h" }] as const;
    const rateLimiter = createRateLimiter({ store: memoryLimits(), windows });
    const limited = { rateLimit: { limit: 3, windowSeconds: 86_400 } };
    const { use, secret, token } = await wired({ rateLimiter }, limited); // the exchange was the first use
    let writes = 0;
    for (let i = 0; i < 1_000; i++) if ((await use(token)) === "ok") writes++;
    expect([writes, await use(token), await use(secret)]).toEqual([2, "rate_limited", "rate_limited"]);
  },
  async observers() {
    const { use, token, key, events } = await wired({});
    events.length = 0;
    await use(token);
    expect(events).toMatchObject([{ type: "auth.allowed", keyId: key.id, audit: true, isKey: true }]);
    expect(events).toHaveLength(1);
  },
  async clock() {
    const { use, token, clock } = await wired({});
    expect(await use(token)).toBe("ok");
    clock.set(START.getTime() + 900_000);
    expect(await use(token)).toBe("invalid_key");
  },
  async storeTimeout() {
    const base = exchanger({}, { storeTimeout: "50ms" });
    const { secret } = await base.issue();
    let hangs = false;
    const store = {
      findById: (id: string) => (hangs ? new Promise<never>(() => {}) : base.store.findById(id)),
    };
    const { tokens } = exchanger({ verifier: base.verifier, store });
    const exchanged = await tokens.exchange({ request: bearer(secret) });
    if (!exchanged.ok) throw exchanged.error;
    hangs = true;
    const failure = thrownBy(() => tokens.verifier.verify(bearer(exchanged.accessToken)));
    expect(await Promise.race([failure, sleep(200)])).toBeInstanceOf(StoreError);
  },
  async realm() {
    const { auth } = await wired({ realm: "fleet" });
    const { headers } = errorOf(await auth.verify(bearer("a.b.c")));
    expect(headers["WWW-Authenticate"]).toContain('realm="fleet"');
  },

  async resource() {
    const { auth } = await wired({ resource: "https://api.example.com" });
    const { headers } = errorOf(await auth.verify(bearer("a.b.c")));
    expect(headers["WWW-Authenticate"]).toContain(
      'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"',
    );
  },
  async environment() {
    const signingKey = ecKey();
    const both = exchanger({ signingKey });
    const { secret } = await both.issue({ environment: "test" });
    const verifier = createVerifier({
      store: both.store,
      scopes,
      format,
      environment: "live",
      clock: both.clock.now,
    });
    const { tokens } = exchanger({ signingKey, verifier, store: both.store });
    const error = errorOf(await tokens.verifier.verify(bearer(await both.tokenOf(secret))));
    expect(error.code).toBe("wrong_environment");
  },
  async scopes() {
    const { tokens } = exchanger();
    expect(() => tokens.verifier.assertRequirement("unknown" as FleetScope)).toThrow(TypeError);
  },
  async credential() {
    const { tokens, issue, verifier } = exchanger({}, { credential: { header: "X-API-Key" } });
    const { secret } = await issue();
    const exchanged = await tokens.exchange({ request: { headers: { "x-api-key": secret } } });
    if (!exchanged.ok) throw exchanged.error;
    allowed(await tokens.verifier.verify(bearer(exchanged.accessToken))); // RFC 6750: a token is sent as Bearer
    expect(errorOf(await verifier.verify(bearer(secret))).code).toBe("missing_credential");
  },
};

it.each(COMMON_VERIFIER_OPTIONS)("inherits %s from the verifier of API keys", (option) => CASES[option]());

it("inherits failedAuthLimiter, with the same counters", async () => {
  const base = exchanger();
  const verifier = failedAuthLimiter(base.verifier, { failures: 3 });
  const { tokens } = exchanger({ verifier, store: base.store });
  const { secret } = await base.issue();
  const code = async (credential: string, remoteAddress: string) => {
    const result = await anyVerifier(verifier, tokens.verifier).verify(bearer(credential, { remoteAddress }));
    return result.ok ? "ok" : result.error.code;
  };
  const token = await base.tokenOf(secret);
  const known = await exchangeWith(tokens, secret);
  expect(await code(known, PROXY)).toBe("ok");
  expect(await code(token, PROXY)).toBe("invalid_key"); // signed by another service
  expect(await code(format.generate("live"), PROXY)).toBe("invalid_key");
  expect(await code("a.b.c", PROXY)).toBe("invalid_key");
  for (const credential of [known, secret]) expect(await code(credential, PROXY)).toBe("rate_limited");
  expect(await code(known, "192.0.2.2")).toBe("ok");
});

async function exchangeWith(
  { exchange }: ReturnType<typeof exchanger>["tokens"],
  secret: string,
): Promise<string> {
  const result = await exchange({ request: bearer(secret) });
  if (!result.ok) throw result.error;
  return result.accessToken;
}

it("rejects a verifier whose settings are unknown, and repeated options", () => {
  const { store, verifier } = service();
  const jwt = createJwtVerifier({
    ...{ issuer: ISSUER, audience: AUDIENCE, algorithms: ["HS256"], key: "k".repeat(32), scopes },
  });
  const options = {
    ...{ issuer: ISSUER, audience: AUDIENCE, signingKey: ecKey(), ttl: "15m" as const, store },
    revocations: "per-process" as const,
  };
  for (const wrong of [
    { ...verifier },
    anyVerifier(verifier),
    jwt,
    { verify() {}, assertRequirement() {} },
  ]) {
    expect(() => createTokenService({ ...options, verifier: wrong as typeof verifier })).toThrow(
      /^createTokenService: "verifier" must be the verifier of API keys/,
    );
  }
  for (const name of COMMON_VERIFIER_OPTIONS) {
    expect(() => createTokenService({ ...options, verifier, [name]: undefined })).toThrow(
      `unknown option "${name}"`,
    );
  }
});
