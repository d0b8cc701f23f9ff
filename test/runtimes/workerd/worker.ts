// What workerd serves for the tests: guards of fetch and Hono, keys over HTTP, and JWTs, all over a store in memory.
// Nothing random may be drawn before the first request, so that is when the service is made.

import { Hono } from "hono";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import { createKeyManager, createVerifier, defineScopes, keyFormat } from "../../../src/index.js";
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
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format, pepper: "a pepper of more than sixteen bytes" });
  const keys = createVerifier({
    store,
    scopes,
    format,
    environment: "live",
    pepper: "a pepper of more than sixteen bytes",
  });
  const tokens = createJwtVerifier({
    issuer: "https://login.example/",
    audience: "api",
    algorithms: ["ES256"],
    key: JSON.parse(JWK),
    scopes,
  });
  const verifier = anyVerifier(keys, tokens);
  const remoteAddress = (request: Request) => request.headers.get("cf-connecting-ip") ?? undefined;
  const auth = fetchAuth(verifier, { remoteAddress });
  const app = new Hono();
  app.get("/hono", honoAuth(verifier)("vehicles:write"), (c) => c.json({ owner: c.var.auth.ownerId }));
  return {
    manager,
    app,
    list: auth("vehicles:read", (_, { auth: holder }) => Response.json({ owner: holder.ownerId })),
    add: auth("vehicles:write", (_, { auth: holder }) => Response.json({ owner: holder.ownerId })),
    api: createManagementApi({
      manager,
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
        await service.manager.create((await request.json()) as Parameters<Service["manager"]["create"]>[0]),
        { status: 201 },
      );
    }
    if (pathname === "/contract") return Response.json(await contract());
    if (pathname === "/hono") return service.app.fetch(request);
    if (pathname.startsWith("/admin")) return service.api(request);
    return request.method === "POST" ? service.add(request) : service.list(request);
  },
};

/** The cases of the contract of stores, and what they failed with. */
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
