import type { KeyStatus } from "../../src/index.js";
import type { FleetScope } from "../unit/core/fixtures.js";

/** A key of the model. Times are in milliseconds. */
export interface ModelKey {
  readonly id: string;
  readonly secret: string;
  readonly ownerId: string;
  readonly environment: string;
  readonly scopes: readonly FleetScope[];
  readonly createdAt: number;
  readonly replaces: string | null;
  name: string | null;
  ipAllowlist: readonly string[] | null;
  expiresAt: number | null;
  disabledAt: number | null;
  suspendedAt: number | null;
  revokedAt: number | null;
  revokedReason: string | null;
  rotatedAt: number | null;
  replacedBy: string | null;
  lastUsedAt: number | null;
  /** Oldest first. */
  readonly actions: string[];
}

/** The state of the model. */
export interface Model {
  now: number;
  keys: ModelKey[];
  purged: ModelKey[];
  /** The owners that are suspended. */
  readonly suspended: Set<string>;
}

/** The ceiling of live keys per owner. */
export const MAX_KEYS = 4;

/** Returns the key at this index, or an id that does not exist. */
export function pick({ keys, purged }: Model, index: number): { id: string; key: ModelKey | undefined } {
  const key = keys[index];
  return { id: key?.id ?? purged[index - keys.length]?.id ?? "key_unknown", key };
}

export function statusOf(key: ModelKey, now: number): KeyStatus {
  if (key.revokedAt !== null) return "revoked";
  if (key.suspendedAt !== null) return "suspended";
  if (key.disabledAt !== null) return "disabled";
  if (key.expiresAt !== null && now >= key.expiresAt) return "expired";
  return key.rotatedAt === null ? "active" : "retiring";
}

export function isLive({ revokedAt, expiresAt }: ModelKey, now: number): boolean {
  return revokedAt === null && (expiresAt === null || now < expiresAt);
}

/** Returns the outcome of adding live keys, or bytes, to an owner. */
export function outcomeOfAdding(model: Model, ownerId: string, keys: number): string {
  if (model.suspended.has(ownerId)) return "KEYBEARER_KEY_STATE";
  const live = model.keys.filter((key) => key.ownerId === ownerId && isLive(key, model.now));
  return keys > 0 && live.length + keys > MAX_KEYS ? "KEYBEARER_KEY_LIMIT" : "done";
}

export function newestFirst(a: ModelKey, b: ModelKey): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1);
}

export function actionsOf({ actions }: ModelKey): string[] {
  return [...actions].reverse();
}

/** Checks the allowlist; supports only the networks and addresses of the commands. */
export function isAllowed({ ipAllowlist }: ModelKey, address: string | undefined): boolean {
  if (ipAllowlist === null) return true;
  if (address === undefined) return false;
  return ipAllowlist.some((network) =>
    network.includes(":") ? address.startsWith("2001:db8:") : address.startsWith("192.0.2."),
  );
}

const SUFFICIENT_SCOPES: Readonly<Record<string, readonly FleetScope[]>> = {
  "vehicles:read": ["vehicles:read", "vehicles:write", "fleet:admin"],
  "vehicles:write": ["vehicles:write", "fleet:admin"],
  "drivers:read": ["drivers:read", "fleet:admin"],
  "fleet:admin": ["fleet:admin"],
};

export function isHeld(granted: readonly FleetScope[], scope: string): boolean {
  return granted.some((name) => SUFFICIENT_SCOPES[scope]?.includes(name));
}

/** Returns the key as a manager returns it. */
export function viewOf(key: ModelKey, now: number): object {
  const { secret: _, actions: __, ...members } = key;
  const dates = [
    "createdAt",
    "expiresAt",
    "disabledAt",
    "suspendedAt",
    "revokedAt",
    "rotatedAt",
    "lastUsedAt",
  ] as const;
  const dated = dates.map((name) => [name, key[name] === null ? null : new Date(key[name])]);
  return { ...members, ...Object.fromEntries(dated), status: statusOf(key, now) };
}
