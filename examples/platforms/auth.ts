// What the examples beside share: a service of two scopes. Take a store that lasts; see docs/stores.md.

import { createKeyManager, createVerifier, defineScopes, keyFormat } from "keybearer";
import { memoryStore } from "keybearer/stores/memory";

export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
});
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

const store = memoryStore();
export const manager = createKeyManager({ store, scopes, format });
export const verifier = createVerifier({ store, scopes, format, environment: "live" });
