import type { ApiKey } from "../../../src/index.js";

// What a credential may do, by tables that share no code with `src`.

export const SCOPES = ["keys:manage", "vehicles:read", "vehicles:write", "drivers:read"] as const;
export type Scope = (typeof SCOPES)[number];
const HELD: Readonly<Record<Scope, readonly Scope[]>> = {
  "keys:manage": ["keys:manage"],
  "vehicles:read": ["vehicles:read"],
  "vehicles:write": ["vehicles:write", "vehicles:read"],
  "drivers:read": ["drivers:read"],
};

export const ENVIRONMENTS = ["live", "test"] as const;
export type Environment = (typeof ENVIRONMENTS)[number];

export const ADDRESSES = [
  "10.1.2.3",
  "10.9.9.9",
  "203.0.113.7",
  "2001:db8::7",
  "2001:db8:1::7",
  "::ffff:10.1.2.3",
  undefined,
] as const;
export type Address = (typeof ADDRESSES)[number];

const V4: readonly Address[] = ["10.1.2.3", "10.9.9.9", "203.0.113.7", "::ffff:10.1.2.3"];
const V6: readonly Address[] = ["2001:db8::7", "2001:db8:1::7"];

/** Networks, and which of the addresses each of them contains. */
export const NETWORKS: Readonly<Record<string, readonly Address[]>> = {
  "10.0.0.0/8": ["10.1.2.3", "10.9.9.9", "::ffff:10.1.2.3"],
  "10.1.0.0/16": ["10.1.2.3", "::ffff:10.1.2.3"],
  "10.1.2.3": ["10.1.2.3", "::ffff:10.1.2.3"],
  "203.0.113.0/24": ["203.0.113.7"],
  "2001:db8::/32": V6,
  "2001:db8:1::/48": ["2001:db8:1::7"],
  "0.0.0.0/0": V4,
  "::/0": V6,
};

/** A request to a service. The audience is that of the service. */
export interface Sent {
  readonly scope: Scope;
  readonly address: Address;
  readonly environment: Environment;
  readonly audience: "own" | "partner";
}

export const MATRIX: readonly Sent[] = SCOPES.flatMap((scope) =>
  ADDRESSES.flatMap((address) =>
    ENVIRONMENTS.flatMap((environment) =>
      (["own", "partner"] as const).map((audience) => ({ scope, address, environment, audience })),
    ),
  ),
);

/** What a credential may do, whether or not it is revoked or disabled. */
export interface Ceiling {
  readonly scopes: readonly string[];
  readonly networks: readonly string[] | null;
  readonly environment: string | null;
  /** In milliseconds since 1970. */
  readonly expiresAt: number;
  readonly rateLimit: ApiKey["rateLimit"];
}

export function ceilingOf({ scopes, ipAllowlist, environment, expiresAt, rateLimit }: ApiKey): Ceiling {
  return {
    scopes,
    networks: ipAllowlist,
    environment,
    expiresAt: expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
    rateLimit,
  };
}

export function holds(scopes: readonly string[], scope: Scope): boolean {
  return scopes.some((held) => HELD[held as Scope]?.includes(scope));
}

/** Whether a ceiling allows a request at a time. */
export function admits(ceiling: Ceiling, sent: Sent, time: number): boolean {
  const { scopes, networks, environment, expiresAt } = ceiling;
  const inNetworks =
    networks === null || networks.some((network) => NETWORKS[network]?.includes(sent.address));
  return holds(scopes, sent.scope) && inNetworks && environment === sent.environment && time < expiresAt;
}

/** Whether neither the burst nor the average of a limit is higher than that of another. */
export function isLimitedWithin(limit: Ceiling["rateLimit"], by: Ceiling["rateLimit"]): boolean {
  if (by === null) return true;
  if (limit === null) return false;
  return limit.limit <= by.limit && limit.limit / limit.windowSeconds <= by.limit / by.windowSeconds;
}
