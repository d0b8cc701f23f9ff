// A Cloudflare Worker over D1, with compatibility flag `nodejs_compat`. To verify, a store needs one method. Workers KV
// would not do: a revoked key would live on in it for a minute.

import {
  createVerifier,
  defineScopes,
  type KeyRecord,
  type KeyStore,
  keyFormat,
  type VerifiableRecord,
} from "keybearer";
import { fetchAuth } from "keybearer/fetch";

/** What of D1 is used. `@cloudflare/workers-types` has all of it. */
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

/** Reads the table that `sqliteStore` makes, and which a service elsewhere may fill: D1 is SQLite. */
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

/** The environment of a worker stays the same for as long as its isolate lives. */
const handlers = new WeakMap<Env, ReturnType<typeof createHandler>>();

function createHandler({ DB }: Env) {
  const verifier = createVerifier({ store: d1Store(DB), scopes, format, environment: "live" });
  // Cloudflare writes this header itself; no client can.
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
