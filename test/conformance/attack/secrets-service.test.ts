import { Writable } from "node:stream";
import { inspect } from "node:util";
import Fastify from "fastify";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fastifyAuth, fastifyHandler } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { koaAuth } from "../../../src/adapters/koa.js";
import { nodeAuth } from "../../../src/adapters/node.js";
import { cachedStore } from "../../../src/cache/index.js";
import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  type KeyEvent,
  type KeyStore,
  keyFormat,
  StoreError,
} from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { createTokenService } from "../../../src/oauth/index.js";
import { auditLog, DroppedError, lastUsed } from "../../../src/observers/index.js";
import { createRateLimiter, failedAuthLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { faultyStore } from "../../../src/testing/index.js";
import { allowed, bearer, format, scopes, thrownBy } from "../../unit/core/fixtures.js";
import { ecKey } from "../../unit/oauth/fixtures.js";
import { peppers, SHOWN, secretAndHashes } from "./hidden.js";
import { type Hidden, printed, searchFor } from "./search.js";
import { LEAK } from "./world.js";

const PEPPER = "pepper-of-these-tests-0123456789abcdef";

const lines: string[] = [];
beforeAll(() => {
  for (const level of ["log", "info", "warn", "error", "debug", "trace"] as const) {
    vi.spyOn(console, level).mockImplementation((...args) => void lines.push(printed(args)));
  }
  vi.spyOn(process, "emitWarning").mockImplementation((...args) => void lines.push(printed(args)));
});
afterAll(() => vi.restoreAllMocks());

test("no secret, hash or pepper is in a log, event, error, response or public object", async () => {
  const events: KeyEvent[] = [];
  const errors: unknown[] = [];
  const responses: string[] = [];
  const log = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const store = memoryStore();
  const onError = (error: unknown) => {
    errors.push(error);
    app.log.error(error);
    app.log.error({ err: error }, "as a member");
  };
  const used = lastUsed(store, { onError });
  const audited = auditLog(store, { onError });
  const observers = [(event: KeyEvent) => events.push(event), used.observer, audited.observer];
  const manager = createKeyManager({ store, scopes, format, pepper: PEPPER, observers });
  const verifier = createVerifier({ store, scopes, format, pepper: PEPPER, observers });
  const signingKey = ecKey();
  const tokens = createTokenService({
    issuer: "https://a.test",
    audience: "https://a.test",
    signingKey,
    ttl: "5m",
    verifier,
    store,
    revocations: "per-process",
    onError,
  });
  const management = createManagementApi({
    keys: manager,
    verifier,
    requires: { read: "vehicles:read", write: "vehicles:write" },
    basePath: "/manage",
    onError,
  });
  const { secret, key } = await manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:write"],
  });
  const revoked = await manager.create({ ownerId: "acme", environment: "live", scopes: ["vehicles:read"] });
  await manager.revoke(revoked.key.id);
  const rotated = await manager.rotate(
    (await manager.create({ ownerId: "acme", environment: "live", scopes: [] })).key.id,
    { overlap: "1h" },
  );
  const down: KeyStore = {
    findByHash: (hash) => Promise.reject(Object.assign(new Error(`${LEAK} ${hash}`), { parameters: [hash] })),
  };
  const broken = createVerifier({ store: down, scopes, format, pepper: PEPPER, observers });

  const app = Fastify({ logger: { level: "trace", stream: log } });
  const auth = fastifyAuth(anyVerifier(verifier, tokens.verifier), { onError });
  const failing = fastifyAuth(broken, { onError });
  await app.register(auth.plugin);
  app.get("/vehicles", { onRequest: auth("vehicles:read") }, async (request) => {
    request.log.trace({ auth: request.auth }, inspect(request.auth, { depth: 9, showHidden: true }));
    return request.auth;
  });
  app.get("/down", { onRequest: failing() }, async () => "from the route");
  await app.register(fastifyHandler(management), { prefix: "/manage" });
  await app.register(fastifyHandler(tokens.handler));

  const unknown = format.generate("live");
  const wrong = `${secret.slice(0, -6)}000000`;
  const issued = await app.inject({
    method: "POST",
    url: "/token",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/x-www-form-urlencoded" },
    payload: "grant_type=client_credentials",
  });
  expect(issued.statusCode).toBe(200);
  const token: string = issued.json().access_token;
  const forged = `${token.slice(0, -8)}AAAAAAAA`;
  const credentials = [
    secret,
    revoked.secret,
    rotated.secret,
    unknown,
    wrong,
    token,
    forged,
    `${secret}, ${secret}`,
    `"${secret}"`,
  ];
  const targets = [
    ["GET", "/vehicles"],
    ["GET", "/down"],
    ["GET", "/manage/api-keys"],
    ["GET", `/manage/api-keys/${key.id}`],
    ["GET", "/manage/me"],
    ["GET", `/manage/api-keys/${key.id}/audit`],
    ["POST", "/introspect"],
    ["POST", "/manage/api-keys"],
  ] as const;
  for (const credential of credentials) {
    for (const [method, url] of targets) {
      const form =
        url === "/introspect"
          ? { "content-type": "application/x-www-form-urlencoded" }
          : { "content-type": "application/json" };
      const payload =
        url === "/introspect" ? `token=${token}` : JSON.stringify({ name: credential, unknown: credential });
      const response = await app.inject({
        method,
        url,
        headers: { authorization: `Bearer ${credential}`, ...(method === "POST" && form) },
        ...(method === "POST" && { payload }),
      });
      responses.push(`${response.statusCode} ${JSON.stringify(response.headers)} ${response.body}`);
    }
  }
  await Promise.all([used.close(), audited.close(), app.close()]);
  expect(errors.length).toBeGreaterThan(0);
  expect(lines.length).toBeGreaterThan(50);
  expect(events.some(({ type }) => type === "auth.allowed")).toBe(true);

  const hidden: Hidden[] = [
    ...[secret, revoked.secret, rotated.secret, unknown].flatMap((text, index) =>
      secretAndHashes(`secret ${index}`, text, PEPPER),
    ),
    { name: "wrong", text: wrong, shown: SHOWN },
    { name: "token", text: token, shown: token.lastIndexOf(".") + 1 },
    ...peppers(PEPPER),
    { name: "private key", text: signingKey.export({ format: "jwk" }).d as string },
  ];
  const found = searchFor(hidden);
  const allowedResult = await verifier.verify(bearer(secret), "vehicles:read");
  const tokenResult = await tokens.verifier.verify(bearer(token), "vehicles:read");
  const principal = allowed(allowedResult);
  const cached = cachedStore(store, { ttl: "5s" });
  expect(await cached.findByHash(hashSecret(secret, PEPPER))).toBeDefined();
  const limiter = createRateLimiter({ store: memoryLimits() });
  const limited = createVerifier({ store: cached, scopes, format, pepper: PEPPER, rateLimiter: limiter });
  expect((await limited.verify(bearer(secret))).ok).toBe(true);
  const objects = {
    verifier,
    limited,
    "JWT verifier": tokens.verifier,
    "either verifier": anyVerifier(verifier, tokens.verifier),
    manager,
    store,
    cached,
    faulty: faultyStore(store, []),
    limiter,
    guessing: failedAuthLimiter(verifier, { failures: 10 }),
    format,
    scopes,
    tokens,
    management,
    auth,
    guards: [expressAuth, fastifyAuth, fetchAuth, honoAuth, koaAuth, nodeAuth].map((guard) =>
      guard(verifier),
    ),
    routes: [
      expressAuth(verifier)("vehicles:read"),
      honoAuth(verifier)("vehicles:read"),
      koaAuth(verifier)("vehicles:read"),
    ],
    used,
    audited,
    key,
    page: await manager.list({}),
    results: [allowedResult, tokenResult],
    principal,
    denial: await verifier.verify(bearer(unknown)),
    rotated: rotated.key,
  };
  for (const [name, object] of Object.entries(objects)) expect(found(printed(object)), name).toEqual([]);
  for (const error of errors) expect(found(printed(error))).toEqual([]);
  expect(found(printed(events))).toEqual([]);
  expect(found(lines.join("\n"))).toEqual([]);
  expect(found(responses.join("\n"))).toEqual([]);
  expect(lines.join("\n")).not.toContain("hunter2");

  // The search finds a secret that is put into these places.
  app.log.trace({ secret }, "planted");
  console.log(secret);
  expect(found(lines.join("\n"))).toContain("secret 0");
  expect(found(printed({ ...objects, planted: secret }))).toContain("secret 0");
});

test("no error contains the secret, hash or pepper that caused it", async () => {
  const secret = format.generate("live");
  const driver = Object.assign(new Error(`${hashSecret(secret, PEPPER)}`, { cause: secret }), {
    parameters: [PEPPER],
  });
  const find = searchFor([...secretAndHashes("secret", secret, PEPPER), ...peppers(PEPPER)]);
  expect([...find(printed(driver))].sort()).toEqual(["pepper 0", "secret", "the hash of secret"]);
  const failed = new StoreError("The key store failed", driver);
  expect(failed.driverError).toBe(driver);
  const manager = createKeyManager({ store: memoryStore(), scopes, format, pepper: PEPPER });
  const verifier = (options: object) =>
    createVerifier({ store: memoryStore(), scopes, format, ...options } as never);
  const input = { ownerId: "acme", environment: "live" as const };
  const made = await manager.create({ ...input, scopes: [] });
  await manager.revoke(made.key.id);
  await manager.import({ ...input, scopes: [], secret } as never);
  const thrown = await Promise.all(
    [
      () => manager.get(secret),
      () => manager.revoke(secret),
      () => manager.create({ ...input, scopes: [secret as never] }),
      () => manager.create({ ...input, scopes: [], ipAllowlist: [secret] }),
      () => manager.create({ ...input, scopes: [], expiresAt: secret }),
      () => manager.create({ ...input, environment: secret as never, scopes: [] }),
      () => manager.create({ ...input, scopes: [], secret } as never),
      () => manager.create({ ...input, scopes: [], [secret]: 1 } as never),
      () => manager.create({ ...input, scopes: [], metadata: { [secret]: () => 1 } } as never),
      () => manager.enable(made.key.id),
      () => manager.rotate(made.key.id),
      () => manager.import({ ...input, scopes: [], secret } as never),
      () => manager.import({ ...input, scopes: [], hash: secret } as never),
      () => manager.list({ cursor: secret }),
      () => verifier({ pepper: { current: "v2", keys: { v1: PEPPER } } }),
      () => verifier({ pepper: { current: "v1", keys: { v1: "short" } } }),
      () => verifier({ pepper: { current: PEPPER, keys: { v1: PEPPER } } }),
      () => verifier({ trustedProxies: [secret] }),
      () => keyFormat({ prefix: secret, environments: ["live"] }),
      () => createJwtVerifier({ issuer: "a", audience: "b", algorithms: ["HS256"], key: PEPPER, scopes }),
    ].map((act) => thrownBy(act).catch((error: unknown) => error)),
  );
  const printedErrors = Object.fromEntries(
    [...thrown, failed, new DroppedError("x")].map((error) => [String(error), find(printed(error))]),
  );
  expect(printedErrors).toEqual(Object.fromEntries(Object.keys(printedErrors).map((text) => [text, []])));
});
