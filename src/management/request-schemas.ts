import * as z from "zod";
import { parseDuration } from "../internal/duration.js";
import { cidrProblem, decodeCursor, KEY_STATUSES, type Scopes } from "../kit.js";
import type { BODY_MEMBERS } from "./options.js";
import type { ToWireName } from "./wire-names.js";

/** Schemas of request bodies, with the names on the wire. The OpenAPI document has the same ones. */
export interface BodySchemas {
  readonly create: z.ZodType;
  readonly update: z.ZodType;
  readonly rotate: z.ZodType;
  readonly revoke: z.ZodType;
  readonly none: z.ZodType;
}

/** Schemas of queries, with the names on the wire. */
export interface QuerySchemas {
  readonly list: z.ZodObject;
  readonly audit: z.ZodObject;
  readonly revoke: z.ZodObject;
  readonly none: z.ZodObject;
}

/** What the schemas depend on. */
export interface SchemaOptions {
  readonly scopes: Scopes;
  readonly environments: readonly string[] | undefined;
  readonly input: typeof BODY_MEMBERS;
  readonly wireName: ToWireName;
  /** Whether the scopes of a new key may come from `defaults` instead of the body. */
  readonly scopesOptional: boolean;
  /** Whether only the body can set the environment of a new key. Then the document requires it; the manager checks it. */
  readonly environmentRequired: boolean;
  readonly pageSize: number;
}

const DESCENDANTS = "Whether to revoke everything made from the key as well; false by default";
const MAX_STRING_LENGTH = 255;
const MAX_ITEMS = 1_000;

/** Creates the schemas of bodies. They check the shape; the manager checks what values mean, and metadata. */
export function createBodySchemas(options: SchemaOptions): BodySchemas {
  const { input, wireName, scopesOptional, environmentRequired } = options;
  const known = memberSchemas(options);
  const body = (names: readonly string[], required: readonly string[] = []) => {
    const members = names
      .filter((name) => known[name] !== undefined)
      .map((name) => {
        const schema = known[name] as z.ZodType;
        return [wireName(name), required.includes(name) ? schema : schema.optional()] as const;
      });
    return z.strictObject(Object.fromEntries(members));
  };
  const create = body(input.create, scopesOptional ? [] : ["scopes"]);
  return {
    create: environmentRequired ? create.meta({ required: ["scopes", "environment"].map(wireName) }) : create,
    update: body(input.update),
    rotate: body(input.rotate),
    revoke: body(["reason", "descendants"]),
    none: body([]),
  };
}

/** Creates the schemas of queries. Every value in a query is a string. */
export function createQuerySchemas({ environments, wireName, pageSize }: SchemaOptions): QuerySchemas {
  const limit = z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(1_000))
    .optional()
    .meta({ description: `The maximum number of items on the page; ${pageSize} by default` });
  const cursor = z
    .string()
    .min(1)
    .max(2_048)
    .refine(isReadableCursor, { error: "is not a cursor of this list" })
    .optional()
    .meta({ description: `The ${wireName("nextCursor")} of the previous page` });
  const page = { [wireName("cursor")]: cursor, [wireName("limit")]: limit };
  const environment = environments ? z.enum(environments) : z.string().min(1).max(MAX_STRING_LENGTH);
  return {
    list: z.strictObject({
      [wireName("status")]: z
        .enum(KEY_STATUSES)
        .optional()
        .meta({ description: "Only keys with this status" }),
      [wireName("environment")]: environment
        .optional()
        .meta({ description: "Only keys of this environment" }),
      [wireName("search")]: z
        .string()
        .min(1)
        .max(MAX_STRING_LENGTH)
        .optional()
        .meta({ description: "Only keys whose name contains this, or whose start begins with it" }),
      [wireName("createdByKey")]: z
        .string()
        .min(1)
        .max(MAX_STRING_LENGTH)
        .optional()
        .meta({ description: "Only keys that this key created" }),
      ...page,
    }),
    audit: z.strictObject(page),
    revoke: z.strictObject({
      [wireName("reason")]: reasonSchema().optional(),
      [wireName("descendants")]: z
        .enum(["true", "false"])
        .transform((value) => value === "true")
        .pipe(z.boolean())
        .optional()
        .meta({ description: DESCENDANTS }),
    }),
    none: z.strictObject({}),
  };
}

/** Rejects a forged cursor with characters that a database cannot store. */
function isReadableCursor(cursor: string): boolean {
  try {
    return !/\p{Cc}|\p{Cs}/u.test(decodeCursor(cursor).id);
  } catch {
    return true; // a store with another cursor format checks its cursors itself
  }
}

function memberSchemas({ scopes, environments, wireName }: SchemaOptions): Record<string, z.ZodType> {
  const positive = z.int().min(1);
  return {
    name: z.string().max(MAX_STRING_LENGTH).nullable().meta({ description: "A name for people" }),
    scopes: z
      .array(scopeSchema(scopes))
      .max(MAX_ITEMS)
      .meta({ description: "What the key may do. Fixed at creation" }),
    ...(environments && {
      environment: z.enum(environments).meta({
        description:
          "Where the key works. Fixed at creation. Required if there are several and your credential has none",
      }),
    }),
    ipAllowlist: z
      .array(networkSchema())
      .max(MAX_ITEMS)
      .nullable()
      .meta({
        description: "The networks the key works from. null: all, empty: none",
        examples: [["203.0.113.0/24"]],
      }),
    expiresAt: z.iso
      .datetime({ offset: true })
      .nullable()
      .meta({
        description: "When the key expires: a date in the future with an offset. null: never",
        examples: ["2040-01-31T12:00:00Z"],
      }),
    metadata: z
      .custom((value) => typeof value === "object" && !Array.isArray(value), { error: "must be an object" })
      .meta({
        type: ["object", "null"],
        additionalProperties: true,
        description: "Your own data about the key: JSON values by name, at most 100 members and 16 KiB",
      }),
    rateLimit: z
      .strictObject({
        [wireName("limit")]: positive.meta({ description: "Requests" }),
        [wireName("windowSeconds")]: positive.meta({ description: "Seconds" }),
      })
      .nullable()
      .meta({ description: "The number of requests allowed in a window. null: no limit for this key" }),
    overlap: z
      .string()
      .refine((value) => parseDuration(value) !== undefined, {
        error: 'must be a duration such as "30s", "15m", "24h" or "90d", up to 36500d',
      })
      .meta({ description: "How long the old secret still works", pattern: "^[0-9]{1,12}(ms|s|m|h|d)$" }),
    reason: reasonSchema(),
    descendants: z.boolean().meta({ description: DESCENDANTS }),
  };
}

function scopeSchema(scopes: Scopes): z.ZodType {
  const problemOf = (name: unknown) =>
    typeof name === "string" && scopes.get(name) !== undefined
      ? "is planned and cannot be granted yet"
      : "is not a defined scope";
  return z.enum(
    scopes.names.filter((name) => scopes.isGrantable(name)),
    { error: ({ input }) => problemOf(input) },
  );
}

function networkSchema(): z.ZodType {
  const network = z.string({ error: "must be a string" }).superRefine((entry, context) => {
    const message = cidrProblem(entry);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
  return network.meta({ description: "An IP address, or a network in CIDR notation" });
}

function reasonSchema(): z.ZodType {
  return z.string().max(MAX_STRING_LENGTH).meta({ description: "Why the key is revoked" });
}
