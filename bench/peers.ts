// Others that check keys of this kind, each as its own documentation says, with keys that it knows.

import { createSecretKey, generateKeyPairSync, hash, randomBytes } from "node:crypto";
import { apiKey } from "@better-auth/api-key";
import verifyBearerAuthFactory from "@fastify/bearer-auth/lib/verify-bearer-auth-factory.js";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { bearerAuth } from "hono/bearer-auth";
import { jwtVerify, SignJWT } from "jose";
import passportBearer from "passport-http-bearer";
import prefixed from "prefixed-api-key";
import { drawer, flat, newKey } from "./service.js";

export interface Peer {
  readonly name: string;
  /** Checks one key of those that it knows. */
  check(): boolean | Promise<boolean>;
  /** How many times as long as ours it is wanted to take; once at least. */
  readonly goal?: number;
}

/** The plugin for API keys of better-auth; its keys lie in a Map, as its secondary storage. */
export async function betterAuthPeer(count: number): Promise<Peer> {
  const map = new Map<string, string>();
  const auth = betterAuth({
    secret: randomBytes(32).toString("hex"),
    baseURL: "http://localhost",
    database: memoryAdapter({ user: [], session: [], account: [], verification: [], apikey: [] }),
    logger: { level: "error" },
    telemetry: { enabled: false },
    plugins: [
      apiKey({
        storage: "secondary-storage",
        customStorage: {
          get: (key) => map.get(key) ?? null,
          set: (key, value) => void map.set(key, value),
          delete: (key) => void map.delete(key),
        },
        rateLimit: { enabled: false },
      }),
    ],
  });
  const { internalAdapter } = await auth.$context;
  const user = await internalAdapter.createUser({ email: "a@example.com", name: "a", emailVerified: true });
  const permissions = { vehicles: ["read"] };
  const created = await auth.api.createApiKey({ body: { userId: user.id, name: "key", permissions } });
  // Its own way to make ten thousand takes minutes: the others are copies of the first one.
  const hashed = (key: string) => hash("sha256", key, "base64url" as "base64");
  const first = map.get(`api-key:${hashed(created.key)}`);
  if (first === undefined) throw new Error("better-auth keeps its keys elsewhere");
  const keys = Array.from({ length: count }, () => {
    const key = randomBytes(32).toString("hex");
    const record = JSON.stringify({ ...JSON.parse(first), id: key.slice(0, 32), key: hashed(key) });
    map.set(`api-key:${hashed(key)}`, record);
    map.set(`api-key:by-id:${key.slice(0, 32)}`, record);
    return key;
  });
  const draw = drawer(keys);
  return {
    name: "better-auth, api-key on a Map",
    goal: 400,
    check: async () => (await auth.api.verifyApiKey({ body: { key: draw(), permissions } })).valid,
  };
}

/** prefixed-api-key, with the hashes of the long tokens in a Map by their short ones. */
export async function prefixedPeer(count: number): Promise<Peer> {
  const map = new Map<string, string>();
  const tokens: string[] = [];
  while (tokens.length < count) {
    const made = await prefixed.generateAPIKey({ keyPrefix: "ezt" });
    if (made.token === undefined) continue;
    map.set(flat(made.shortToken), made.longTokenHash);
    tokens.push(flat(made.token));
  }
  const draw = drawer(tokens);
  return {
    name: "prefixed-api-key + Map",
    check() {
      const token = draw();
      return prefixed.checkAPIKey(token, map.get(prefixed.extractShortToken(token)) ?? "");
    },
  };
}

/** passport-http-bearer, with a callback that looks a SHA-256 up in a Map. */
export function passportPeer(count: number): Peer {
  const { map, secrets } = hashed(count);
  const strategy = new passportBearer.Strategy((token, done) => {
    const key = map.get(hash("sha256", token, "hex"));
    done(null, key ?? false, { scope: "vehicles:read" });
  });
  const requests = secrets.map((secret) => ({ headers: { authorization: flat(`Bearer ${secret}`) } }));
  const draw = drawer(requests);
  return {
    name: "passport-http-bearer + sha256 + Map",
    check: () =>
      new Promise((resolve, reject) => {
        // What passport itself does with a strategy for each request.
        const attempt = Object.create(strategy);
        attempt.success = () => resolve(true);
        attempt.fail = () => resolve(false);
        attempt.error = reject;
        attempt.authenticate(draw());
      }),
  };
}

/** @fastify/bearer-auth with a list of keys. */
export function fastifyPeer(secrets: readonly string[]): Peer {
  const verify = verifyBearerAuthFactory({ keys: [...secrets], addHook: false, verifyErrorLogLevel: false });
  const draw = drawer(
    secrets.map((secret) => ({ raw: { headers: { authorization: flat(`Bearer ${secret}`) } } })),
  );
  return {
    name: "@fastify/bearer-auth, its list",
    check: () =>
      new Promise((resolve) => {
        verify(draw(), { code() {} }, (error) => resolve(error === undefined || error === null));
      }),
  };
}

/** The middleware of hono with a list of tokens. */
export function honoPeer(secrets: readonly string[]): Peer {
  const middleware = bearerAuth({ token: [...secrets] });
  type Context = Parameters<typeof middleware>[0];
  const contexts = secrets.map((secret) => {
    const value = flat(`Bearer ${secret}`);
    return { req: { header: () => value } } as unknown as Context;
  });
  const draw = drawer(contexts);
  return {
    name: "hono/bearer-auth, its list",
    async check() {
      let passed = false;
      await middleware(draw(), async () => {
        passed = true;
      });
      return passed;
    },
  };
}

/** jwtVerify of jose, which needs no lookup, of a shared secret and of a public key. */
export async function josePeer(count: number): Promise<readonly Peer[]> {
  const secret = createSecretKey(randomBytes(32));
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const options = { issuer: "bench", audience: "api" };
  const tokens = (alg: string, key: typeof secret) =>
    Promise.all(
      Array.from({ length: Math.min(count, 1_000) }, (_, index) =>
        new SignJWT({ scope: "vehicles:read" })
          .setProtectedHeader({ alg })
          .setIssuer("bench")
          .setAudience("api")
          .setSubject(String(index))
          .setExpirationTime("1h")
          .sign(key),
      ),
    );
  const [shared, signed] = [drawer(await tokens("HS256", secret)), drawer(await tokens("ES256", privateKey))];
  return [
    {
      name: "jose jwtVerify, HS256",
      check: async () => (await jwtVerify(shared(), secret, options)).payload.scope === "vehicles:read",
    },
    {
      name: "jose jwtVerify, ES256",
      check: async () => (await jwtVerify(signed(), publicKey, options)).payload.scope === "vehicles:read",
    },
  ];
}

function hashed(count: number) {
  const keys = Array.from({ length: count }, () => newKey());
  return {
    secrets: keys.map(({ secret }) => secret),
    map: new Map(keys.map(({ record }) => [record.hash as string, record])),
  };
}
