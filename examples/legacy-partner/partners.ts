import { defineScopes, type ScopeName } from "keybearer";

/** The partners. Clients send the index. */
export const INTEGRATORS = [
  "Project44",
  "TrackerTools",
  "Schenker",
  "FourKites",
  "Highway",
  "Waste",
  "BrightOrder",
  "MDN",
] as const;

/** A feature that a company can book. */
export type Feature = "WasteManagement" | "ELD";

/** The scopes of a ClientKey and of its tokens. */
export const scopes = defineScopes({
  "location-cargo": { description: "Read positions of assets and their trailers" },
  "waste-management": { description: "Read waste jobs" },
  hos: { description: "Read drivers and their hours of service" },
});

export type PartnerScope = ScopeName<typeof scopes>;

/** A part of the data of a company. */
export interface Module {
  readonly scope: PartnerScope;
  /** The feature that the company must have. */
  readonly needs?: Feature;
}

/** The modules by their number in `allowedData`. */
export const MODULES: ReadonlyMap<number, Module> = new Map<number, Module>([
  [6, { scope: "location-cargo" }],
  [7, { scope: "waste-management", needs: "WasteManagement" }],
  [8, { scope: "hos", needs: "ELD" }],
]);

export interface Company {
  readonly id: number;
  readonly features: readonly Feature[];
}

export const COMPANIES: readonly Company[] = [
  { id: 7, features: ["ELD"] },
  { id: 8, features: ["WasteManagement"] },
];
