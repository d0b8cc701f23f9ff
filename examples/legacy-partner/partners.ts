import { defineScopes, type ScopeName } from "keybearer";

/** The partners there are; the wire has their numbers. */
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

/** What a company may have booked. */
export type Feature = "WasteManagement" | "ELD";

/** What a partner may be allowed to read. */
export const scopes = defineScopes({
  "location-cargo": { description: "Where assets are, and what they pull" },
  "waste-management": { description: "Waste jobs" },
  hos: { description: "Drivers, and their hours of service" },
});

export type PartnerScope = ScopeName<typeof scopes>;

/** A part of a company's data, under the number that `allowedData` has. */
export interface Module {
  readonly scope: PartnerScope;
  /** What the company must have booked. */
  readonly needs?: Feature;
}

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
