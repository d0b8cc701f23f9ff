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
import { lastUsed } from "keybearer/observers";
import { sqliteStore } from "keybearer/stores/sqlite";
import Database from "libsql";
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
  /** Issues, rotates and revokes keys; no route reaches it. */
  readonly manager: KeyManager<FleetScope>;
  close(): Promise<void>;
}

export async function setup(options: SetupOptions = {}): Promise<Setup> {
  const data =
    options.data ?? (process.env.DATA || fileURLToPath(new URL(".data/fleet.db", import.meta.url)));
  mkdirSync(dirname(data), { recursive: true });
  const database = new Database(data);
  const store = sqliteStore(database);
  await store.migrate();

  const usage = lastUsed(store, { intervalMs: 1_000, onError: console.error });
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

  return {
    data,
    verifier,
    manager,
    async close() {
      await usage.close();
      database.close();
    },
  };
}
