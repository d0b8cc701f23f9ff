import { generateKeyPairSync, randomUUID } from "node:crypto";
import type { ManagedKeyStore, Verifier } from "../../../src/index.js";
import { createTokenService, type TokenService } from "../../../src/oauth/index.js";

export const HEARTBEAT = "500ms";
/** The heartbeat and the default time limit of a store. */
export const BOUND_MS = 750;
/** The channel of the bus; the processes of one run share it. */
export const CHANNEL: string = process.env.CHANNEL ?? `keybearer:test:${randomUUID()}`;
/** The key that signs tokens; the processes of one run share it. */
export const SIGNING_KEY: string =
  process.env.SIGNING_KEY ??
  generateKeyPairSync("ec", { namedCurve: "P-256" })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();

/** Creates the token service of a process. It looks up the key of a token at every heartbeat. */
export function tokensOver(store: ManagedKeyStore, verifier: Verifier): TokenService {
  const url = "https://api.example.com";
  return createTokenService({
    issuer: url,
    audience: url,
    signingKey: SIGNING_KEY,
    ttl: "10m",
    keyTtl: HEARTBEAT,
    revocations: "per-process",
    verifier,
    store,
  });
}

/** What a reader waits for. */
export interface Wait {
  readonly credentials: readonly string[];
  readonly until: "denied" | "allowed";
}

/** What a writer does: calls a method of the manager for each target. */
export interface Change {
  readonly method: "revoke" | "revokeAll" | "suspendOwner" | "resumeOwner";
  readonly targets: readonly (string | { readonly ownerId: string })[];
}
