import * as z from "zod";
import type { ApiKey, AuditAction, AuditEntry } from "../kit.js";
import { type Spell, spelt } from "./naming.js";

/** The members that an API key shows of itself: neither its allowlist nor what the host keeps with it. */
const ME = [
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
] as const satisfies readonly (keyof ApiKey)[];

const KEY = [
  "id",
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
  "revokedAt",
  "revokedReason",
  "rotatedAt",
  "replacedBy",
  "replaces",
] as const satisfies readonly (keyof ApiKey)[];

/** A key as its owner sees it. Member by member: what a later version adds is shown when somebody says so. */
export function keyView(key: ApiKey, spell: Spell): Record<string, unknown> {
  const members = Object.fromEntries(KEY.map((name) => [name, key[name]]));
  return spelt({ ...members, rateLimit: key.rateLimit && spelt(key.rateLimit, spell) }, spell);
}

/** A key as it sees itself. */
export function meView(key: ApiKey, spell: Spell): Record<string, unknown> {
  return spelt(Object.fromEntries(ME.map((name) => [name, key[name]])), spell);
}

/** An entry of the audit trail. */
export function auditView(entry: AuditEntry, spell: Spell): Record<string, unknown> {
  const { id, at, action, keyId, ownerId, actor, details } = entry;
  const shown: Record<string, unknown> = spelt(details, spell);
  if (action === "updated" && Array.isArray(details.members)) {
    shown[spell("members")] = details.members.map((name) => spell(String(name)));
  }
  return spelt({ id, at, action, keyId, ownerId, actor, details: shown }, spell);
}

const text = z.string();
const date = z.iso.datetime();
const scopes = z.array(text).meta({ description: "As granted, without what they imply" });

/** Schemas of every member of a key. */
function keyMembers(spell: Spell): Record<keyof ApiKey, z.ZodType> {
  const rateLimit = z.strictObject({
    [spell("limit")]: z.int().min(1),
    [spell("windowSeconds")]: z.int().min(1),
  });
  return {
    id: text,
    ownerId: text,
    name: text.nullable(),
    start: text.meta({ description: "The first characters of the secret, to recognise it by" }),
    environment: text.nullable(),
    status: z.enum(["active", "disabled", "expired", "revoked", "retiring"]),
    scopes,
    ipAllowlist: z.array(text).nullable(),
    rateLimit: rateLimit.nullable(),
    metadata: z.record(text, z.unknown()).nullable(),
    createdAt: date.nullable(),
    updatedAt: date.nullable(),
    expiresAt: date.nullable(),
    lastUsedAt: date.nullable().meta({ description: "May lag by a minute" }),
    disabledAt: date.nullable(),
    revokedAt: date.nullable(),
    revokedReason: text.nullable(),
    rotatedAt: date.nullable(),
    replacedBy: text.nullable(),
    replaces: text.nullable(),
  };
}

/** Schemas of what the views answer. */
export function viewSchemas(spell: Spell): { key: z.ZodType; me: z.ZodType; entry: z.ZodType } {
  const members = keyMembers(spell);
  const shape = (names: readonly (keyof ApiKey)[]) => {
    const entries = names.map((name): [string, z.ZodType] => [spell(name), members[name]]);
    return z.strictObject(Object.fromEntries(entries));
  };
  const actions: readonly AuditAction[] = [
    "created",
    "imported",
    "updated",
    "disabled",
    "enabled",
    "revoked",
    "rotated",
    "rehashed",
    "purged",
    "used",
  ];
  return {
    key: shape(KEY),
    me: shape(ME),
    entry: z.strictObject({
      [spell("id")]: text,
      [spell("at")]: date,
      [spell("action")]: z.enum(actions),
      [spell("keyId")]: text,
      [spell("ownerId")]: text,
      [spell("actor")]: text.nullable().meta({ description: "Who did it" }),
      [spell("details")]: z.record(text, z.unknown()),
    }),
  };
}

/** A page of a list. */
export function pageSchema(item: z.ZodType, spell: Spell): z.ZodType {
  return z.strictObject({
    [spell("items")]: z.array(item),
    [spell("nextCursor")]: text.optional().meta({ description: "Absent on the last page" }),
  });
}

/** A key with its secret. */
export function issuedSchema(key: z.ZodType, spell: Spell): z.ZodType {
  return z.strictObject({
    [spell("secret")]: text.meta({ description: "Shown this once" }),
    [spell("key")]: key,
  });
}

/** What is wrong with a request. Verifiers may add members. */
export function errorSchema(codes: readonly string[], spell: Spell): z.ZodType {
  const names = z.array(text).optional();
  return z.looseObject({
    [spell("message")]: text.meta({ description: "For people; may change" }),
    [spell("code")]: z.enum(codes).meta({ description: "Stable" }),
    [spell("requestId")]: text.meta({ description: "Also in the header X-Request-Id" }),
    [spell("errors")]: z
      .array(z.strictObject({ [spell("path")]: text, [spell("message")]: text }))
      .optional()
      .meta({ description: "Everything that is wrong with the input" }),
    [spell("requiredScopes")]: names,
    [spell("grantedScopes")]: names,
    [spell("missingScopes")]: names,
  });
}
