import { defineScopes, type ScopeName } from "keybearer";

/** The scopes of the API. `drivers:write` does not imply `drivers:read`; a key that needs both has both. */
export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles, locations, and stats" },
  "drivers:read": { description: "List and view drivers" },
  "drivers:write": { description: "Create and update drivers", audit: true },
  "hos:read": { description: "View HOS clocks, logs, and violations" },
});

export type EztScope = ScopeName<typeof scopes>;
