import type { Counters } from "./chain.js";

const REASONS = [
  "disabled",
  "expired",
  "insufficient_scope",
  "invalid_token",
  "ip_not_allowed",
  "ip_unknown",
  "key_changed",
  "rate_limited",
  "revoked",
  "token_revoked",
  "unrecognized_format",
  "wrong_environment",
];

/** What every run must have tested, by the names of the counters. */
const REQUIRED: readonly RegExp[] = [
  /^chains of depth 3 or more$/,
  ...[0, 1, 2, 3].map((depth) => new RegExp(`^allowed at depth ${depth}$`)),
  ...REASONS.map((reason) => new RegExp(`^denied: ${reason}$`)),
  ...["key", "token"].flatMap((kind) => [
    ...["POST /api-keys", "PATCH /api-keys/id", "POST /api-keys/id/rotate", "POST /api-keys/id/enable"].map(
      (line) => new RegExp(`^${line} by a ${kind}: done$`),
    ),
    ...["environment", "expiresAt", "ipAllowlist", "rateLimit"].map(
      (path) => new RegExp(`by a ${kind}: exceeds_own_key.*${path}`),
    ),
    new RegExp(`^POST /api-keys by a ${kind}: insufficient_scope`),
  ]),
  /by a token: token_not_allowed/,
  /^exchange of a key: allowed$/,
  /^exchange of a token: invalid_key$/,
  /^token with narrowed scopes$/,
  /^token revoked$/,
  /^limit of a key and its token checked$/,
  /^clock set back$/,
  ...["disables", "enables", "rotates", "revokes", "changes the networks of"].flatMap((action) =>
    ["the root", "a descendant"].map((target) => new RegExp(`^the operator ${action} ${target}$`)),
  ),
  /^the operator changes the expiry of the root$/,
  /^the operator changes the limit of the root$/,
];

/** Returns what a run has not tested. */
export function missingFrom(counters: Counters): string[] {
  const names = [...counters.keys()];
  return REQUIRED.filter((pattern) => !names.some((name) => pattern.test(name))).map(String);
}

/** Returns the seed of one chain of a run. */
export function seedOf(seed: number, chain: number): number {
  return (Math.imul(seed, 0x9e3779b1) + chain) >>> 0;
}
