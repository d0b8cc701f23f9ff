import { defineScopes, keybearer, keyFormat } from "keybearer";
import { memoryStore } from "keybearer/stores/memory";

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
const format = keyFormat({ prefix: "ezt" });
const { verifier, keys } = keybearer({ store: memoryStore(), scopes, format, lastUsed: false });

export { verifier };

/** Creates a key that may read vehicles. Returns its secret. */
export async function createSecret(): Promise<string> {
  return (await keys.create({ ownerId: "acme", scopes: ["vehicles:write"] })).secret;
}
