import { type KeyManager, keybearer, keyFormat, type Verifier } from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { auditLog, lastUsed } from "keybearer/observers";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import { errorBody } from "./errors.js";
import { type InspectionScope, scopes } from "./scopes.js";

export interface Auth {
  /** Verifies requests for data, with keys. */
  readonly verifier: Verifier<InspectionScope>;
  /** Verifies requests of admins, with JWTs. */
  readonly adminVerifier: Verifier<InspectionScope>;
  readonly keys: KeyManager<InspectionScope>;
  /** Serves `/api-keys`, `/me` and `/openapi.json`. */
  readonly management: RequestHandler;
  /** Writes pending audit entries and last uses, so that the next read returns them. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export function createAuth(identity: IdentityProvider): Auth {
  const store = memoryStore();
  const usage = lastUsed(store, { onError: console.error });
  const audit = auditLog(store, { onError: console.error });

  const { verifier, keys } = keybearer({
    store,
    scopes,
    // insp_ and 64 hex digits, without a checksum
    format: keyFormat({ prefix: "insp", alphabet: "hex", length: 64, checksum: false }),
    realm: "inspections",
    lastUsed: false, // replaced by `usage`, which `flush` needs
    observers: [usage.observer, audit.observer],
  });
  const grantable = scopes.names.filter((name) => scopes.isGrantable(name));
  const adminVerifier = createJwtVerifier({
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
    keys,
    verifier: adminVerifier,
    keyVerifier: verifier,
    presenter: { error: (problem) => ({ body: errorBody(problem, problem.requestId) }) },
    onError: console.error,
    openapi: { info: { title: "Inspections: API keys", version: "1" } },
  });

  return {
    verifier,
    adminVerifier,
    keys,
    management,
    async flush() {
      await audit.flush();
      await usage.flush();
    },
    async close() {
      await audit.close();
      await usage.close();
    },
  };
}
