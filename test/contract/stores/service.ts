import {
  type AuthResult,
  createKeyManager,
  createVerifier,
  defineScopes,
  type KeyManager,
  keyFormat,
  type ManagedKeyStore,
  type Verifier,
} from "../../../src/index.js";

export interface Service {
  readonly manager: KeyManager;
  readonly verifier: Verifier;
  verify(secret: string, remoteAddress?: string): Promise<AuthResult>;
}

/** Creates a manager and a verifier over one store. */
export function serviceOver(store: ManagedKeyStore, clock: () => Date = () => new Date()): Service {
  const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
  const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
  const manager = createKeyManager({ store, scopes, format, clock });
  const verifier = createVerifier({ store, scopes, format, clock, storeTimeout: "30s" });
  return {
    manager,
    verifier,
    verify: (secret, remoteAddress = "192.0.2.7") =>
      verifier.verify({ headers: { authorization: `Bearer ${secret}` }, remoteAddress }, "vehicles:read"),
  };
}
