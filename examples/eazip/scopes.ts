import { defineScopes, type ScopeName } from "keybearer";

/** Every key has all scopes. */
export const scopes = defineScopes({
  "api-keys:manage": { description: "List, create and revoke the user's keys" },
  "jobs:read": { description: "List the user's jobs" },
});

export type EazipScope = ScopeName<typeof scopes>;
