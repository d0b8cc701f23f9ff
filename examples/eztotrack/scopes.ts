import { defineScopes, type ScopeName } from "keybearer";

/** What a key can be allowed. Writing drivers does not bring reading them along: a key names both. */
export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles, locations, and stats" },
  "drivers:read": { description: "List and view drivers" },
  "drivers:write": { description: "Create and update drivers", audit: true },
  "hos:read": { description: "View HOS clocks, logs, and violations" },
});

export type EztScope = ScopeName<typeof scopes>;
