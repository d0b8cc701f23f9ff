import {
  type ApiKey,
  anyVerifier,
  createKeyManager,
  createVerifier,
  type IssuedKey,
  type KeyManager,
  keyFormat,
  type Verifier,
} from "keybearer";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { memoryStore } from "keybearer/stores/memory";
import { publicId, storedId } from "./ids.js";
import { type EazipScope, scopes } from "./scopes.js";
import { created, errorBody, view } from "./wire.js";

export interface Auth {
  readonly verifier: Verifier<EazipScope>;
  /** Serves `/api-keys`, where a key manages the keys of its user. */
  readonly management: RequestHandler;
  /** Creates the first key of a user, as the dashboard does. */
  createFirstKey(user: string): Promise<IssuedKey>;
  close(): Promise<void>;
}

export function createAuth(): Auth {
  const store = memoryStore();
  const format = keyFormat({ prefix: "eazip", environments: ["live"] });
  const usage = lastUsed(store, { interval: "200ms", onError: console.error });
  const manager = createKeyManager({ store, scopes, format });

  // A key is sent as a bearer token or as X-API-Key. A request with both headers is denied.
  const options = { store, scopes, format, realm: "eazip", observers: [usage.observer] };
  const verifier = anyVerifier(
    createVerifier(options),
    createVerifier({ ...options, credential: { header: "X-API-Key" } }),
  );

  const management = createManagementApi({
    keys: userView(manager),
    verifier,
    // Allows keys to manage keys. A new key has the scopes of its creator and does not outlive it.
    requires: { read: "api-keys:manage", write: "api-keys:manage" },
    routes: ["list", "create", "revoke"],
    input: { create: ["name", "expiresAt"] },
    defaults: () => ({ scopes: scopes.names }),
    presenter: {
      naming: "snake_case",
      created: ({ key, secret }) => created(view(key), secret),
      list: ({ items }) => ({ success: true, api_keys: items.map(view) }),
      revoked: () => ({ success: true, message: "API key revoked" }),
      error: (problem) => ({ body: errorBody(problem) }),
    },
  });

  return {
    verifier,
    management,
    createFirstKey: (user) => manager.create({ ownerId: user, name: "Dashboard", scopes: scopes.names }),
    close: () => usage.close(),
  };
}

/** Returns a manager with UUIDs as ids, unpaged lists, and without revoked keys. */
function userView<S extends string>(manager: KeyManager<S>): KeyManager<S> {
  const toPublic = (key: ApiKey): ApiKey => ({ ...key, id: publicId(key.id) });
  return {
    ...manager,
    async create(input, actor) {
      const { secret, key } = await manager.create(input, actor);
      return { secret, key: toPublic(key) };
    },
    async get(id) {
      const stored = storedId(id);
      const key = stored && (await manager.get(stored));
      return key && key.status !== "revoked" ? toPublic(key) : undefined;
    },
    async list(query) {
      const items: ApiKey[] = [];
      let cursor = query?.cursor;
      do {
        const page = await manager.list({ ...query, limit: 1_000, ...(cursor !== undefined && { cursor }) });
        items.push(...page.items.filter(({ status }) => status !== "revoked").map(toPublic));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return { items };
    },
    revoke: async (id, options) => toPublic(await manager.revoke(storedId(id) ?? "", options)),
  };
}
