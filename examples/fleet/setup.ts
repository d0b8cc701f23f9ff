import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type KeyManager, keybearer, keyFormat, type ScopeName, type Verifier } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { sqliteStore } from "keybearer/stores/sqlite";
import Database from "libsql";
import { identityProvider } from "../identity.js";
import { createKeyPage, type KeyPage } from "./key-page.js";
import { scopes } from "./scopes.js";

export type FleetScope = ScopeName<typeof scopes>;

export interface SetupOptions {
  /** The database file. By default the environment variable `DATA`, or `.data/fleet.db` in this directory. */
  readonly data?: string;
  /** Returns the current time; for tests and the demo. */
  readonly clock?: () => Date;
}

/** What the servers of all four frameworks share. */
export interface Setup {
  /** The database file. */
  readonly data: string;
  /** Verifies API keys. */
  readonly verifier: Verifier<FleetScope>;
  /** Creates, rotates and revokes keys. */
  readonly keys: KeyManager<FleetScope>;
  /** Serves `/admin/api-keys`, where the admins of a company manage its keys. */
  readonly management: RequestHandler;
  /** Serves `/keys`, the same for people with a browser. */
  readonly keyPage: KeyPage;
  /** Returns a JWT of an admin of a company, valid for eight hours or until the process ends. */
  adminJwt(company: string): Promise<string>;
  close(): Promise<void>;
}

/** Opens the database and creates the verifier, the manager and the management API. */
export async function setup(options: SetupOptions = {}): Promise<Setup> {
  const data =
    options.data ?? (process.env.DATA || fileURLToPath(new URL(".data/fleet.db", import.meta.url)));
  mkdirSync(dirname(data), { recursive: true });
  const database = new Database(data);
  const store = sqliteStore(database);
  await store.migrate();

  const clock = options.clock ?? (() => new Date());
  const { verifier, keys, close } = keybearer({
    store,
    scopes,
    format: keyFormat({ prefix: "ezt", environments: ["live", "test"] }),
    environment: "live", // test keys are denied without a lookup
    realm: "fleet",
    trustedProxies: process.env.TRUSTED_PROXIES?.split(",") ?? [],
    clock,
    maxLifetime: "365d",
    lastUsed: { interval: "1s", onError: console.error },
  });

  const identity = await identityProvider("fleet");
  const management = createManagementApi({
    keys,
    // Only JWTs of the identity provider are accepted: API keys cannot manage keys.
    verifier: createJwtVerifier({
      issuer: identity.issuer,
      audience: identity.audience,
      algorithms: identity.algorithms,
      key: identity.publicKey,
      scopes,
      realm: "fleet",
      clock,
      // The owner is the company in the token. Users who are not admins are denied.
      principal: ({ company, role }) =>
        typeof company === "string" && role === "admin"
          ? { ownerId: company, scopes: ["fleet:admin"] }
          : undefined,
    }),
    basePath: "/admin",
    routes: ["list", "create", "get", "update", "revoke", "rotate", "disable", "enable", "audit", "openapi"],
    presenter: { naming: (member) => (member === "errors" ? "problems" : member) },
    onError: console.error,
    openapi: { info: { title: "Keys of the fleet API" } },
  });

  return {
    data,
    verifier,
    keys,
    management,
    keyPage: createKeyPage(keys),
    adminJwt: (company) => identity.signIn(`admin@${company}.example`, { company, role: "admin" }),
    async close() {
      await close();
      database.close();
    },
  };
}
