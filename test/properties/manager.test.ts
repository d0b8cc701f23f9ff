import fc from "fast-check";
import { it } from "vitest";
import { cachedStore } from "../../src/cache/index.js";
import { createKeyManager, createVerifier, type ManagedKeyStore } from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { driverNamed } from "../contract/stores/sqlite-drivers.js";
import { format, START, scopes, stoppedClock } from "../unit/core/fixtures.js";
import { commands, compare, type Real } from "./manager-commands.js";
import { MAX_KEYS, type Model } from "./manager-model.js";
import { runs } from "./runs.js";

interface Opened {
  readonly store: ManagedKeyStore;
  close?(): unknown;
}

async function sqlite(): Promise<Opened> {
  const connection = driverNamed("libsql").open(":memory:");
  const store = sqliteStore(connection);
  await store.migrate();
  return { store, close: () => connection.close() };
}

const CEILINGS = { maxKeysPerOwner: MAX_KEYS, maxOverlap: "90d" } as const;

/** Caches as long as possible, so that a missing invalidation is visible. */
function cached(inner: ManagedKeyStore): Opened & { close(): Promise<void> } {
  const store = cachedStore(inner, { ttl: "1m", storeTimeout: "60s" });
  return { store, close: () => store.close() };
}

const STORES: Readonly<Record<string, () => Promise<Opened>>> = {
  memoryStore: async () => ({ store: memoryStore() }),
  "sqliteStore over libsql": sqlite,
  "cachedStore over memoryStore": async () => cached(memoryStore()),
  "cachedStore over sqliteStore": async () => {
    const { store, close } = await sqlite();
    const cache = cached(store);
    return {
      store: cache.store,
      async close() {
        await cache.close();
        await close?.();
      },
    };
  },
};

it.each(Object.entries(STORES))(
  "keys match a plain model after any sequence of commands: %s",
  async (_, open) => {
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const { store, close } = await open();
        const clock = stoppedClock();
        const real: Real = {
          store,
          clock,
          manager: createKeyManager({ store, scopes, format, clock: clock.now, ...CEILINGS }),
          verifier: createVerifier({ store, scopes, format, clock: clock.now, storeTimeout: "60s" }),
        };
        const model: Model = { now: START.getTime(), keys: [], purged: [], suspended: new Set() };
        try {
          await fc.asyncModelRun(() => ({ model, real }), sequence);
          await compare(model, real);
        } finally {
          await close?.();
        }
      }),
      runs(40),
    );
  },
);
