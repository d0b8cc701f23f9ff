// A Cloudflare Worker with D1 and the compatibility flag `nodejs_compat`. A verifier needs a store with one method. Do not
// use Workers KV: a revoked key could stay valid for a minute.

import {
  createVerifier,
  defineScopes,
  type KeyRecord,
  type KeyStore,
  keyFormat,
  type VerifiableRecord,
} from "keybearer";
import { fetchAuth } from "keybearer/fetch";

/** The part of D1 that is used. `@cloudflare/workers-types` has the full type. */
export interface Database {
  prepare(sql: string): {
    bind(...values: unknown[]): { first(): Promise<Readonly<Record<string, unknown>> | null> };
  };
}

export interface Env {
  readonly DB: Database;
}

const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
});
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

/** Reads the table of `sqliteStore`, which another service may write. D1 uses SQLite. */
function d1Store(database: Database): KeyStore {
  const sql = `select id, hash, version, owner_id, environment, start, scopes, ip_allowlist, created_at, expires_at,
    disabled_at, revoked_at, rotated_at from keybearer_keys where hash = ?`;
  return {
    async findByHash(hash): Promise<VerifiableRecord | null> {
      const row = await database.prepare(sql).bind(hash).first();
      if (row === null) return null;
      return {
        id: row.id as string,
        hash: row.hash as string,
        version: row.version as number,
        ownerId: row.owner_id as string,
        environment: row.environment as string | null,
        start: row.start as string,
        scopes: JSON.parse(row.scopes as string),
        ipAllowlist: JSON.parse((row.ip_allowlist as string | null) ?? "null"),
        createdAt: date(row.created_at) as KeyRecord["createdAt"],
        expiresAt: date(row.expires_at),
        disabledAt: date(row.disabled_at),
        revokedAt: date(row.revoked_at),
        rotatedAt: date(row.rotated_at),
      };
    },
  };
}

function date(milliseconds: unknown): Date | null {
  return milliseconds === null ? null : new Date(milliseconds as number);
}

/** The handlers of each environment object, which stays the same for the lifetime of an isolate. */
const handlers = new WeakMap<Env, ReturnType<typeof createHandler>>();

function createHandler({ DB }: Env) {
  const verifier = createVerifier({ store: d1Store(DB), scopes, format, environment: "live" });
  // Cloudflare sets this header; clients cannot.
  const auth = fetchAuth(verifier, {
    remoteAddress: (request) => request.headers.get("cf-connecting-ip") ?? undefined,
  });
  return auth("vehicles:read", (_request, { auth: holder }) => Response.json({ owner: holder.ownerId }));
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const handler = handlers.get(env) ?? createHandler(env);
    handlers.set(env, handler);
    return handler(request);
  },
};
