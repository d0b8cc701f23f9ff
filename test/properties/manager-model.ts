import type { KeyStatus } from "../../src/index.js";
import type { FleetScope } from "../unit/core/fixtures.js";

/** A key, in the plainest form. Moments are milliseconds. */
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
  revokedAt: number | null;
  revokedReason: string | null;
  rotatedAt: number | null;
  replacedBy: string | null;
  lastUsedAt: number | null;
  /** Oldest first. */
  readonly actions: string[];
}

/** What is, and what was. */
export interface Model {
  now: number;
  keys: ModelKey[];
  purged: ModelKey[];
}

/** One of the keys, or the id of one that is not there. */
export function pick({ keys, purged }: Model, place: number): { id: string; key: ModelKey | undefined } {
  const key = keys[place];
  return { id: key?.id ?? purged[place - keys.length]?.id ?? "key_of_nobody", key };
}

export function statusOf(key: ModelKey, now: number): KeyStatus {
  if (key.revokedAt !== null) return "revoked";
  if (key.disabledAt !== null) return "disabled";
  if (key.expiresAt !== null && now >= key.expiresAt) return "expired";
  return key.rotatedAt === null ? "active" : "retiring";
}

export function newestFirst(a: ModelKey, b: ModelKey): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1);
}

export function actionsOf({ actions }: ModelKey): string[] {
  return [...actions].reverse();
}

/** Of the networks and addresses that the commands know. */
export function isAllowed({ ipAllowlist }: ModelKey, address: string | undefined): boolean {
  if (ipAllowlist === null) return true;
  if (address === undefined) return false;
  return ipAllowlist.some((network) =>
    network.includes(":") ? address.startsWith("2001:db8:") : address.startsWith("192.0.2."),
  );
}

const ENOUGH: Readonly<Record<string, readonly FleetScope[]>> = {
  "vehicles:read": ["vehicles:read", "vehicles:write", "fleet:admin"],
  "vehicles:write": ["vehicles:write", "fleet:admin"],
  "drivers:read": ["drivers:read", "fleet:admin"],
  "fleet:admin": ["fleet:admin"],
};

export function isHeld(granted: readonly FleetScope[], scope: string): boolean {
  return granted.some((one) => ENOUGH[scope]?.includes(one));
}

/** The key as a manager shows it. */
export function viewOf(key: ModelKey, now: number): object {
  const { secret: _, actions: __, ...members } = key;
  const dates = ["createdAt", "expiresAt", "disabledAt", "revokedAt", "rotatedAt", "lastUsedAt"] as const;
  const dated = dates.map((name) => [name, key[name] === null ? null : new Date(key[name])]);
  return { ...members, ...Object.fromEntries(dated), status: statusOf(key, now) };
}
