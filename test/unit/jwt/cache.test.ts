import { afterEach, describe, expect, test, vi } from "vitest";
import { createTokenCache } from "../../../src/jwt/token-cache.js";
import { allowed } from "../core/fixtures.js";
import { CLAIMS, claimsWith, encode, jwtService, NOW, otherEc, token } from "./fixtures.js";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Counts how often a signature is verified. */
function verifications() {
  return vi.spyOn(crypto.subtle, "verify");
}

describe("verified tokens", () => {
  test("are verified once", async () => {
    const { ask } = jwtService();
    const verify = verifications();
    const sent = token();
    for (let round = 0; round < 10; round++) expect((await ask(sent)).ok).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test("are verified once by requests that come together", async () => {
    const { ask } = jwtService({ cacheMax: 0 });
    const verify = verifications();
    const sent = token();
    const results = await Promise.all(Array.from({ length: 50 }, () => ask(sent)));
    expect(results.every(({ ok }) => ok)).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
    expect(new Set(results.map((result) => allowed(result))).size).toBe(50);
    await ask(sent);
    expect(verify).toHaveBeenCalledTimes(2);
  });

  test("are as many as cacheMax, the one unused for longest goes first", async () => {
    const { ask } = jwtService({ cacheMax: 2 });
    const [a, b, c] = ["a", "b", "c"].map((sub) => token(claimsWith({ sub }))) as [string, string, string];
    for (const sent of [a, b, a, c]) await ask(sent);
    const verify = verifications();
    await ask(a);
    await ask(c);
    expect(verify).toHaveBeenCalledTimes(0);
    await ask(b);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test("are nothing that was refused", async () => {
    const { ask } = jwtService();
    const verify = verifications();
    const forged = token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey });
    const expired = token(claimsWith({ exp: NOW }));
    for (const sent of [forged, forged, expired, expired]) expect((await ask(sent)).ok).toBe(false);
    expect(verify).toHaveBeenCalledTimes(4);
  });

  test("are told apart by every byte, signature included", async () => {
    const { ask } = jwtService();
    const [one, twin] = [token(), token()]; // ECDSA signs the same differently each time
    expect(one).not.toBe(twin);
    await ask(one);
    const verify = verifications();
    expect((await ask(twin)).ok).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
    const bytes = Buffer.from(one.split(".")[2] as string, "base64url");
    bytes[10] = (bytes[10] as number) ^ 1;
    expect((await ask(`${one.slice(0, one.lastIndexOf(".") + 1)}${encode(bytes)}`)).ok).toBe(false);
  });

  test("are forgotten after ten minutes, whatever their exp", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { ask } = jwtService();
    const sent = token(claimsWith({ exp: NOW + 86_400 }));
    await ask(sent);
    const verify = verifications();
    vi.advanceTimersByTime(10 * 60_000 - 1);
    await ask(sent);
    expect(verify).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(1);
    await ask(sent);
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test("are forgotten at their exp, also by a clock that stands still", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const { ask } = jwtService();
    const sent = token(claimsWith({ exp: NOW + 60 }));
    await ask(sent);
    const verify = verifications();
    vi.advanceTimersByTime(59_999);
    await ask(sent);
    expect(verify).toHaveBeenCalledTimes(0);
    vi.advanceTimersByTime(1);
    expect((await ask(sent)).ok).toBe(true); // by the verifier's own clock it still works
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test("answer without waiting for anything", async () => {
    const { ask } = jwtService();
    const sent = token();
    await ask(sent);
    let done = false;
    void ask(sent).then(() => {
      done = true;
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(done).toBe(true);
  });

  test("a failure is not remembered", async () => {
    let calls = 0;
    const { ask } = jwtService({
      principal: () => {
        if (++calls === 1) throw new Error("down");
        return {};
      },
    });
    const sent = token();
    await expect(ask(sent)).rejects.toThrow();
    expect((await ask(sent)).ok).toBe(true);
  });
});

describe("createTokenCache", () => {
  test("keeps nothing that is over, and nothing without room", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const cache = createTokenCache<object>(10);
    cache.remember("a", {}, performance.now());
    cache.remember("b", {}, Number.NaN);
    expect([cache.recall("a"), cache.recall("b")]).toEqual([undefined, undefined]);
    cache.remember("c", {}, performance.now() + 30);
    vi.advanceTimersByTime(29);
    expect(cache.recall("c")).toEqual({});
    vi.advanceTimersByTime(1);
    expect(cache.recall("c")).toBeUndefined();
    const none = createTokenCache<object>(0);
    none.remember("a", {}, performance.now() + 1_000);
    expect(none.recall("a")).toBeUndefined();
  });
});

test("one verifier's tokens are not another's", async () => {
  const sent = token();
  const [mine, other] = [jwtService(), jwtService({ key: otherEc.publicKey })];
  expect((await mine.ask(sent)).ok).toBe(true);
  expect((await other.ask(sent)).ok).toBe(false);
});
