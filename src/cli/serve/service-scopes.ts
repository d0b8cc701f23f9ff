/** The scopes of `keybearer serve`, in addition to those of the configuration. */
export const SERVICE_SCOPES = {
  "keybearer:read": { description: "List the keys of the own owner" },
  "keybearer:verify": { description: "Verify keys, of the own owner only unless it is the operator" },
  "keybearer:write": {
    description: "Create, change and revoke the keys of the own owner",
    implies: ["keybearer:read", "keybearer:verify"],
  },
  "keybearer:metrics": { description: "Read the metrics of the service" },
  "keybearer:admin": { description: "Everything, and every scope for new keys", implies: ["*"] },
} as const;
