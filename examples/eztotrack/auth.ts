import { type ApiKey, keybearer, keyFormat, type Verifier } from "keybearer";
import { createDashboard } from "keybearer/dashboard";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import type { InputIssue } from "../issues.js";
import { userOfCookie } from "../session.js";
import { errorBody, sentence } from "./errors.js";
import { type EztScope, scopes } from "./scopes.js";

export interface Auth {
  /** Verifies requests for data. Keys of both environments are valid; each reads its own data. */
  readonly verifier: Verifier<EztScope>;
  /** Serves `/api/v2/api-keys`. */
  readonly management: RequestHandler;
  /** Serves `/settings/api-keys`, the page for admins. */
  readonly keyPage: RequestHandler;
  close(): Promise<void>;
}

export function createAuth(identity: IdentityProvider): Auth {
  const { verifier, keys, close } = keybearer({
    store: memoryStore(),
    scopes,
    format: keyFormat({ prefix: "ezt", environments: ["live", "test"] }),
    realm: "eztotrack",
    trustedProxies: process.env.TRUSTED_PROXIES?.split(",") ?? [],
    lastUsed: { interval: "1s", onError: console.error },
  });

  const admins = createJwtVerifier({
    issuer: identity.issuer,
    audience: identity.audience,
    algorithms: identity.algorithms,
    key: identity.publicKey,
    scopes,
    realm: "eztotrack",
    // The owner is the company in the token. Admins may grant every scope; other users are denied.
    principal: ({ company, role }) =>
      typeof company === "string" && role === "admin"
        ? { ownerId: company, scopes: scopes.names }
        : undefined,
  });

  const management = createManagementApi({
    keys,
    // Only JWTs of the identity provider are accepted: API keys cannot manage keys.
    verifier: admins,
    basePath: "/api/v2",
    routes: ["create", "list", "get", "update", "revoke", "rotate"],
    input: {
      create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt"],
      update: ["name", "ipAllowlist", "expiresAt"],
    },
    defaults: () => ({ environment: "live" }),
    overlap: "0s", // the contract of this API: a rotation ends the old secret
    presenter: {
      naming: (member) => (member === "cursor" ? "after" : member),
      key: view,
      created: ({ key, secret }) => ({ ...view(key), key: secret }),
      rotated: ({ key, secret }) => ({ ...view(key), key: secret }),
      list: ({ items, nextCursor }) => ({
        data: items.map(view),
        pagination: { endCursor: nextCursor ?? "", hasNextPage: nextCursor !== undefined },
      }),
      error: ({ message, requestId, details }) => {
        const errors = details.errors as readonly InputIssue[] | undefined;
        if (errors === undefined) return { body: errorBody({ message, details }, requestId) };
        const known = errors.some(({ path }) => path.startsWith("scopes"))
          ? ` Scopes are ${scopes.names.join(", ")}.`
          : "";
        return { body: { message: sentence(errors) + known, requestId, errors } };
      },
    },
  });

  const keyPage = createDashboard({
    keys,
    title: "EZToTrack API keys",
    signInUrl: identity.issuer,
    signedIn: (request) => userOfCookie(admins, request),
    defaults: () => ({ environment: "live" }),
    trustedProxies: process.env.TRUSTED_PROXIES?.split(",") ?? [],
    onError: console.error,
  });

  return { verifier, management, keyPage, close };
}

/** Returns the public view of a key. Only the response to its creation also has `key`, the secret. */
function view(key: ApiKey) {
  const { id, name, start, scopes, environment, ipAllowlist, status, createdAt, expiresAt, lastUsedAt } = key;
  return { id, name, start, scopes, environment, ipAllowlist, status, createdAt, expiresAt, lastUsedAt };
}
