// The worker that workerd serves: fetch and Hono guards, the management API and JWTs, over a memory store. Workers may not
// generate random values before the first request, so the service is created then.

import { Hono } from "hono";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { anyVerifier, defineScopes, keybearer, keyFormat } from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { keyStoreContract } from "../../../src/testing/index.js";

const scopes = defineScopes({
  "vehicles:read": {},
  "vehicles:write": { implies: ["vehicles:read"] },
  "fleet:admin": { implies: ["*"] },
});
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

interface Env {
  /** The public key of tokens, as a JWK. */
  readonly JWK: string;
}

type Service = ReturnType<typeof createService>;
let service: Service | undefined;

function createService({ JWK }: Env) {
  const { verifier: keyVerifier, keys } = keybearer({
    store: memoryStore(),
    scopes,
    format,
    environment: "live",
    pepper: "a pepper of more than sixteen bytes",
    lastUsed: false,
  });
  const jwtVerifier = createJwtVerifier({
    issuer: "https://login.example/",
    audience: "api",
    algorithms: ["ES256"],
    key: JSON.parse(JWK),
    scopes,
  });
  const verifier = anyVerifier(keyVerifier, jwtVerifier);
  const remoteAddress = (request: Request) => request.headers.get("cf-connecting-ip") ?? undefined;
  const auth = fetchAuth(verifier, { remoteAddress });
  const app = new Hono();
  app.get("/hono", honoAuth(verifier)("vehicles:write"), (c) => c.json({ owner: c.var.auth.ownerId }));
  return {
    keys,
    app,
    list: auth("vehicles:read", (_, { auth: principal }) => Response.json({ owner: principal.ownerId })),
    add: auth("vehicles:write", (_, { auth: principal }) => Response.json({ owner: principal.ownerId })),
    api: createManagementApi({
      keys: keys,
      verifier,
      requires: { read: "fleet:admin", write: "fleet:admin" },
      basePath: "/admin",
    }),
  };
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    service ??= createService(env);
    const { pathname } = new URL(request.url);
    if (pathname === "/issue") {
      return Response.json(
        await service.keys.create((await request.json()) as Parameters<Service["keys"]["create"]>[0]),
        { status: 201 },
      );
    }
    if (pathname === "/contract") return Response.json(await contract());
    if (pathname === "/hono") return service.app.fetch(request);
    if (pathname.startsWith("/admin")) return service.api(request);
    return request.method === "POST" ? service.add(request) : service.list(request);
  },
};

/** Runs the store contract, and returns the errors of its cases. */
async function contract(): Promise<readonly { name: string; error?: string }[]> {
  const results: { name: string; error?: string }[] = [];
  for (const { name, run } of keyStoreContract(() => memoryStore(), { sharedLookups: true })) {
    try {
      await run();
      results.push({ name });
    } catch (error) {
      results.push({ name, error: String(error) });
    }
  }
  return results;
}
