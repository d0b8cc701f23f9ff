import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { createTokenService, type RevocationList } from "../../../src/oauth/index.js";
import {
  MAX_REVOCATIONS,
  MAX_REVOCATIONS_OF_KEY,
  type MemoryRevocationOptions,
  memoryRevocationList,
} from "../../../src/oauth/revocation-list.js";
import { allowed, bearer, errorOf, format, START, thrownBy } from "../core/fixtures.js";
import { ACCESS_TOKEN, AUDIENCE, EXCHANGE, ecKey, exchanger, ISSUER, post, type Sent } from "./fixtures.js";

const INACTIVE = '{"active":false}';
const iat = START.getTime() / 1_000;

/** Returns forged and malformed variants of a token. */
async function forgeries(base: ReturnType<typeof exchanger>, token: string, keyId: string) {
  const [header = "", payload = "", signature = ""] = token.split(".");
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const read = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  const claims = { ...read(payload), owner_id: "acme", sub: keyId };
  const evil = await new SignJWT(claims).setProtectedHeader(read(header)).sign(ecKey());
  return {
    "other claims": `${header}.${encode({ ...claims, exp: claims.exp + 900 })}.${signature}`,
    "no signature": `${header}.${payload}.`,
    "alg none": `${encode({ alg: "none", typ: "at+jwt" })}.${payload}.`,
    "a foreign signature": evil,
    "another kid": `${encode({ ...read(header), kid: "other" })}.${payload}.${signature}`,
    "a key in the header": `${encode({ ...read(header), jwk: base.tokens.jwks().keys[0] })}.${payload}.${signature}`,
    "too long": `${token}${"A".repeat(8_192)}`,
    "two parts": `${header}.${payload}`,
    "something else": "hello",
    "a line break": `${token}\r\n`,
    "a second token": `${token} ${token}`,
    "a comma": `${token},Bearer ${token}`,
    UTF8: "tökén",
  };
}

describe("introspection (RFC 7662)", () => {
  it("shows a key the tokens of its owner", async () => {
    const { tokens, issue, tokenOf } = exchanger();
    const [one, two] = [await issue(), await issue({ scopes: ["drivers:read"] })];
    const token = await tokenOf(one.secret, "vehicles:read");
    for (const caller of [one, two]) {
      const ways: Sent[] = [
        { bearer: caller.secret, form: { token } },
        { basic: [caller.key.id, caller.secret], form: { token, token_type_hint: "access_token" } },
        { form: { token, client_id: caller.key.id, client_secret: caller.secret } },
      ];
      for (const sent of ways) {
        const { status, headers, body } = await post(tokens, "/introspect", sent);
        const { jti, ...rest } = body;
        expect([status, typeof jti, rest]).toEqual([
          200,
          "string",
          {
            active: true,
            scope: "vehicles:read",
            client_id: one.key.id,
            token_type: "Bearer",
            exp: iat + 900,
            iat,
            sub: one.key.id,
            aud: AUDIENCE,
            iss: ISSUER,
            owner_id: "acme",
            environment: "live",
          },
        ]);
        expect([headers.get("cache-control"), headers.get("pragma")]).toEqual(["no-store", "no-cache"]);
      }
    }
  });

  it("hides tokens from other owners, unless they meet the requirement", async () => {
    for (const introspect of ["fleet:admin", { anyOf: ["drivers:read", "fleet:admin"] }] as const) {
      const { tokens, issue, tokenOf } = exchanger({ introspect });
      const token = await tokenOf((await issue()).secret);
      const textFor = async (more: Parameters<typeof issue>[0]) =>
        (await post(tokens, "/introspect", { bearer: (await issue(more)).secret, form: { token } })).text;
      expect(await textFor({ ownerId: "other", scopes: ["vehicles:write"] })).toBe(INACTIVE);
      expect(await textFor({ ownerId: "ACME", scopes: ["vehicles:write"] })).toBe(INACTIVE);
      expect(await textFor({ ownerId: "acme", environment: "test" })).toBe(INACTIVE);
      expect(JSON.parse(await textFor({ ownerId: "other", scopes: ["fleet:admin"] }))).toMatchObject({
        active: true,
      });
    }
    const { tokens, issue, tokenOf } = exchanger();
    const token = await tokenOf((await issue()).secret);
    const admin = await issue({ ownerId: "other", scopes: ["fleet:admin"] });
    expect((await post(tokens, "/introspect", { bearer: admin.secret, form: { token } })).text).toBe(
      INACTIVE,
    );
  });

  it("returns the same inactive response for forged, expired and malformed tokens", async () => {
    const base = exchanger({ introspect: "fleet:admin" });
    const { secret, key } = await base.issue({ scopes: ["fleet:admin"] });
    const token = await base.tokenOf(secret);
    const textOf = async (text: string) => {
      const { status, text: body } = await post(base.tokens, "/introspect", {
        bearer: secret,
        form: { token: text },
      });
      return `${status} ${body}`;
    };
    for (const forged of [
      ...Object.values(await forgeries(base, token, key.id)),
      secret,
      ` ${token}`,
      `${token} `,
      " ",
      ".",
    ]) {
      expect(await textOf(forged)).toBe(`200 ${INACTIVE}`);
    }
    expect(await textOf(token)).toContain('"active":true');
    const foreign = exchanger();
    expect(await textOf(await foreign.tokenOf((await foreign.issue()).secret))).toBe(`200 ${INACTIVE}`);
    base.clock.set(START.getTime() + 900_000);
    expect(await textOf(token)).toBe(`200 ${INACTIVE}`);
  });

  it("reports the tokens of a revoked or changed key as inactive at once", async () => {
    for (const change of ["revoke", "disable", "rename", "rotate"] as const) {
      const base = exchanger({ keyTtl: "1m" });
      const [caller, { secret, key }] = [await base.issue(), await base.issue()];
      const token = await base.tokenOf(secret);
      const introspect = async () =>
        (await post(base.tokens, "/introspect", { bearer: caller.secret, form: { token } })).text;
      expect(await introspect()).toContain('"active":true');
      if (change === "rename") await base.manager.update(key.id, { name: "other" });
      else if (change === "rotate") await base.manager.rotate(key.id, { overlap: "24h" });
      else await base.manager[change](key.id);
      expect(await introspect()).toBe(INACTIVE);
    }
  });

  it("ignores the allowlist and the rate limit of the token's key", async () => {
    const base = exchanger();
    const { secret } = await base.issue({
      ipAllowlist: ["192.0.2.1"],
      rateLimit: { limit: 1, windowSeconds: 1 },
    });
    const { body } = await post(base.tokens, "/token", {
      bearer: secret,
      form: { grant_type: "client_credentials" },
      remoteAddress: "192.0.2.1",
    });
    const caller = await base.issue();
    base.events.length = 0;
    const sent = {
      bearer: caller.secret,
      form: { token: String(body.access_token) },
      remoteAddress: "203.0.113.9",
    };
    expect((await post(base.tokens, "/introspect", sent)).body.active).toBe(true);
    expect(base.events.map(({ keyId }) => keyId)).toEqual([caller.key.id]);
  });

  it("requires an API key from the caller; a token is not enough", async () => {
    const { tokens, issue, tokenOf } = exchanger();
    const { secret } = await issue();
    const token = await tokenOf(secret);
    for (const path of ["/introspect", "/revoke"]) {
      expect((await post(tokens, path, { form: { token } })).status).toBe(401);
      expect((await post(tokens, path, { bearer: token, form: { token } })).status).toBe(401);
      expect((await post(tokens, path, { bearer: `${secret}x`, form: { token } })).status).toBe(401);
      const subject = { token, subject_token: secret, subject_token_type: ACCESS_TOKEN };
      expect((await post(tokens, path, { form: subject })).status).toBe(401);
      for (const form of ["", "token=", `token=${token}&token=${token}`]) {
        const { status, body } = await post(tokens, path, { bearer: secret, form });
        expect([status, body.error]).toEqual([400, "invalid_request"]);
      }
    }
    allowed(await tokens.verifier.verify(bearer(token)));
  });
});

describe("revocation (RFC 7009)", () => {
  const revoke = ({ tokens }: ReturnType<typeof exchanger>, bearer: string, token: string) =>
    post(tokens, "/revoke", { bearer, form: { token } });

  it("takes effect at once, also for cached tokens, and for no other token", async () => {
    const base = exchanger();
    const { secret } = await base.issue();
    const [token, other] = [await base.tokenOf(secret), await base.tokenOf(secret)];
    allowed(await base.tokens.verifier.verify(bearer(token)));
    const { status, headers } = await revoke(base, secret, token);
    expect([status, headers.get("cache-control")]).toEqual([200, "no-store"]);
    expect(errorOf(await base.tokens.verifier.verify(bearer(token))).code).toBe("invalid_key");
    expect((await post(base.tokens, "/introspect", { bearer: secret, form: { token } })).text).toBe(INACTIVE);
    allowed(await base.tokens.verifier.verify(bearer(other)));
    expect((await revoke(base, secret, token)).status).toBe(200);
    allowed(await base.verifier.verify(bearer(secret)));
  });

  it("lasts until the token expires, also if the signing key is rotated", async () => {
    const base = exchanger();
    const { secret } = await base.issue();
    const token = await base.tokenOf(secret);
    await revoke(base, secret, token);
    base.tokens.rotateSigningKey(ecKey());
    base.clock.set(START.getTime() + 899_999);
    errorOf(await base.tokens.verifier.verify(bearer(token)));
  });

  it("responds with 200 to expired, forged and unknown tokens", async () => {
    const base = exchanger();
    const { secret, key } = await base.issue();
    const token = await base.tokenOf(secret);
    for (const [name, forged] of Object.entries(await forgeries(base, token, key.id))) {
      const { status, text } = await revoke(base, secret, forged);
      expect([name, status, text]).toEqual([name, 200, "{}"]);
    }
    allowed(await base.tokens.verifier.verify(bearer(token)));
    base.clock.set(START.getTime() + 900_000);
    expect((await revoke(base, secret, token)).status).toBe(200);
  });

  it("rejects an API key, so that the client does not believe it is revoked", async () => {
    const base = exchanger();
    const { secret } = await base.issue();
    const others = [(await base.issue()).secret, format.generate("test")];
    for (const token of [secret, ...others]) {
      const { status, body } = await revoke(base, secret, token);
      expect([status, body.error]).toEqual([400, "unsupported_token_type"]);
    }
    allowed(await base.verifier.verify(bearer(secret)));
  });

  it("revokes a token for the client that requested it for another key", async () => {
    const base = exchanger();
    const [client, subject] = [await base.issue(), await base.issue({ ownerId: "other" })];
    const exchange = { grant_type: EXCHANGE, subject_token_type: ACCESS_TOKEN };
    const form = { ...exchange, subject_token: subject.secret };
    for (const revoker of [client, subject]) {
      const { body } = await post(base.tokens, "/token", { bearer: client.secret, form });
      const token = String(body.access_token);
      expect((await revoke(base, (await base.issue()).secret, token)).body.error).toBe("unauthorized_client");
      allowed(await base.tokens.verifier.verify(bearer(token)));
      expect((await revoke(base, revoker.secret, token)).status).toBe(200);
      errorOf(await base.tokens.verifier.verify(bearer(token)));
    }
  });

  it("responds with 200 to an unknown opaque token (RFC 7009, 2.2)", async () => {
    const base = exchanger();
    const { secret } = await base.issue();
    const almost = `${secret}0`;
    for (const token of [almost, "hello", "a.b", "a.b.c.d.e", "a..c", " ", "x".repeat(60_000), "tökén"]) {
      const { status, text } = await revoke(base, secret, token);
      expect([status, text]).toEqual([200, "{}"]);
    }
  });

  it("rejects the token of another key, also of the same owner and after a rotation", async () => {
    const base = exchanger();
    const { secret, key } = await base.issue();
    const token = await base.tokenOf(secret);
    const sibling = await base.issue();
    const stranger = await base.issue({ ownerId: "other", scopes: ["fleet:admin"] });
    for (const other of [sibling, stranger]) {
      const { status, body } = await revoke(base, other.secret, token);
      expect([status, body.error]).toEqual([400, "unauthorized_client"]);
    }
    allowed(await base.tokens.verifier.verify(bearer(token)));
    const successor = await base.manager.rotate(key.id, { overlap: "24h" });
    expect((await revoke(base, successor.secret, token)).status).toBe(400);
  });

  const broken: Record<string, Partial<RevocationList>> = {
    "add throws": {
      add: () => {
        throw new Error("hunter2");
      },
    },
    "add rejects": { add: () => Promise.reject(new Error("hunter2")) },
    "add hangs": { add: () => new Promise(() => {}) },
  };
  it.each(Object.keys(broken))("responds with 503 if %s", async (name) => {
    const revocations = { add: () => {}, has: () => false, ...broken[name] };
    const base = exchanger({ revocations, onError: () => {} }, { storeTimeout: "50ms" });
    const { secret } = await base.issue();
    const { status, body, text } = await revoke(base, secret, await base.tokenOf(secret));
    expect([status, body.error]).toEqual([503, "temporarily_unavailable"]);
    expect(text).not.toContain("hunter2");
  });

  it.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("hunter2"))],
    ["returns 0", () => 0],
    ["returns nothing", () => undefined],
    ["hangs", () => new Promise(() => {})],
  ])("fails closed if has() of the list %s", async (_, has) => {
    const revocations = { add: () => {}, has: has as RevocationList["has"] };
    const base = exchanger({ revocations, onError: () => {} }, { storeTimeout: "50ms" });
    const { secret } = await base.issue();
    const token = await base.tokenOf(secret);
    expect(await thrownBy(() => base.tokens.verifier.verify(bearer(token)))).toBeInstanceOf(StoreError);
    expect((await post(base.tokens, "/introspect", { bearer: secret, form: { token } })).status).toBe(503);
  });

  it("warns of a list in memory, unless the option says so", () => {
    const emit = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    onTestFinished(() => emit.mockRestore());
    const { verifier, store } = exchanger();
    const options = {
      issuer: "a",
      audience: "b",
      signingKey: ecKey(),
      ttl: "15m",
      verifier,
      store,
    } as const;
    createTokenService({ ...options, revocations: "per-process" });
    createTokenService({ ...options, revocations: { add: () => {}, has: () => false } });
    expect(emit).not.toHaveBeenCalled();
    createTokenService(options);
    expect(emit).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("other processes accept"), {
      type: "KeybearerWarning",
      code: "KEYBEARER_LOCAL_REVOCATIONS",
    });
  });

  it("is shared by several processes through their list", async () => {
    const shared = new Map<string, Date>();
    const revocations: RevocationList = {
      add: async (jti, until) => shared.set(jti, until),
      has: async (jti) => shared.has(jti),
    };
    const signingKey = ecKey();
    const one = exchanger({ revocations, signingKey });
    const two = exchanger({ revocations, signingKey, verifier: one.verifier, store: one.store });
    const { secret } = await one.issue();
    const token = await one.tokenOf(secret);
    allowed(await two.tokens.verifier.verify(bearer(token)));
    await revoke(one, secret, token);
    errorOf(await two.tokens.verifier.verify(bearer(token)));
    expect([...shared.values()]).toEqual([new Date(START.getTime() + 900_000)]);
  });

  describe("the list in memory", () => {
    let time = 0; // the clock of the service, which can be set
    const at = (ms: number) => new Date(ms);

    beforeEach(() => {
      time = 0;
      vi.useFakeTimers({ toFake: ["performance"] });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    /** Creates a list; by default, each token belongs to a key of its own. */
    const listOf = (options: MemoryRevocationOptions) => {
      const list = memoryRevocationList(() => time, 900_000, options);
      const tokenOf = (jti: string, keyId = jti, ownerId = "acme", issuedAt = Math.floor(time / 1_000)) => ({
        keyId,
        ownerId,
        issuedAt,
      });
      return {
        add: (jti: string, until: Date, ...token: [keyId?: string, ownerId?: string, issuedAt?: number]) =>
          list.add(jti, until, tokenOf(jti, ...token)),
        has: (jti: string, ...token: [keyId?: string, ownerId?: string, issuedAt?: number]) =>
          list.has(jti, tokenOf(jti, ...token)),
      };
    };

    /** Advances the monotonic clock and the clock of the service. */
    const advance = (ms: number) => {
      vi.advanceTimersByTime(ms);
      time += ms;
    };

    it("throws when it is full, and deletes expired entries", () => {
      expect(MAX_REVOCATIONS).toBe(100_000);
      const list = listOf({ max: 3 });
      list.add("a", at(10_000));
      list.add("b", at(20_000));
      list.add("c", at(30_000));
      expect(() => list.add("d", at(40_000))).toThrow(StoreError);
      list.add("a", at(10_000));
      expect(["a", "b", "c", "d"].map((jti) => list.has(jti))).toEqual([true, true, true, false]);
      advance(9_999);
      expect(() => list.add("d", at(40_000))).toThrow(StoreError);
      advance(1_001);
      list.add("d", at(40_000));
      expect(["a", "b", "c", "d"].map((jti) => list.has(jti))).toEqual([false, true, true, true]);
      advance(189_000);
      list.add("e", at(300_000));
      expect(["b", "c", "d", "e"].map((jti) => list.has(jti))).toEqual([false, false, false, true]);
    });

    it("keeps an entry if the clock is set forward and back again", () => {
      const list = listOf({ max: 2 });
      list.add("a", at(900_000));
      advance(61_000);
      time += 86_400_000;
      list.add("b", at(time + 900_000));
      time -= 86_400_000;
      expect(list.has("a")).toBe(true);
      advance(838_000); // just before the token expires
      time += 86_400_000;
      expect(() => list.add("c", at(time + 900_000))).toThrow(StoreError);
      time -= 86_400_000;
      expect(list.has("a")).toBe(true);
    });

    it("keeps an entry until both clocks have passed its expiry", () => {
      const list = listOf({ max: 1 });
      list.add("a", at(900_000));
      vi.advanceTimersByTime(1_000_000); // the clock of the service stands still
      expect(() => list.add("b", at(900_000))).toThrow(StoreError);
      expect(list.has("a")).toBe(true);
      time = 900_000;
      vi.advanceTimersByTime(1_000);
      list.add("b", at(1_800_000));
      expect(["a", "b"].map((jti) => list.has(jti))).toEqual([false, true]);
    });

    it("revokes all tokens of a key so far when the key has too many entries, and no others", () => {
      expect(MAX_REVOCATIONS_OF_KEY).toBe(1_000);
      const list = listOf({ max: 10, maxOfKey: 3 });
      for (let index = 0; index < 1_000; index++) list.add(`n${index}`, at(900_000), "noisy");
      list.add("q", at(900_000), "quiet");
      const revoked = Array.from({ length: 1_000 }, (_, index) => list.has(`n${index}`, "noisy"));
      expect(revoked).not.toContain(false);
      expect([list.has("unrevoked", "noisy"), list.has("q", "quiet")]).toEqual([true, true]);
      expect(list.has("unrevoked", "quiet")).toBe(false);
      expect(list.has("new", "noisy", "acme", 1)).toBe(false);
      advance(900_999);
      expect(list.has("n1", "noisy", "acme", 0)).toBe(true);
      advance(60_000);
      list.add("other", at(time + 1_000)); // deletes what has expired
      expect(list.has("n1", "noisy", "acme", 0)).toBe(false);
    });

    it("revokes tokens of the owner with the most entries when it is full", () => {
      const list = listOf({ max: 20, maxOfKey: 10 });
      for (let index = 0; index < 4; index++) list.add(`b${index}`, at(900_000), "b", "other");
      for (let index = 0; index < 16; index++) list.add(`a${index}`, at(900_000), `a${index % 8}`, "greedy");
      for (let index = 0; index < 4; index++) list.add(`c${index}`, at(900_000), `c${index}`, "third");
      expect([list.has("b0", "b"), list.has("c3", "c3"), list.has("a15", "a7")]).toEqual([true, true, true]);
      expect([list.has("alive", "b"), list.has("alive", "c3")]).toEqual([false, false]);
      const dead = Array.from({ length: 8 }, (_, index) => list.has("alive", `a${index}`));
      expect(dead.filter(Boolean)).toHaveLength(4);
      for (let index = 0; index < 16; index++) expect(list.has(`a${index}`, `a${index % 8}`)).toBe(true);
    });

    it("forgets no revocation if the clock is set back", () => {
      const list = listOf({ max: 10, maxOfKey: 2 });
      time = 86_400_000;
      for (const jti of ["x", "y"]) list.add(jti, at(time + 900_000), "a");
      time = 0;
      list.add("z", at(900_000), "a");
      expect([list.has("x", "a", "acme", 86_400), list.has("z", "a", "acme", 0)]).toEqual([true, true]);
      advance(86_400_000 + 899_999);
      list.add("other", at(time + 1_000));
      expect(list.has("y", "a", "acme", 86_400)).toBe(true);
    });
  });

  it("responds with 503 when the list is full, and keeps its entries", async () => {
    const list = memoryRevocationList(() => START.getTime(), 900_000, { max: 1 });
    const base = exchanger({ revocations: list, onError: () => {} });
    const [{ secret }, other] = [await base.issue(), await base.issue()];
    const [one, two] = [await base.tokenOf(secret), await base.tokenOf(other.secret)];
    expect((await revoke(base, secret, one)).status).toBe(200);
    expect((await revoke(base, other.secret, two)).status).toBe(503);
    errorOf(await base.tokens.verifier.verify(bearer(one)));
  });

  it("does not let one key fill the list, and makes its tokens work again a second later", async () => {
    let base: ReturnType<typeof exchanger> | undefined;
    const list = memoryRevocationList(() => base?.clock.now().getTime() ?? 0, 900_000, {
      max: 8,
      maxOfKey: 4,
    });
    base = exchanger({ revocations: list });
    const [greedy, other] = [await base.issue(), await base.issue({ ownerId: "other" })];
    const alive = [await base.tokenOf(greedy.secret), await base.tokenOf(other.secret)] as const;
    const revoked: string[] = [];
    for (let count = 0; count < 20; count++) {
      const token = await base.tokenOf(greedy.secret);
      expect((await revoke(base, greedy.secret, token)).status).toBe(200);
      revoked.push(token);
    }
    for (const token of [...revoked, alive[0]]) {
      expect(errorOf(await base.tokens.verifier.verify(bearer(token))).code).toBe("invalid_key");
    }
    allowed(await base.tokens.verifier.verify(bearer(alive[1])));
    expect((await revoke(base, other.secret, alive[1])).status).toBe(200);
    errorOf(await base.tokens.verifier.verify(bearer(alive[1])));
    base.clock.set(START.getTime() + 1_000);
    allowed(await base.tokens.verifier.verify(bearer(await base.tokenOf(greedy.secret))));
  });
});
