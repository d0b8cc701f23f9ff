import { type ApiKey, createKeyManager, createVerifier, keyFormat, type Verifier } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import { type Mistake, refusal, sentence } from "./errors.js";
import { type EztScope, scopes } from "./scopes.js";

/** What the API needs to know of keys. */
export interface Keys {
  /** Decides over requests for data. Keys of both environments pass: each sees its own data. */
  readonly verifier: Verifier<EztScope>;
  /** `/api/v2/api-keys`: where people create keys. */
  readonly management: RequestHandler;
  close(): Promise<void>;
}

export function createKeys(identity: IdentityProvider): Keys {
  const store = memoryStore();
  const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
  const usage = lastUsed(store, { interval: "1000ms", onError: console.error });

  const verifier = createVerifier({
    store,
    scopes,
    format,
    realm: "eztotrack",
    // Without a proxy that is named here, the address of a client is that of its socket.
    trustedProxies: process.env.TRUSTED_PROXIES?.split(",") ?? [],
    observers: [usage.observer],
  });

  const management = createManagementApi({
    manager: createKeyManager({ store, scopes, format }),
    // Only what the identity provider signed gets in here: a key cannot manage keys.
    verifier: createJwtVerifier({
      issuer: identity.issuer,
      audience: identity.audience,
      algorithms: identity.algorithms,
      key: identity.publicKey,
      scopes,
      realm: "eztotrack",
      // The company owns the keys, so it comes from the token. Admins may grant every scope; nobody else gets in.
      principal: ({ company, role }) =>
        typeof company === "string" && role === "admin"
          ? { ownerId: company, scopes: scopes.names }
          : undefined,
    }),
    basePath: "/api/v2",
    routes: ["create", "list", "get", "update", "revoke", "rotate"],
    input: {
      create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt"],
      update: ["name", "ipAllowlist", "expiresAt"],
    },
    defaults: () => ({ environment: "live" }),
    presenter: {
      // Lists of this system are paged by `after`.
      naming: (member) => (member === "cursor" ? "after" : member),
      key: view,
      created: ({ key, secret }) => ({ ...view(key), key: secret }),
      rotated: ({ key, secret }) => ({ ...view(key), key: secret }),
      list: ({ items, nextCursor }) => ({
        data: items.map(view),
        pagination: { endCursor: nextCursor ?? "", hasNextPage: nextCursor !== undefined },
      }),
      error: ({ message, requestId, details }) => {
        const errors = details.errors as readonly Mistake[] | undefined;
        if (errors === undefined) return { body: refusal({ message, details }, requestId) };
        const known = errors.some(({ path }) => path.startsWith("scopes"))
          ? ` Scopes are ${scopes.names.join(", ")}.`
          : "";
        return { body: { message: sentence(errors) + known, requestId, errors } };
      },
    },
  });

  return { verifier, management, close: () => usage.close() };
}

/** A key as its company sees it. Only the answer that creates it adds `key`, the secret. */
function view(key: ApiKey) {
  const { id, name, start, scopes, environment, ipAllowlist, status, createdAt, expiresAt, lastUsedAt } = key;
  return { id, name, start, scopes, environment, ipAllowlist, status, createdAt, expiresAt, lastUsedAt };
}
