import { afterEach, describe, expect, it, vi } from "vitest";
import { VerificationContext } from "../../../src/core/verifier/context.js";
import { decisionOf } from "../../../src/core/verifier/decision.js";
import { compileRoute } from "../../../src/core/verifier/route.js";
import { createTokenCache } from "../../../src/jwt/token-cache.js";
import { allowed, bearer } from "../core/fixtures.js";
import { CLAIMS, claimsWith, encode, jwtService, NOW, otherEc, token } from "./fixtures.js";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Counts signature verifications. */
function verifications() {
  return vi.spyOn(crypto.subtle, "verify");
}

describe("the token cache", () => {
  it("verifies a signature once", async () => {
    const { send } = jwtService();
    const verify = verifications();
    const sent = token();
    for (let round = 0; round < 10; round++) expect((await send(sent)).ok).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it("shares the verification between concurrent requests", async () => {
    const { send } = jwtService({ cacheMax: 0 });
    const verify = verifications();
    const sent = token();
    const results = await Promise.all(Array.from({ length: 50 }, () => send(sent)));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
    expect(new Set(results.map((result) => allowed(result))).size).toBe(50);
    await send(sent);
    expect(verify).toHaveBeenCalledTimes(2);
  });

  it("evicts the least recently used token beyond cacheMax", async () => {
    const { send } = jwtService({ cacheMax: 2 });
    const [a, b, c] = ["a", "b", "c"].map((sub) => token(claimsWith({ sub }))) as [string, string, string];
    for (const sent of [a, b, a, c]) await send(sent);
    const verify = verifications();
    await send(a);
    await send(c);
    expect(verify).toHaveBeenCalledTimes(0);
    await send(b);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it("does not cache denied tokens", async () => {
    const { send } = jwtService();
    const verify = verifications();
    const forged = token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey });
    const expired = token(claimsWith({ exp: NOW }));
    for (const sent of [forged, forged, expired, expired]) expect((await send(sent)).ok).toBe(false);
    expect(verify).toHaveBeenCalledTimes(4);
  });

  it("distinguishes tokens by every byte, including the signature", async () => {
    const { send } = jwtService();
    const [one, twin] = [token(), token()]; // ECDSA signatures are randomized
    expect(one).not.toBe(twin);
    await send(one);
    const verify = verifications();
    expect((await send(twin)).ok).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
    const bytes = Buffer.from(one.split(".")[2] as string, "base64url");
    bytes[10] = (bytes[10] as number) ^ 1;
    expect((await send(`${one.slice(0, one.lastIndexOf(".") + 1)}${encode(bytes)}`)).ok).toBe(false);
  });

  it("evicts a token after ten minutes, whatever its exp", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { send } = jwtService();
    const sent = token(claimsWith({ exp: NOW + 86_400 }));
    await send(sent);
    const verify = verifications();
    vi.advanceTimersByTime(10 * 60_000 - 1);
    await send(sent);
    expect(verify).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(1);
    await send(sent);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it("evicts a token at its exp, even if the clock stands still", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { send } = jwtService();
    const sent = token(claimsWith({ exp: NOW + 60 }));
    await send(sent);
    const verify = verifications();
    vi.advanceTimersByTime(59_999);
    await send(sent);
    expect(verify).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(1);
    expect((await send(sent)).ok).toBe(true); // still valid by the clock of the verifier
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it("decides a cached token synchronously", async () => {
    const { verifier, send } = jwtService();
    const sent = token();
    const decide = () =>
      decisionOf(verifier)(new VerificationContext(bearer(sent), compileRoute("vehicles:read")));
    expect(allowed(await decide()).id).toBe("user-1");
    expect(decide()).toMatchObject({ ok: true });
    let done = false;
    void send(sent).then(() => {
      done = true;
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(done).toBe(true);
  });

  it("does not cache a failure", async () => {
    let calls = 0;
    const { send } = jwtService({
      principal: () => {
        if (++calls === 1) throw new Error("down");
        return {};
      },
    });
    const sent = token();
    await expect(send(sent)).rejects.toThrow();
    expect((await send(sent)).ok).toBe(true);
  });
});

describe("createTokenCache", () => {
  it("keeps no expired token, and none with a size of 0", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const cache = createTokenCache<object>(10);
    cache.set("a", {}, "acme", performance.now());
    cache.set("b", {}, "acme", Number.NaN);
    expect([cache.get("a"), cache.get("b")]).toEqual([undefined, undefined]);
    cache.set("c", {}, "acme", performance.now() + 30);
    vi.advanceTimersByTime(29);
    expect(cache.get("c")).toEqual({});
    vi.advanceTimersByTime(1);
    expect(cache.get("c")).toBeUndefined();
    const none = createTokenCache<object>(0);
    none.set("a", {}, "acme", performance.now() + 1_000);
    expect(none.get("a")).toBeUndefined();
  });
});

it("does not share the cache between verifiers", async () => {
  const sent = token();
  const [mine, other] = [jwtService(), jwtService({ key: otherEc.publicKey })];
  expect((await mine.send(sent)).ok).toBe(true);
  expect((await other.send(sent)).ok).toBe(false);
});
