import { createKeyManager, createVerifier, defineScopes, keyFormat } from "keybearer";
import { memoryStore } from "keybearer/stores/memory";

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
const format = keyFormat({ prefix: "ezt" });
const store = memoryStore();

export const verifier = createVerifier({ store, scopes, format });

/** The secret of a key that may read vehicles. */
export async function issue(): Promise<string> {
  const manager = createKeyManager({ store, scopes, format });
  return (await manager.create({ ownerId: "acme", scopes: ["vehicles:write"] })).secret;
}
