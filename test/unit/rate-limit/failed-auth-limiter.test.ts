import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  AuthError,
  type AuthRequest,
  createKeyManager,
  type KeyEvent,
  type KeyHash,
  type Verifier,
} from "../../../src/index.js";
import { type FailedAuthLimiterOptions, failedAuthLimiter } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  allowed,
  bearer,
  format,
  refused,
  scopes,
  service,
  stoppedClock,
  thrownBy,
} from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

async function guarded(options: FailedAuthLimiterOptions = {}) {
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
  /** A secret that is well-formed, and nobody's. */
  const guess = (remoteAddress?: string, via?: string) =>
    code(request(format.generate("live"), remoteAddress, via));
  const good = (remoteAddress?: string, via?: string) => code(request(secret, remoteAddress, via));
  return { clock, find, secret, verifier, code, guess, good };
}

function request(secret: string, remoteAddress?: string, via?: string): AuthRequest {
  return {
    headers: { authorization: `Bearer ${secret}`, ...(via && { "x-forwarded-for": via }) },
    remoteAddress,
  };
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const A = "203.0.113.7";
const B = "203.0.113.8";

describe("failedAuthLimiter", () => {
  test("after so many failures the address is refused, and no store is asked", async () => {
    const { guess, good, find, verifier, secret } = await guarded();
    for (let i = 0; i < 3; i++) {
      expect(await good(A)).toBe("ok");
      expect(await guess(A)).toBe("invalid_key");
    }
    find.mockClear();
    expect(await guess(A)).toBe("rate_limited");
    const error = refused(await verifier.verify(bearer(secret, { remoteAddress: A })));
    expect([error.status, error.headers]).toEqual([429, { "Retry-After": "60" }]);
    expect(find).not.toHaveBeenCalled();
    expect(await good(B)).toBe("ok");
  });

  test("until its window ends, which later attempts do not move", async () => {
    const { guess, good, clock } = await guarded({ window: "10m" });
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

  test("malformed credentials count; none at all, another environment and missing scopes do not", async () => {
    const { code, good, verifier, secret } = await guarded();
    const wrongPlace = service({ environment: "test" });
    const other = failedAuthLimiter(wrongPlace.verifier, { failures: 3 });
    for (let i = 0; i < 10; i++) {
      expect(await code({ headers: {}, remoteAddress: A })).toBe("missing_credential");
      expect(refused(await other.verify(bearer(secret, { remoteAddress: A }))).code).toBe(
        "wrong_environment",
      );
      const scoped = bearer(secret, { remoteAddress: A });
      expect(refused(await verifier.verify(scoped, "fleet:admin")).code).toBe("insufficient_scope");
    }
    expect(await good(A)).toBe("ok");
    for (let i = 0; i < 3; i++) {
      const malformed = { headers: { authorization: "Bearer" }, remoteAddress: A };
      expect(await code(malformed)).toBe("malformed_credential");
    }
    expect(await good(A)).toBe("rate_limited");
    expect(await code({ headers: {}, remoteAddress: A })).toBe("missing_credential");
  });

  test("IPv6 by /64, IPv4 by itself, mapped IPv4 as IPv4", async () => {
    const { guess, good } = await guarded();
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

  test("the client behind trusted proxies, as the verifier sees it; what a client forges changes nothing", async () => {
    const { guess, good } = await guarded({ trustedProxies: ["10.0.0.0/8"] });
    for (let i = 0; i < 3; i++) expect(await guess("10.0.0.1", `198.51.100.${i}, ${A}`)).toBe("invalid_key");
    expect(await good("10.0.0.2", A)).toBe("rate_limited");
    expect(await good(A)).toBe("rate_limited");
    expect(await good("10.0.0.1", B)).toBe("ok");
    expect(await good("10.0.0.1", `${A}, ${B}`)).toBe("ok");
    for (let i = 0; i < 3; i++) await guess(B, "198.51.100.1");
    expect(await good("10.0.0.1", B)).toBe("rate_limited");
    expect(await good("10.0.0.1", "198.51.100.1")).toBe("ok");
  });

  test("exempt networks are never refused", async () => {
    const { guess, good } = await guarded({ exempt: ["203.0.113.0/24", "2001:db8::/32"] });
    for (const address of [A, "2001:db8::1", `::ffff:${B}`]) {
      for (let i = 0; i < 10; i++) expect(await guess(address)).toBe("invalid_key");
      expect(await good(address)).toBe("ok");
    }
  });

  test("an address that is not known is not counted, and somebody is told", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { guess, good } = await guarded();
    for (const address of [undefined, "", "nonsense", "203.0.113.007"]) {
      for (let i = 0; i < 5; i++) expect(await guess(address)).toBe("invalid_key");
      expect(await good(address)).toBe("ok");
    }
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_GUESSING_ADDRESS" });
  });

  test("observers are told, without the key and the query", async () => {
    const events: KeyEvent[] = [];
    const { guess, verifier, secret } = await guarded({ observers: [(event) => events.push(event)] });
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

  test("a verifier that fails is no bad credential", async () => {
    const { verifier, find, good, secret } = await guarded();
    find.mockImplementation(() => {
      throw new Error("down");
    });
    const request = bearer(secret, { remoteAddress: A });
    for (let i = 0; i < 5; i++) expect(await thrownBy(() => verifier.verify(request))).toBeInstanceOf(Error);
    find.mockReset();
    find.mockImplementation(() => undefined as never);
    for (let i = 0; i < 3; i++) expect(await good(A)).toBe("invalid_key");
  });

  test("requirements are checked as before", async () => {
    const { verifier, secret } = await guarded();
    expect(() => verifier.assertRequirement("nothing" as never)).toThrow(TypeError);
    expect(await thrownBy(() => verifier.verify(bearer(secret), [] as never))).toBeInstanceOf(TypeError);
    expect(
      allowed(await verifier.verify(bearer(secret, { remoteAddress: A }), "vehicles:read")).ownerId,
    ).toBe("acme");
  });

  test("a million addresses take no more memory than so many as are kept", async () => {
    const error = new AuthError("invalid_key", "No.");
    const refusing: Verifier = { verify: async () => ({ ok: false, error }), assertRequirement: () => {} };
    const verifier = failedAuthLimiter(refusing, { max: 10_000, failures: 1 });
    const headers = { authorization: "Bearer nonsense" };
    const addresses = [
      (i: number) => `10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`,
      (i: number) => `2001:db8:${(i >>> 16).toString(16)}:${(i & 65_535).toString(16)}::1`,
    ];
    const flood = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        await verifier.verify({ headers, remoteAddress: (addresses[i % 2] as (typeof addresses)[0])(i) });
      }
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const full = await flood(0, 50_000);
    expect(await flood(50_000, 1_000_000)).toBeLessThan(full + 8e6);
    const again = await verifier.verify({ headers, remoteAddress: "10.15.66.62" }); // 999,998, which is kept
    expect(refused(again).code).toBe("rate_limited");
  }, 120_000);

  const WRONG: [string, object][] = [
    ['"failures"', { failures: 0 }],
    ['"failures"', { failures: 1.5 }],
    ['"window"', { window: "0s" }],
    ['"window"', { window: 60 }],
    ['"max"', { max: 1 }],
    ['"exempt"', { exempt: "10.0.0.0/8" }],
    ['"exempt": "10.0.0.1/8"', { exempt: ["10.0.0.1/8"] }],
    ['"observers"', { observers: [1] }],
    ['"clock"', { clock: 1 }],
    ['"trustedProxies[0]"', { trustedProxies: ["x"] }],
    ['"clientIpHeader" needs', { clientIpHeader: "cf-connecting-ip" }],
    ['unknown option "limit"', { limit: 1 }],
  ];
  test.each(WRONG)("refuses options: %s", (message, options) => {
    expect(() => failedAuthLimiter(service().verifier, options)).toThrow(message);
  });

  test("refuses what is no verifier", () => {
    expect(() => failedAuthLimiter({} as never)).toThrow('"verifier"');
  });
});
