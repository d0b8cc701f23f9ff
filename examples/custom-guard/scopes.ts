import { defineScopes } from "keybearer";

export const scopes = defineScopes({
  "vehicles:read": { description: "List vehicles" },
  "vehicles:write": { description: "Create vehicles", implies: ["vehicles:read"] },
});
