import type { ApiKey, AuditEntry } from "../kit.js";
import { renameMembers, type ToWireName } from "./wire-names.js";

/** The members of a key at `GET /me`: neither its allowlist nor its metadata, which belong to the owner. */
export const ME_MEMBERS: readonly (keyof ApiKey)[] = [
  "id",
  "ownerId",
  "name",
  "start",
  "environment",
  "scopes",
  "status",
  "createdAt",
  "expiresAt",
  "lastUsedAt",
];

/** The members of a key everywhere else. Listed one by one, so that later members are not exposed by accident. */
export const KEY_MEMBERS: readonly (keyof ApiKey)[] = [
  "id",
  "version",
  "ownerId",
  "name",
  "start",
  "environment",
  "status",
  "scopes",
  "ipAllowlist",
  "rateLimit",
  "metadata",
  "createdAt",
  "updatedAt",
  "expiresAt",
  "lastUsedAt",
  "disabledAt",
  "suspendedAt",
  "disabledBy",
  "revokedAt",
  "revokedReason",
  "rotatedAt",
  "replacedBy",
  "replaces",
  "createdBy",
  "createdByKey",
];

/** Serializes a key for its owner. */
export function serializeKey(key: ApiKey, wireName: ToWireName): Record<string, unknown> {
  const members = Object.fromEntries(KEY_MEMBERS.map((name) => [name, key[name]]));
  return renameMembers(
    { ...members, rateLimit: key.rateLimit && renameMembers(key.rateLimit, wireName) },
    wireName,
  );
}

/** Serializes a key for `GET /me`. */
export function serializeMe(key: ApiKey, wireName: ToWireName): Record<string, unknown> {
  return renameMembers(Object.fromEntries(ME_MEMBERS.map((name) => [name, key[name]])), wireName);
}

/** Serializes an entry of the audit trail. */
export function serializeAuditEntry(entry: AuditEntry, wireName: ToWireName): Record<string, unknown> {
  const { id, at, action, keyId, ownerId, actor, details } = entry;
  const wireDetails: Record<string, unknown> = renameMembers(details, wireName);
  if (action === "updated" && Array.isArray(details.members)) {
    wireDetails[wireName("members")] = details.members.map((name) => wireName(String(name)));
  }
  return renameMembers({ id, at, action, keyId, ownerId, actor, details: wireDetails }, wireName);
}
