import * as z from "zod";
import { type ApiKey, AUDIT_ACTIONS, KEY_STATUSES } from "../kit.js";
import { KEY_MEMBERS, ME_MEMBERS } from "./serializers.js";
import type { ToWireName } from "./wire-names.js";

const string = z.string();
const date = z.iso.datetime();
const scopes = z.array(string).meta({ description: "As granted, without implied scopes" });

function memberSchemas(wireName: ToWireName): Record<keyof ApiKey, z.ZodType> {
  const rateLimit = z.strictObject({
    [wireName("limit")]: z.int().min(1),
    [wireName("windowSeconds")]: z.int().min(1),
  });
  return {
    id: string,
    version: z.int().nullable().meta({ description: "Grows by one with each change" }),
    ownerId: string,
    name: string.nullable(),
    start: string.meta({ description: "The first characters of the secret, to recognize it by" }),
    environment: string.nullable(),
    status: z.enum(KEY_STATUSES),
    scopes,
    ipAllowlist: z.array(string).nullable(),
    rateLimit: rateLimit.nullable(),
    metadata: z.record(string, z.unknown()).nullable(),
    createdAt: date.nullable(),
    updatedAt: date.nullable(),
    expiresAt: date.nullable(),
    lastUsedAt: date.nullable().meta({ description: "May lag by a minute" }),
    disabledAt: date.nullable(),
    suspendedAt: date.nullable().meta({ description: "When the owner was suspended" }),
    disabledBy: z
      .enum(["owner", "operator"])
      .nullable()
      .meta({ description: "Only an operator can enable a key that an operator disabled" }),
    revokedAt: date.nullable(),
    revokedReason: string.nullable(),
    rotatedAt: date.nullable(),
    replacedBy: string.nullable(),
    replaces: string.nullable(),
    rotationRoot: string.nullable(),
    createdBy: string.nullable().meta({ description: "Who created the key" }),
    createdByKey: string.nullable().meta({ description: "The id of the key that created this one" }),
  };
}

/** Schemas of the serialized key, of `GET /me` and of audit entries. */
export function resourceSchemas(wireName: ToWireName): {
  key: z.ZodType;
  me: z.ZodType;
  auditEntry: z.ZodType;
} {
  const members = memberSchemas(wireName);
  const pick = (names: readonly (keyof ApiKey)[]) => {
    const entries = names.map((name): [string, z.ZodType] => [wireName(name), members[name]]);
    return z.strictObject(Object.fromEntries(entries));
  };
  return {
    key: pick(KEY_MEMBERS),
    me: pick(ME_MEMBERS),
    auditEntry: z.strictObject({
      [wireName("id")]: string,
      [wireName("at")]: date,
      [wireName("action")]: z.enum(AUDIT_ACTIONS),
      [wireName("keyId")]: string,
      [wireName("ownerId")]: string,
      [wireName("actor")]: string.nullable().meta({ description: "Who made the change" }),
      [wireName("details")]: z.record(string, z.unknown()),
    }),
  };
}

/** Schema of a page of a list. */
export function pageSchema(item: z.ZodType, wireName: ToWireName): z.ZodType {
  return z.strictObject({
    [wireName("items")]: z.array(item),
    [wireName("nextCursor")]: string.optional().meta({ description: "Absent on the last page" }),
    [wireName("damaged")]: z
      .array(string)
      .optional()
      .meta({ description: "The ids of items that cannot be read; absent if there are none" }),
  });
}

/** Schema of a key with its secret. */
export function issuedSchema(key: z.ZodType, wireName: ToWireName): z.ZodType {
  return z.strictObject({
    [wireName("secret")]: string.meta({ description: "Shown only once" }),
    [wireName("key")]: key,
  });
}

/** Schema of an error. Verifiers may add members. */
export function errorSchema(codes: readonly string[], wireName: ToWireName): z.ZodType {
  const names = z.array(string).optional();
  return z.looseObject({
    [wireName("message")]: string.meta({ description: "For people; may change" }),
    [wireName("code")]: z.enum(codes).meta({ description: "Stable" }),
    [wireName("requestId")]: string.meta({ description: "Also in the header X-Request-Id" }),
    [wireName("errors")]: z
      .array(z.strictObject({ [wireName("path")]: string, [wireName("message")]: string }))
      .optional()
      .meta({ description: "Every invalid member of the input" }),
    [wireName("requiredScopes")]: names,
    [wireName("grantedScopes")]: names,
    [wireName("missingScopes")]: names,
  });
}
