import { createKeyManager, createVerifier, type KeyManager, keyFormat, type Verifier } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { auditLog, lastUsed } from "keybearer/observers";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import { errorBody } from "./failure.js";
import { type InspectionScope, scopes } from "./scopes.js";

/** What the API needs to know of keys. */
export interface Keys {
  /** Decides over requests for data. */
  readonly verifier: Verifier<InspectionScope>;
  /** Decides who manages keys: the admins of a company, with the JWT that they signed in with. */
  readonly admins: Verifier<InspectionScope>;
  readonly manager: KeyManager<InspectionScope>;
  /** `/api-keys`. Its update has no scopes: they are fixed when a key is created. */
  readonly management: RequestHandler;
  /** Writes the calls of routes with an `audit` scope to the trail that have been waiting for it. */
  flushAudit(): Promise<void>;
  close(): Promise<void>;
}

export function createKeys(identity: IdentityProvider): Keys {
  const store = memoryStore();
  // insp_ and 64 hex digits, without a checksum
  const format = keyFormat({ prefix: "insp", alphabet: "hex", length: 64, checksum: false });
  const usage = lastUsed(store, { intervalMs: 1_000, onError: console.error });
  const audit = auditLog(store, { onError: console.error });

  const verifier = createVerifier({
    store,
    scopes,
    format,
    realm: "inspections",
    observers: [usage.observer, audit.observer],
  });
  const manager = createKeyManager({ store, scopes, format });
  const grantable = scopes.names.filter((name) => scopes.isGrantable(name));
  const admins = createJwtVerifier({
    issuer: identity.issuer,
    audience: identity.audience,
    algorithms: identity.algorithms,
    key: identity.publicKey,
    scopes,
    realm: "inspections",
    principal: ({ company, role }) =>
      typeof company === "string" && role === "admin" ? { ownerId: company, scopes: grantable } : undefined,
  });
  const management = createManagementApi({
    manager,
    verifier: admins,
    keyVerifier: verifier,
    presenter: { error: (problem) => ({ body: errorBody(problem, problem.requestId) }) },
    onError: console.error,
    info: { title: "Inspections: API keys", version: "1" },
  });

  return {
    verifier,
    admins,
    manager,
    management,
    flushAudit: () => audit.flush(),
    async close() {
      await audit.close();
      await usage.close();
    },
  };
}
