import { afterEach, describe, expect, it, vi } from "vitest";
import { type AuthRequest, createKeyManager, type KeyEvent, type KeyHash } from "../../../src/index.js";
import { type FailedAuthLimiterOptions, failedAuthLimiter } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  allowed,
  bearer,
  errorOf,
  format,
  scopes,
  service,
  stoppedClock,
  thrownBy,
} from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

async function setUp(options: FailedAuthLimiterOptions = {}) {
  const clock = stoppedClock();
  const keys = memoryStore();
  const find = vi.fn((hash: KeyHash) => keys.findByHash(hash));
  const verifierOptions = {
    store: { findByHash: find },
    ...(options.trustedProxies && { trustedProxies: options.trustedProxies }),
  };
  const manager = createKeyManager({ store: keys, scopes, format });
  const { secret } = await manager.create({
    ownerId: "acme",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  const verifier = failedAuthLimiter(service(verifierOptions).verifier, {
    failures: 3,
    clock: clock.now,
    ...options,
  });
  const code = async (request: AuthRequest) => {
    const result = await verifier.verify(request);
    return result.ok ? "ok" : result.error.code;
  };
  /** Sends a well-formed secret of no key. */
  const guess = (remoteAddress?: string, via?: string) =>
    code(request(format.generate("live"), remoteAddress, via));
  const good = (remoteAddress?: string, via?: string) => code(request(secret, remoteAddress, via));
  return { clock, find, secret, verifier, code, guess, good };
}

function request(secret: string, remoteAddress?: string, via?: string): AuthRequest {
  return {
    headers: { authorization: `Bearer ${secret}`, ...(via && { "x-forwarded-for": via }) },
    headersTruncated: false,
    remoteAddress,
  };
}

const A = "203.0.113.7";
const B = "203.0.113.8";

describe("failedAuthLimiter", () => {
  it("denies an address after too many failures without a store call", async () => {
    const { guess, good, find, verifier, secret } = await setUp();
    for (let i = 0; i < 3; i++) {
      expect(await good(A)).toBe("ok");
      expect(await guess(A)).toBe("invalid_key");
    }
    find.mockClear();
    expect(await guess(A)).toBe("rate_limited");
    const error = errorOf(await verifier.verify(bearer(secret, { remoteAddress: A })));
    expect([error.status, error.headers]).toEqual([429, { "Retry-After": "60" }]);
    expect(find).not.toHaveBeenCalled();
    expect(await good(B)).toBe("ok");
  });

  it("allows the address again when the window ends, however many requests it sends", async () => {
    const { guess, good, clock } = await setUp({ window: "10m" });
    const begin = clock.now().getTime();
    for (let i = 0; i < 3; i++) await guess(A);
    for (let minute = 1; minute < 10; minute++) {
      clock.set(begin + minute * 60_000);
      expect(await guess(A)).toBe("rate_limited");
    }
    clock.set(begin + 600_000);
    expect(await good(A)).toBe("ok");
    for (let i = 0; i < 3; i++) expect(await guess(A)).toBe("invalid_key");
    expect(await good(A)).toBe("rate_limited");
  });

  it("counts malformed credentials, but no missing ones, wrong environments or missing scopes", async () => {
    const { code, good, verifier, secret } = await setUp();
    const testService = service({ environment: "test" });
    const other = failedAuthLimiter(testService.verifier, { failures: 3 });
    for (let i = 0; i < 10; i++) {
      expect(await code({ headers: {}, remoteAddress: A })).toBe("missing_credential");
      expect(errorOf(await other.verify(bearer(secret, { remoteAddress: A }))).code).toBe(
        "wrong_environment",
      );
      const scoped = bearer(secret, { remoteAddress: A });
      expect(errorOf(await verifier.verify(scoped, "fleet:admin")).code).toBe("insufficient_scope");
    }
    expect(await good(A)).toBe("ok");
    for (let i = 0; i < 3; i++) {
      const malformed = { headers: { authorization: "Bearer" }, remoteAddress: A };
      expect(await code(malformed)).toBe("malformed_credential");
    }
    expect(await good(A)).toBe("rate_limited");
    expect(await code({ headers: {}, remoteAddress: A })).toBe("missing_credential");
  });

  it("counts IPv6 per /64, IPv4 per address, and IPv4-mapped addresses as IPv4", async () => {
    const { guess, good } = await setUp();
    for (const address of ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:0db8:1:2:3:4:5:6"])
      await guess(address);
    expect(await good("2001:db8:1:2::abcd")).toBe("rate_limited");
    expect(await good("2001:db8:1:3::1")).toBe("ok");
    await guess(A);
    await guess(`::ffff:${A}`);
    await guess("::ffff:cb00:7107");
    expect(await good(A)).toBe("rate_limited");
    expect(await good(`::ffff:${A}`)).toBe("rate_limited");
    expect(await good(`::ffff:${B}`)).toBe("ok");
    expect(await good("::1")).toBe("ok");
    for (let i = 0; i < 3; i++) await guess("fe80::1%eth0");
    expect(await good("fe80::2")).toBe("rate_limited");
  });

  it("counts the client behind trusted proxies, and ignores forged headers", async () => {
    const { guess, good } = await setUp({ trustedProxies: ["10.0.0.0/8"] });
    for (let i = 0; i < 3; i++) expect(await guess("10.0.0.1", `198.51.100.${i}, ${A}`)).toBe("invalid_key");
    expect(await good("10.0.0.2", A)).toBe("rate_limited");
    expect(await good(A)).toBe("rate_limited");
    expect(await good("10.0.0.1", B)).toBe("ok");
    expect(await good("10.0.0.1", `${A}, ${B}`)).toBe("ok");
    for (let i = 0; i < 3; i++) await guess(B, "198.51.100.1");
    expect(await good("10.0.0.1", B)).toBe("rate_limited");
    expect(await good("10.0.0.1", "198.51.100.1")).toBe("ok");
  });

  it("never denies exempt networks", async () => {
    const { guess, good } = await setUp({ exempt: ["203.0.113.0/24", "2001:db8::/32"] });
    for (const address of [A, "2001:db8::1", `::ffff:${B}`]) {
      for (let i = 0; i < 10; i++) expect(await guess(address)).toBe("invalid_key");
      expect(await good(address)).toBe("ok");
    }
  });

  it("does not count unknown addresses, and warns once", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { guess, good } = await setUp();
    for (const address of [undefined, "", "nonsense", "203.0.113.007"]) {
      for (let i = 0; i < 5; i++) expect(await guess(address)).toBe("invalid_key");
      expect(await good(address)).toBe("ok");
    }
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_UNKNOWN_CLIENT_IP" });
  });

  it("emits auth.denied without the key and the query", async () => {
    const events: KeyEvent[] = [];
    const { guess, verifier, secret } = await setUp({ observers: [(event) => events.push(event)] });
    for (let i = 0; i < 3; i++) await guess(A);
    const request = bearer(secret, { remoteAddress: A, method: "GET", path: "/v?key=1", requestId: "r-1" });
    await verifier.verify(request, "vehicles:read");
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      type: "auth.denied",
      code: "rate_limited",
      reason: "rate_limited",
      clientIp: A,
      path: "/v",
      requestId: "r-1",
      requiredScopes: ["vehicles:read"],
    });
    expect(JSON.stringify(events)).not.toContain(secret);
  });

  it("does not count failures of the verifier", async () => {
    const { verifier, find, good, secret } = await setUp();
    find.mockImplementation(() => {
      throw new Error("down");
    });
    const request = bearer(secret, { remoteAddress: A });
    for (let i = 0; i < 5; i++) expect(await thrownBy(() => verifier.verify(request))).toBeInstanceOf(Error);
    find.mockReset();
    find.mockImplementation(() => undefined as never);
    for (let i = 0; i < 3; i++) expect(await good(A)).toBe("invalid_key");
  });

  it("checks requirements like the verifier", async () => {
    const { verifier, secret } = await setUp();
    expect(() => verifier.assertRequirement("nothing" as never)).toThrow(TypeError);
    expect(await thrownBy(() => verifier.verify(bearer(secret), [] as never))).toBeInstanceOf(TypeError);
    expect(
      allowed(await verifier.verify(bearer(secret, { remoteAddress: A }), "vehicles:read")).ownerId,
    ).toBe("acme");
  });

  const WRONG: [string, object][] = [
    ['"failures"', { failures: 0 }],
    ['"failures"', { failures: 1.5 }],
    ['"window"', { window: "0s" }],
    ['received the number 60, write "60s"', { window: 60 }],
    ['"window" must be whole seconds', { window: "1500ms" }],
    ['"max"', { max: 1 }],
    ['"exempt"', { exempt: "10.0.0.0/8" }],
    ['"exempt": "10.0.0.1/8"', { exempt: ["10.0.0.1/8"] }],
    ['"observers"', { observers: [1] }],
    ['"clock"', { clock: 1 }],
    ['"trustedProxies[0]"', { trustedProxies: ["x"] }],
    ['"clientIpHeader" requires', { clientIpHeader: "cf-connecting-ip" }],
    ['unknown option "limit"', { limit: 1 }],
  ];
  it.each(WRONG)("rejects an invalid option: %s", (message, options) => {
    expect(() => failedAuthLimiter(service().verifier, options)).toThrow(message);
  });

  it("rejects an invalid verifier", () => {
    expect(() => failedAuthLimiter({} as never)).toThrow('"verifier"');
  });
});
