import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { allowed, refused, thrownBy } from "../core/fixtures.js";
import {
  answering,
  CLAIMS,
  claimsWith,
  ec,
  type JwksServer,
  jwk,
  jwksServer,
  jwtService,
  NOW,
  otherEc,
  rsa,
  token,
} from "./fixtures.js";

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

/** Moves every clock but those of timers. */
function moving(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  return (ms) => void vi.advanceTimersByTime(ms);
}

describe("a JWKS behind a URL", () => {
  test("is fetched when it is needed, once", async () => {
    const { ask } = remote();
    expect(server.calls()).toBe(0);
    const sent = Array.from({ length: 10 }, (_, sub) => signed("a", ec.privateKey, { sub: `u${sub}` }));
    const results = await Promise.all(sent.map(ask));
    expect(results.map((result) => allowed(result).id)).toEqual(sent.map((_, sub) => `u${sub}`));
    expect((await ask(signed("a"))).ok).toBe(true);
    expect(server.calls()).toBe(1);
  });

  test("may be given as a URL object", async () => {
    expect((await jwtService({ jwks: new URL(server.url) }).ask(signed("a"))).ok).toBe(true);
  });

  test("is not asked for junk", async () => {
    const { ask } = remote();
    for (const junk of [
      "a.b.c",
      "x",
      `${signed("a")}.x`,
      token(CLAIMS, { alg: "none" }),
      token(CLAIMS, { alg: "RS256" }),
    ]) {
      expect(refused(await ask(junk)).status).toBe(401);
    }
    expect(server.calls()).toBe(0);
  });

  test("a new key is found, at most each 30 seconds", async () => {
    const pass = moving();
    const { ask } = remote();
    expect((await ask(signed("a"))).ok).toBe(true);
    server.respond = answering({
      keys: [jwk(otherEc.publicKey, { kid: "b" }), jwk(ec.publicKey, { kid: "a" })],
    });
    pass(29_000);
    for (const _ of [1, 2, 3]) expect(refused(await ask(signed("b", otherEc.privateKey))).status).toBe(401);
    expect(server.calls()).toBe(1);
    pass(1_001);
    expect((await ask(signed("b", otherEc.privateKey))).ok).toBe(true);
    expect(server.calls()).toBe(2);
    for (const _ of [1, 2, 3]) expect(refused(await ask(signed("c", otherEc.privateKey))).status).toBe(401);
    expect(server.calls()).toBe(2);
  });

  test("a key that is taken out is out within ten minutes, whatever was verified with it", async () => {
    const pass = moving();
    const { ask } = remote();
    const [early, late] = [signed("a"), signed("a", ec.privateKey, { jti: "2" })];
    expect((await ask(early)).ok).toBe(true);
    server.respond = answering({ keys: [jwk(otherEc.publicKey, { kid: "b" })] });
    pass(4 * 60_000);
    expect((await ask(late)).ok).toBe(true); // the set is young enough
    pass(60_001); // and now it is not
    expect((await ask(signed("a", ec.privateKey, { jti: "3" }))).ok).toBe(false);
    expect((await ask(late)).ok).toBe(true); // remembered
    pass(5 * 60_000);
    expect((await ask(early)).ok).toBe(false);
    expect((await ask(late)).ok).toBe(false);
  });

  test("tokens that were verified outlive it, those that were not do not", async () => {
    const pass = moving();
    const { ask } = remote();
    const sent = signed("a");
    await ask(sent);
    await server.close();
    pass(5 * 60_000 + 1);
    expect((await ask(sent)).ok).toBe(true);
    expect(await thrownBy(() => ask(signed("a")))).toBeInstanceOf(StoreError);
  });
});

describe("a JWKS that cannot be had is 503", () => {
  test("unreachable; and a failure rests a second", async () => {
    const { ask, events } = remote();
    const { url } = server;
    await server.close();
    const error = await thrownBy(() => ask(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain(url);
    expect(events[0]?.type).toBe("auth.failed");
  });

  test("and a failure counts for a second, then it is tried again", async () => {
    const pass = moving();
    server.respond = (_req, res) => void res.writeHead(500).end();
    const { ask } = remote();
    for (const _ of [1, 2, 3, 4, 5]) await expect(ask(signed("a"))).rejects.toThrow(StoreError);
    expect(server.calls()).toBe(1);
    server.respond = answering({ keys: [jwk(ec.publicKey, { kid: "a" })] });
    pass(1_000);
    expect((await ask(signed("a"))).ok).toBe(true);
    expect(server.calls()).toBe(2);
  });

  test.each<[string, (server: JwksServer) => void]>([
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
        s.respond = answering("<html>");
      },
    ],
    [
      "empty",
      (s) => {
        s.respond = answering("");
      },
    ],
    [
      "JSON that is no set",
      (s) => {
        s.respond = answering({ issuer: "x" });
      },
    ],
    [
      "keys that are no list",
      (s) => {
        s.respond = answering({ keys: {} });
      },
    ],
    [
      "keys that are no objects",
      (s) => {
        s.respond = answering({ keys: [1] });
      },
    ],
    [
      "a list",
      (s) => {
        s.respond = answering([]);
      },
    ],
    [
      "a key that cannot be read",
      (s) => {
        s.respond = answering({ keys: [{ kty: "EC", crv: "P-256", kid: "a", x: "AA", y: "AA" }] });
      },
    ],
    [
      "a private key",
      (s) => {
        s.respond = answering({
          keys: [jwk(ec.publicKey, { kid: "a", d: ec.privateKey.export({ format: "jwk" }).d })],
        });
      },
    ],
    [
      "more than a mebibyte, announced",
      (s) => {
        s.respond = answering(
          JSON.stringify({ keys: [jwk(ec.publicKey, { kid: "a" })], pad: "x".repeat(1024 * 1024) }),
        );
      },
    ],
    [
      "without an end",
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
      "cut off",
      (s) => {
        s.respond = (_req, res) => {
          res.writeHead(200, { "Content-Length": 1_000 });
          res.write("{");
          setImmediate(() => res.destroy());
        };
      },
    ],
  ])("%s", async (_, arrange) => {
    arrange(server);
    const { ask } = remote();
    const error = await thrownBy(() => ask(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toMatch(/evil|127\.0\.0\.1|html/);
    expect(server.calls()).toBe(1);
  });

  test("slow: after 5 seconds", async () => {
    server.respond = () => {};
    const { ask } = remote();
    const began = performance.now();
    const errors = await Promise.all([1, 2, 3].map(() => thrownBy(() => ask(signed("a")))));
    expect(errors.every((error) => error instanceof StoreError)).toBe(true);
    expect(performance.now() - began).toBeGreaterThan(4_900);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(server.calls()).toBe(1);
  });

  test("slow drop by drop: after 5 seconds", async () => {
    server.respond = (_req, res) => {
      const timer = setInterval(() => res.write(" "), 200);
      res.on("close", () => clearInterval(timer));
    };
    const { ask } = remote();
    const began = performance.now();
    await expect(ask(signed("a"))).rejects.toThrow(StoreError);
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});

describe("a mebibyte", () => {
  test("is room enough", async () => {
    server.respond = answering({ keys: [jwk(ec.publicKey, { kid: "a" })], pad: "x".repeat(1_000_000) });
    expect((await remote().ask(signed("a"))).ok).toBe(true);
  });
});

describe("keys of a set", () => {
  const set = (...keys: object[]) => jwtService({ jwks: { keys } as never });

  test("are chosen by kid", async () => {
    const { ask } = set(jwk(otherEc.publicKey, { kid: "b" }), jwk(ec.publicKey, { kid: "a" }));
    expect((await ask(signed("a"))).ok).toBe(true);
    expect((await ask(signed("b"))).ok).toBe(false);
    expect((await ask(signed("c"))).ok).toBe(false);
    expect((await ask(signed("b", otherEc.privateKey))).ok).toBe(true);
  });

  test("are tried one by one without kid, also beside one that is broken", async () => {
    const broken = { kty: "EC", crv: "P-256", x: "AA", y: "AA" };
    const { ask } = set(broken, jwk(otherEc.publicKey), jwk(rsa.publicKey), jwk(ec.publicKey));
    expect((await ask(signed(undefined))).ok).toBe(true);
    expect((await ask(signed(undefined, otherEc.privateKey))).ok).toBe(true);
    const { generateKeyPairSync } = await import("node:crypto");
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(refused(await ask(signed(undefined, stranger.privateKey))).status).toBe(401);
  });

  test("are tried eight at most", async () => {
    const { generateKeyPairSync } = await import("node:crypto");
    const strangers = Array.from({ length: 8 }, () =>
      jwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey),
    );
    const verify = vi.spyOn(crypto.subtle, "verify");
    expect(refused(await set(...strangers, jwk(ec.publicKey)).ask(signed(undefined))).status).toBe(401);
    expect(verify).toHaveBeenCalledTimes(8);
    expect((await set(...strangers.slice(1), jwk(ec.publicKey)).ask(signed(undefined))).ok).toBe(true);
  });

  test("for another use or another algorithm do not verify", async () => {
    for (const more of [{ use: "enc" }, { alg: "ES384" }, { key_ops: ["sign"] }]) {
      expect(refused(await set(jwk(ec.publicKey, more)).ask(signed(undefined))).status).toBe(401);
    }
  });

  test("of too few bits are the operator's to mend: 503", async () => {
    const { generateKeyPairSync } = await import("node:crypto");
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const { ask } = jwtService({ algorithms: ["RS256"], jwks: { keys: [jwk(weak.publicKey)] } as never });
    const sent = token(CLAIMS, { alg: "RS256" }, { alg: "RS256", key: weak.privateKey });
    expect(await thrownBy(() => ask(sent))).toBeInstanceOf(StoreError);
  });

  test("a set that is changed later is not", async () => {
    const keys = [jwk(otherEc.publicKey)];
    const { ask } = jwtService({ jwks: { keys } as never });
    keys.push(jwk(ec.publicKey));
    expect((await ask(signed(undefined))).ok).toBe(false);
  });
});

describe("a function for a set", () => {
  test("is asked with header and token", async () => {
    const getKey = vi.fn(async () => ec.publicKey);
    const { ask } = jwtService({ jwks: getKey as never });
    expect((await ask(signed("k"))).ok).toBe(true);
    expect(getKey).toHaveBeenCalledWith(
      { alg: "ES256", kid: "k" },
      expect.objectContaining({ signature: expect.any(String) }),
    );
  });

  test("is createRemoteJWKSet of jose too", async () => {
    const { createRemoteJWKSet } = await import("jose");
    const { ask } = jwtService({ jwks: createRemoteJWKSet(new URL(server.url)) });
    expect((await ask(signed("a"))).ok).toBe(true);
    expect((await ask(signed("b"))).ok).toBe(false);
  });

  test.each<[string, () => unknown]>([
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
    ["answers nothing", async () => undefined],
    ["answers a secret", async () => Buffer.alloc(32)],
    ["answers a private key", async () => ec.privateKey],
  ])("that %s: 503", async (_, getKey) => {
    const error = await thrownBy(() => jwtService({ jwks: getKey as never }).ask(signed("a")));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
  });
});

test("an expiry is judged whatever the set says", async () => {
  expect(refused(await remote().ask(signed("a", ec.privateKey, { exp: NOW }))).status).toBe(401);
});
