// The verifier and manager that the other files use. For production, choose a persistent store; see docs/stores.md.

import { defineScopes, keybearer, keyFormat } from "keybearer";
import { memoryStore } from "keybearer/stores/memory";

export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
});

export const { verifier, keys } = keybearer({
  store: memoryStore(),
  scopes,
  format: keyFormat({ prefix: "ezt", environments: ["live", "test"] }),
  environment: "live",
  lastUsed: false, // serverless platforms suspend the process between requests, so nothing can be written later
});
