import {
  type ApiKey,
  createKeyManager,
  type IssuedKey,
  type KeyManager,
  keyFormat,
  type Verifier,
} from "keybearer";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { memoryStore } from "keybearer/stores/memory";
import { createEazipVerifier } from "./credential.js";
import { publicId, storedId } from "./ids.js";
import { type EazipScope, scopes } from "./scopes.js";
import { created, failure, view } from "./wire.js";

/** What the API needs to know of keys. */
export interface Keys {
  readonly verifier: Verifier<EazipScope>;
  /** `/api-keys`: where a key manages the keys of its user. */
  readonly management: RequestHandler;
  /** The first key of a user; the dashboard makes it. */
  firstKey(user: string): Promise<IssuedKey>;
  close(): Promise<void>;
}

export function createKeys(): Keys {
  const store = memoryStore();
  const format = keyFormat({ prefix: "eazip", environments: ["live"] });
  const usage = lastUsed(store, { interval: "200ms", onError: console.error });
  const verifier = createEazipVerifier({
    store,
    scopes,
    format,
    realm: "eazip",
    observers: [usage.observer],
  });
  const manager = createKeyManager({ store, scopes, format });

  const management = createManagementApi({
    manager: forUsers(manager),
    verifier,
    // Says that keys may manage keys at all. What they make has their scopes, and no longer life.
    requires: { read: "api-keys:manage", write: "api-keys:manage" },
    routes: ["list", "create", "revoke"],
    input: { create: ["name", "expiresAt"] },
    defaults: () => ({ scopes: scopes.names }),
    presenter: {
      naming: "snake_case",
      created: ({ key, secret }) => created(view(key), secret),
      list: ({ items }) => ({ success: true, api_keys: items.map(view) }),
      revoked: () => ({ success: true, message: "API key revoked" }),
      error: (problem) => ({ body: failure(problem) }),
    },
  });

  return {
    verifier,
    management,
    firstKey: (user) => manager.create({ ownerId: user, name: "Dashboard", scopes: scopes.names }),
    close: () => usage.close(),
  };
}

/**
 * The keys as users see them: one that they revoked is gone, although the store keeps it; a list is the whole
 * list; and an id is a UUID.
 */
function forUsers<S extends string>(manager: KeyManager<S>): KeyManager<S> {
  const shown = (key: ApiKey): ApiKey => ({ ...key, id: publicId(key.id) });
  return {
    ...manager,
    async create(input, actor) {
      const { secret, key } = await manager.create(input, actor);
      return { secret, key: shown(key) };
    },
    async get(id) {
      const stored = storedId(id);
      const key = stored && (await manager.get(stored));
      return key && key.status !== "revoked" ? shown(key) : undefined;
    },
    async list(query) {
      const items: ApiKey[] = [];
      let cursor = query?.cursor;
      do {
        const page = await manager.list({ ...query, limit: 1_000, ...(cursor !== undefined && { cursor }) });
        items.push(...page.items.filter(({ status }) => status !== "revoked").map(shown));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return { items };
    },
    revoke: async (id, options) => shown(await manager.revoke(storedId(id) ?? "", options)),
  };
}
