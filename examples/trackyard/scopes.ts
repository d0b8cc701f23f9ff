import { defineScopes, type ScopeName } from "keybearer";

/** The scopes of the API. A key with only `read` is read-only, a key with only `download` is download-only. */
export const scopes = defineScopes({
  read: { description: "Search the catalogue, read usage and reports" },
  download: { description: "Download tracks" },
  "keys:manage": { description: "Create, list and revoke keys of the same environment" },
  admin: { description: "Everything, including admin routes", implies: ["*"] },
});

export type TrackyardScope = ScopeName<typeof scopes>;

/** The scopes of a new key by default. */
export const DEFAULT_SCOPES: readonly TrackyardScope[] = ["read", "download"];
