// Other libraries that check keys, each used as its documentation describes, with valid keys.

import { createSecretKey, generateKeyPairSync, hash, randomBytes } from "node:crypto";
import { apiKey } from "@better-auth/api-key";
import verifyBearerAuthFactory from "@fastify/bearer-auth/lib/verify-bearer-auth-factory.js";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { bearerAuth } from "hono/bearer-auth";
import { jwtVerify, SignJWT } from "jose";
import passportBearer from "passport-http-bearer";
import prefixed from "prefixed-api-key";
import { createPicker, flat, newKey } from "./service.js";

export interface Peer {
  readonly name: string;
  /** Checks one random valid key. */
  check(): boolean | Promise<boolean>;
  /** The goal for its time as a multiple of ours; 1 by default. */
  readonly goal?: number;
}

/** The API key plugin of better-auth, with a Map as its secondary storage. */
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
  // Creating ten thousand keys with its API takes minutes, so all others are copies of the first one.
  const hashed = (key: string) => hash("sha256", key, "base64url" as "base64");
  const first = map.get(`api-key:${hashed(created.key)}`);
  if (first === undefined) throw new Error("the key is not in the secondary storage of better-auth");
  const keys = Array.from({ length: count }, () => {
    const key = randomBytes(32).toString("hex");
    const record = JSON.stringify({ ...JSON.parse(first), id: key.slice(0, 32), key: hashed(key) });
    map.set(`api-key:${hashed(key)}`, record);
    map.set(`api-key:by-id:${key.slice(0, 32)}`, record);
    return key;
  });
  const pick = createPicker(keys);
  return {
    name: "better-auth api-key, Map",
    goal: 400,
    check: async () => (await auth.api.verifyApiKey({ body: { key: pick(), permissions } })).valid,
  };
}

/** prefixed-api-key, with hashes of long tokens in a Map by short token. */
export async function prefixedPeer(count: number): Promise<Peer> {
  const map = new Map<string, string>();
  const tokens: string[] = [];
  while (tokens.length < count) {
    const created = await prefixed.generateAPIKey({ keyPrefix: "ezt" });
    if (created.token === undefined) continue;
    map.set(flat(created.shortToken), created.longTokenHash);
    tokens.push(flat(created.token));
  }
  const pick = createPicker(tokens);
  return {
    name: "prefixed-api-key + Map",
    check() {
      const token = pick();
      return prefixed.checkAPIKey(token, map.get(prefixed.extractShortToken(token)) ?? "");
    },
  };
}

/** passport-http-bearer, with a callback that looks up a SHA-256 hash in a Map. */
export function passportPeer(count: number): Peer {
  const { map, secrets } = hashed(count);
  const strategy = new passportBearer.Strategy((token, done) => {
    const key = map.get(hash("sha256", token, "hex"));
    done(null, key ?? false, { scope: "vehicles:read" });
  });
  const requests = secrets.map((secret) => ({ headers: { authorization: flat(`Bearer ${secret}`) } }));
  const pick = createPicker(requests);
  return {
    name: "passport-http-bearer + sha256 + Map",
    check: () =>
      new Promise((resolve, reject) => {
        // passport does the same with a strategy for each request.
        const attempt = Object.create(strategy);
        attempt.success = () => resolve(true);
        attempt.fail = () => resolve(false);
        attempt.error = reject;
        attempt.authenticate(pick());
      }),
  };
}

/** @fastify/bearer-auth, with an array of keys. */
export function fastifyPeer(secrets: readonly string[]): Peer {
  const verify = verifyBearerAuthFactory({ keys: [...secrets], addHook: false, verifyErrorLogLevel: false });
  const pick = createPicker(
    secrets.map((secret) => ({ raw: { headers: { authorization: flat(`Bearer ${secret}`) } } })),
  );
  return {
    name: "@fastify/bearer-auth, array",
    check: () =>
      new Promise((resolve) => {
        verify(pick(), { code() {} }, (error) => resolve(error === undefined || error === null));
      }),
  };
}

/** The bearer-auth middleware of hono, with an array of tokens. */
export function honoPeer(secrets: readonly string[]): Peer {
  const middleware = bearerAuth({ token: [...secrets] });
  type Context = Parameters<typeof middleware>[0];
  const contexts = secrets.map((secret) => {
    const value = flat(`Bearer ${secret}`);
    return { req: { header: () => value } } as unknown as Context;
  });
  const pick = createPicker(contexts);
  return {
    name: "hono/bearer-auth, array",
    async check() {
      let passed = false;
      await middleware(pick(), async () => {
        passed = true;
      });
      return passed;
    },
  };
}

/** jwtVerify of jose, which needs no lookup, with a shared secret and with a public key. */
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
  const [shared, signed] = [
    createPicker(await tokens("HS256", secret)),
    createPicker(await tokens("ES256", privateKey)),
  ];
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
