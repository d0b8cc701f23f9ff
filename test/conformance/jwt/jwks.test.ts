import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { allowed, errorOf, thrownBy } from "../../unit/core/fixtures.js";
import {
  CLAIMS,
  claimsWith,
  ec,
  type JwksServer,
  jwk,
  jwksServer,
  jwtService,
  NOW,
  otherEc,
  respondWith,
  rsa,
  token,
} from "../../unit/jwt/fixtures.js";

let server: JwksServer;
beforeEach(async () => {
  server = await jwksServer(jwk(ec.publicKey, { kid: "a" }));
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await server.close();
});

const signed = (kid: string | undefined, key = ec.privateKey, more: object = {}) =>
  token(claimsWith(more), { alg: "ES256", ...(kid !== undefined && { kid }) }, { key });
const remote = (more: object = {}) => jwtService({ jwks: server.url, ...more });

/** Replaces the clocks, but not the timers, and returns a function that advances them. */
function useFakeClock(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  return (ms) => void vi.advanceTimersByTime(ms);
}

describe("a JWKS from a URL", () => {
  it("is fetched lazily and once", async () => {
    const { send } = remote();
    expect(server.calls()).toBe(0);
    const sent = Array.from({ length: 10 }, (_, sub) => signed("a", ec.privateKey, { sub: `u${sub}` }));
    const results = await Promise.all(sent.map(send));
    expect(results.map((result) => allowed(result).id)).toEqual(sent.map((_, sub) => `u${sub}`));
    expect((await send(signed("a"))).ok).toBe(true);
    expect(server.calls()).toBe(1);
  });

  it("accepts a URL object", async () => {
    expect((await jwtService({ jwks: new URL(server.url) }).send(signed("a"))).ok).toBe(true);
  });

  it("is not fetched for malformed tokens", async () => {
    const { send } = remote();
    for (const junk of [
      "a.b.c",
      "x",
      `${signed("a")}.x`,
      token(CLAIMS, { alg: "none" }),
      token(CLAIMS, { alg: "RS256" }),
    ]) {
      expect(errorOf(await send(junk)).status).toBe(401);
    }
    expect(server.calls()).toBe(0);
  });

  it("is fetched again for an unknown key, at most every 30 seconds", async () => {
    const advance = useFakeClock();
    const { send } = remote();
    expect((await send(signed("a"))).ok).toBe(true);
    server.respond = respondWith({
      keys: [jwk(otherEc.publicKey, { kid: "b" }), jwk(ec.publicKey, { kid: "a" })],
    });
    advance(29_000);
    for (const _ of [1, 2, 3]) expect(errorOf(await send(signed("b", otherEc.privateKey))).status).toBe(401);
    expect(server.calls()).toBe(1);
    advance(1_001);
    expect((await send(signed("b", otherEc.privateKey))).ok).toBe(true);
    expect(server.calls()).toBe(2);
    for (const _ of [1, 2, 3]) expect(errorOf(await send(signed("c", otherEc.privateKey))).status).toBe(401);
    expect(server.calls()).toBe(2);
  });

  it("stops accepting a removed key within ten minutes, even for cached tokens", async () => {
    const advance = useFakeClock();
    const { send } = remote();
    const [early, late] = [signed("a"), signed("a", ec.privateKey, { jti: "2" })];
    expect((await send(early)).ok).toBe(true);
    server.respond = respondWith({ keys: [jwk(otherEc.publicKey, { kid: "b" })] });
    advance(4 * 60_000);
    expect((await send(late)).ok).toBe(true); // the cached set is still fresh
    advance(60_001); // and now it is stale
    expect((await send(signed("a", ec.privateKey, { jti: "3" }))).ok).toBe(false);
    expect((await send(late)).ok).toBe(true); // cached
    advance(5 * 60_000);
    expect((await send(early)).ok).toBe(false);
    expect((await send(late)).ok).toBe(false);
  });

  it("allows cached tokens while the server is down, but no others", async () => {
    const advance = useFakeClock();
    const { send } = remote();
    const sent = signed("a");
    await send(sent);
    await server.close();
    advance(5 * 60_000 + 1);
    expect((await send(sent)).ok).toBe(true);
    expect(await thrownBy(() => send(signed("a")))).toBeInstanceOf(StoreError);
  });
});

describe("a JWKS that cannot be fetched", () => {
  it("rejects with a StoreError without the URL if the server is unreachable", async () => {
    const { send, events } = remote();
    const { url } = server;
    await server.close();
    const error = await thrownBy(() => send(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain(url);
    expect(events[0]?.type).toBe("auth.failed");
  });

  it("retries a failed fetch after a second", async () => {
    const advance = useFakeClock();
    server.respond = (_req, res) => void res.writeHead(500).end();
    const { send } = remote();
    for (const _ of [1, 2, 3, 4, 5]) await expect(send(signed("a"))).rejects.toThrow(StoreError);
    expect(server.calls()).toBe(1);
    server.respond = respondWith({ keys: [jwk(ec.publicKey, { kid: "a" })] });
    advance(1_000);
    expect((await send(signed("a"))).ok).toBe(true);
    expect(server.calls()).toBe(2);
  });

  it.each<[string, (server: JwksServer) => void]>([
    [
      "404",
      (s) => {
        s.respond = (_req, res) => void res.writeHead(404).end("{}");
      },
    ],
    [
      "204",
      (s) => {
        s.respond = (_req, res) => void res.writeHead(204).end();
      },
    ],
    [
      "a redirect to itself",
      (s) => {
        s.respond = (_req, res) => void res.writeHead(302, { Location: "/jwks.json" }).end();
      },
    ],
    [
      "a redirect with a body",
      (s) => {
        s.respond = (_req, res) =>
          void res.writeHead(301, { Location: "https://evil.example" }).end('{"keys":[]}');
      },
    ],
    [
      "not JSON",
      (s) => {
        s.respond = respondWith("<html>");
      },
    ],
    [
      "empty",
      (s) => {
        s.respond = respondWith("");
      },
    ],
    [
      "JSON without keys",
      (s) => {
        s.respond = respondWith({ issuer: "x" });
      },
    ],
    [
      "keys that are not an array",
      (s) => {
        s.respond = respondWith({ keys: {} });
      },
    ],
    [
      "keys that are not objects",
      (s) => {
        s.respond = respondWith({ keys: [1] });
      },
    ],
    [
      "an array",
      (s) => {
        s.respond = respondWith([]);
      },
    ],
    [
      "an unreadable key",
      (s) => {
        s.respond = respondWith({ keys: [{ kty: "EC", crv: "P-256", kid: "a", x: "AA", y: "AA" }] });
      },
    ],
    [
      "a private key",
      (s) => {
        s.respond = respondWith({
          keys: [jwk(ec.publicKey, { kid: "a", d: ec.privateKey.export({ format: "jwk" }).d })],
        });
      },
    ],
    [
      "a body of more than 1 MiB",
      (s) => {
        s.respond = respondWith(
          JSON.stringify({ keys: [jwk(ec.publicKey, { kid: "a" })], pad: "x".repeat(1024 * 1024) }),
        );
      },
    ],
    [
      "an endless body",
      (s) => {
        s.respond = (_req, res) => {
          res.write('{"keys":[],"pad":"');
          const more = () => {
            while (res.write("x".repeat(65_536)));
          };
          res.on("drain", more);
          more();
        };
      },
    ],
    [
      "a truncated body",
      (s) => {
        s.respond = (_req, res) => {
          res.writeHead(200, { "Content-Length": 1_000 });
          res.write("{");
          setImmediate(() => res.destroy());
        };
      },
    ],
  ])("rejects %s with a StoreError", async (_, arrange) => {
    arrange(server);
    const { send } = remote();
    const error = await thrownBy(() => send(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toMatch(/evil|127\.0\.0\.1|html/);
    expect(server.calls()).toBe(1);
  });

  it("times out after 5 seconds without a response", async () => {
    server.respond = () => {};
    const { send } = remote();
    const began = performance.now();
    const errors = await Promise.all([1, 2, 3].map(() => thrownBy(() => send(signed("a")))));
    expect(errors.every((error) => error instanceof StoreError)).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(4_900);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(server.calls()).toBe(1);
  });

  it("times out after 5 seconds while the body is slow", async () => {
    server.respond = (_req, res) => {
      const timer = setInterval(() => res.write(" "), 200);
      res.on("close", () => clearInterval(timer));
    };
    const { send } = remote();
    const began = performance.now();
    await expect(send(signed("a"))).rejects.toThrow(StoreError);
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});

describe("a JWKS of less than 1 MiB", () => {
  it("is accepted", async () => {
    server.respond = respondWith({ keys: [jwk(ec.publicKey, { kid: "a" })], pad: "x".repeat(1_000_000) });
    expect((await remote().send(signed("a"))).ok).toBe(true);
  });
});

describe("the keys of a JWKS", () => {
  const set = (...keys: object[]) => jwtService({ jwks: { keys } as never });

  it("are selected by kid", async () => {
    const { send } = set(jwk(otherEc.publicKey, { kid: "b" }), jwk(ec.publicKey, { kid: "a" }));
    expect((await send(signed("a"))).ok).toBe(true);
    expect((await send(signed("b"))).ok).toBe(false);
    expect((await send(signed("c"))).ok).toBe(false);
    expect((await send(signed("b", otherEc.privateKey))).ok).toBe(true);
  });

  it("are all tried without kid, also if one is broken", async () => {
    const broken = { kty: "EC", crv: "P-256", x: "AA", y: "AA" };
    const { send } = set(broken, jwk(otherEc.publicKey), jwk(rsa.publicKey), jwk(ec.publicKey));
    expect((await send(signed(undefined))).ok).toBe(true);
    expect((await send(signed(undefined, otherEc.privateKey))).ok).toBe(true);
    const { generateKeyPairSync } = await import("node:crypto");
    const unknown = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(errorOf(await send(signed(undefined, unknown.privateKey))).status).toBe(401);
  });

  it("are tried up to a maximum of eight", async () => {
    const { generateKeyPairSync } = await import("node:crypto");
    const otherKeys = Array.from({ length: 8 }, () =>
      jwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey),
    );
    const verify = vi.spyOn(crypto.subtle, "verify");
    expect(errorOf(await set(...otherKeys, jwk(ec.publicKey)).send(signed(undefined))).status).toBe(401);
    expect(verify).toHaveBeenCalledTimes(8);
    expect((await set(...otherKeys.slice(1), jwk(ec.publicKey)).send(signed(undefined))).ok).toBe(true);
  });

  it("are ignored if they have another use or algorithm", async () => {
    for (const more of [{ use: "enc" }, { alg: "ES384" }, { key_ops: ["sign"] }]) {
      expect(errorOf(await set(jwk(ec.publicKey, more)).send(signed(undefined))).status).toBe(401);
    }
  });

  it("are copied from the option", async () => {
    const keys = [jwk(otherEc.publicKey)];
    const { send } = jwtService({ jwks: { keys } as never });
    keys.push(jwk(ec.publicKey));
    expect((await send(signed(undefined))).ok).toBe(false);
  });
});

describe("a function as jwks", () => {
  it("is called with the header and the token", async () => {
    const getKey = vi.fn(async () => ec.publicKey);
    const { send } = jwtService({ jwks: getKey as never });
    expect((await send(signed("k"))).ok).toBe(true);
    expect(getKey).toHaveBeenCalledWith(
      { alg: "ES256", kid: "k" },
      expect.objectContaining({ signature: expect.any(String) }),
    );
  });

  it("can be createRemoteJWKSet of jose", async () => {
    const { createRemoteJWKSet } = await import("jose");
    const { send } = jwtService({ jwks: createRemoteJWKSet(new URL(server.url)) });
    expect((await send(signed("a"))).ok).toBe(true);
    expect((await send(signed("b"))).ok).toBe(false);
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
    ["returns nothing", async () => undefined],
    ["returns a secret", async () => Buffer.alloc(32)],
    ["returns a private key", async () => ec.privateKey],
  ])("causes a StoreError if it %s", async (_, getKey) => {
    const error = await thrownBy(() => jwtService({ jwks: getKey as never }).send(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
  });
});

it("denies an expired token of a valid key", async () => {
  expect(errorOf(await remote().send(signed("a", ec.privateKey, { exp: NOW }))).status).toBe(401);
});
