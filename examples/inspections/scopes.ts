import { defineScopes, type ScopeName } from "keybearer";

/** The scopes of the API. Planned scopes cannot be granted yet. */
export const scopes = defineScopes({
  "vehicles:read": { description: "Read vehicles" },
  "vehicles:write": {
    description: "Create and update vehicles",
    implies: ["vehicles:read"],
    audit: true,
  },
  "inspections:read": { description: "Read inspection templates and inspections" },
  "inspections:write": {
    description: "Submit inspections",
    implies: ["inspections:read"],
    audit: true,
  },
  "reports:read": { description: "Read reports", status: "planned" },
  "webhooks:manage": { description: "Manage webhooks", status: "planned" },
  "users:read": { description: "Read users", status: "planned" },
  "analytics:read": { description: "Read analytics", status: "planned" },
});

export type InspectionScope = ScopeName<typeof scopes>;

/** Planned scopes that are not decided yet. */
const UNDER_REVIEW: readonly InspectionScope[] = ["users:read", "analytics:read"];

/** Named sets of scopes, which can be granted together. */
export const BUNDLES = [
  {
    name: "read-only-integration",
    description: "Dashboards, reporting, and synchronisation in one direction",
    scopes: ["vehicles:read", "inspections:read"],
  },
  {
    name: "inspection-submission",
    description: "Devices that submit inspections of known vehicles",
    scopes: ["vehicles:read", "inspections:write"],
  },
  {
    name: "full-fleet-management",
    description: "Systems that keep the fleet up to date and inspect it",
    scopes: ["vehicles:write", "inspections:write"],
  },
] as const satisfies readonly {
  readonly name: string;
  readonly description: string;
  readonly scopes: readonly InspectionScope[];
}[];

/** Returns every scope with its description and status. */
export function listScopes() {
  return scopes.names.map((name) => {
    const { description, implies = [] } = scopes.get(name) ?? {};
    return { name, description, status: statusOf(name), implies };
  });
}

function statusOf(name: InspectionScope) {
  if (scopes.isGrantable(name)) return "available";
  return UNDER_REVIEW.includes(name) ? "under_review" : "planned";
}
