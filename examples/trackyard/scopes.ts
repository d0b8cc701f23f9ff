import { defineScopes, type ScopeName } from "keybearer";

/** What a key can be allowed. One with `read` alone is read-only, one with `download` alone is download-only. */
export const scopes = defineScopes({
  read: { description: "Search the catalogue, read usage and reports" },
  download: { description: "Download tracks" },
  "keys:manage": { description: "Create, list and revoke keys of the same environment" },
  admin: { description: "Everything, and what is for admins only", implies: ["*"] },
});

export type TrackyardScope = ScopeName<typeof scopes>;

/** What a key gets when nobody says. */
export const USUAL: readonly TrackyardScope[] = ["read", "download"];
