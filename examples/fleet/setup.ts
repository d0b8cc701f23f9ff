import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  createKeyManager,
  createVerifier,
  type KeyManager,
  keyFormat,
  type ScopeName,
  type Verifier,
} from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { sqliteStore } from "keybearer/stores/sqlite";
import Database from "libsql";
import { identityProvider } from "../identity.js";
import { scopes } from "./scopes.js";

export type FleetScope = ScopeName<typeof scopes>;

/** Secrets look like `ezt_live_…` and `ezt_test_…`. */
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

export interface SetupOptions {
  /** The database file; `DATA` in the environment, else `.data/fleet.db` beside this file. */
  readonly data?: string;
  /** The time, for tests and demonstrations. */
  readonly clock?: () => Date;
}

/** The one set-up that all four servers share. */
export interface Setup {
  /** Where the keys are. */
  readonly data: string;
  /** Put into a guard, it decides who may pass. */
  readonly verifier: Verifier<FleetScope>;
  /** Issues, rotates and revokes keys. */
  readonly manager: KeyManager<FleetScope>;
  /** `/admin/api-keys`: where the admins of a company manage its keys. */
  readonly management: RequestHandler;
  /** Signs an admin of a company in: a JWT, good for eight hours or until the fleet API stops. */
  adminJwt(company: string): Promise<string>;
  close(): Promise<void>;
}

export async function setup(options: SetupOptions = {}): Promise<Setup> {
  const data =
    options.data ?? (process.env.DATA || fileURLToPath(new URL(".data/fleet.db", import.meta.url)));
  mkdirSync(dirname(data), { recursive: true });
  const database = new Database(data);
  const store = sqliteStore(database);
  await store.migrate();

  const usage = lastUsed(store, { interval: "1000ms", onError: console.error });
  const clock = options.clock ?? (() => new Date());
  const verifier = createVerifier({
    store,
    scopes,
    format,
    environment: "live", // a test key is refused before the store is asked
    realm: "fleet",
    trustedProxies: process.env.TRUSTED_PROXIES?.split(",") ?? [],
    clock,
    observers: [usage.observer],
  });
  const manager = createKeyManager({ store, scopes, format, clock, maxLifetime: "365d" });

  const identity = await identityProvider("fleet");
  const management = createManagementApi({
    manager,
    // People manage keys, with what the identity provider signed. A key is no JWT, and gets nowhere here.
    verifier: createJwtVerifier({
      issuer: identity.issuer,
      audience: identity.audience,
      algorithms: identity.algorithms,
      key: identity.publicKey,
      scopes,
      realm: "fleet",
      clock,
      // The owner of the keys is the company in the token; a token that is no admin's is refused.
      principal: ({ company, role }) =>
        typeof company === "string" && role === "admin"
          ? { ownerId: company, scopes: ["fleet:admin"] }
          : undefined,
    }),
    basePath: "/admin",
    routes: ["list", "create", "get", "update", "revoke", "rotate", "disable", "enable", "audit", "openapi"],
    presenter: { naming: (member) => (member === "errors" ? "problems" : member) },
    onError: console.error,
    info: { title: "Keys of the fleet API" },
  });

  return {
    data,
    verifier,
    manager,
    management,
    adminJwt: (company) => identity.signIn(`admin@${company}.example`, { company, role: "admin" }),
    async close() {
      await usage.close();
      database.close();
    },
  };
}
