import { defineScopes } from "keybearer";

/** The scopes of the fleet API. An unknown scope in a route is a compile error. */
export const scopes = defineScopes({
  "vehicles:read": { description: "List vehicles" },
  "drivers:read": { description: "List drivers" },
  "drivers:write": {
    description: "Create and change drivers",
    implies: ["drivers:read"],
    audit: true,
  },
  "hos:read": { description: "Read hours of service" },
  "inspections:read": { description: "Read inspections" },
  "reports:read": { description: "Read reports", status: "planned" },
  "fleet:admin": { description: "Everything, including future scopes", implies: ["*"] },
});
