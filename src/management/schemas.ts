import * as z from "zod";
import { parseDuration } from "../internal/duration.js";
import { cidrProblem, decodeCursor, type Scopes } from "../kit.js";
import type { Spell } from "./naming.js";
import type { INPUT } from "./options.js";

/** The schemas that requests are read with, spelt as on the wire; the OpenAPI document shows the same ones. */
export interface RequestSchemas {
  readonly create: z.ZodType;
  readonly update: z.ZodType;
  readonly rotate: z.ZodType;
  readonly revoke: z.ZodType;
  readonly none: z.ZodType;
}

/** The parameters that a query may have, spelt as on the wire. */
export interface QuerySchemas {
  readonly list: z.ZodObject;
  readonly audit: z.ZodObject;
  readonly revoke: z.ZodObject;
  readonly none: z.ZodObject;
}

/** What the schemas are made of. */
export interface SchemaFacts {
  readonly scopes: Scopes;
  readonly environments: readonly string[] | undefined;
  readonly input: typeof INPUT;
  readonly spell: Spell;
  /** Whether a new key's scopes may come from elsewhere than the body. */
  readonly scopesOptional: boolean;
  readonly pageSize: number;
}

const MAX_TEXT = 255;
const MAX_ITEMS = 1_000;
const STATUSES = ["active", "disabled", "expired", "revoked", "retiring"] as const;

/** Schemas of bodies: shape only. What a value means, and metadata, is the manager's to check. */
export function requestSchemas(facts: SchemaFacts): RequestSchemas {
  const { input, spell, scopesOptional } = facts;
  const known = bodyMembers(facts);
  const body = (names: readonly string[], required: readonly string[] = []) => {
    const members = names
      .filter((name) => known[name] !== undefined)
      .map((name) => {
        const schema = known[name] as z.ZodType;
        return [spell(name), required.includes(name) ? schema : schema.optional()] as const;
      });
    return z.strictObject(Object.fromEntries(members));
  };
  return {
    create: body(input.create, scopesOptional ? [] : ["scopes"]),
    update: body(input.update),
    rotate: body(input.rotate),
    revoke: body(["reason"]),
    none: body([]),
  };
}

/** Schemas of queries. Everything in a query is a text. */
export function querySchemas({ environments, spell, pageSize }: SchemaFacts): QuerySchemas {
  const limit = z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .pipe(z.int().min(1).max(1_000))
    .optional()
    .meta({ description: `How many items the page may have; ${pageSize} when absent` });
  const cursor = z
    .string()
    .min(1)
    .max(2_048)
    .refine(isReadableCursor, { error: "is not one that a list has answered" })
    .optional()
    .meta({ description: `The ${spell("nextCursor")} of the page before` });
  const page = { [spell("cursor")]: cursor, [spell("limit")]: limit };
  const environment = environments ? z.enum(environments) : z.string().min(1).max(MAX_TEXT);
  return {
    list: z.strictObject({
      [spell("status")]: z.enum(STATUSES).optional().meta({ description: "Only keys in this state" }),
      [spell("environment")]: environment.optional().meta({ description: "Only keys of this environment" }),
      ...page,
    }),
    audit: z.strictObject(page),
    revoke: z.strictObject({ [spell("reason")]: reason().optional() }),
    none: z.strictObject({}),
  };
}

/** A client that makes its cursors up must not reach a database with what that cannot read. */
function isReadableCursor(cursor: string): boolean {
  try {
    return !/\p{Cc}|\p{Cs}/u.test(decodeCursor(cursor).id);
  } catch {
    return true; // that of a store with cursors of another form, which judges them itself
  }
}

function bodyMembers({ scopes, environments, spell }: SchemaFacts): Readonly<Record<string, z.ZodType>> {
  const whole = z.int().min(1);
  return {
    name: z.string().max(MAX_TEXT).nullable().meta({ description: "For people" }),
    scopes: z
      .array(scopeSchema(scopes))
      .max(MAX_ITEMS)
      .meta({ description: "What the key may do; fixed for its life" }),
    ...(environments && {
      environment: z.enum(environments).meta({ description: "Where the key works; fixed for its life" }),
    }),
    ipAllowlist: z
      .array(networkSchema())
      .max(MAX_ITEMS)
      .nullable()
      .meta({
        description: "Networks that may use the key. null: all, empty: none",
        examples: [["203.0.113.0/24"]],
      }),
    expiresAt: z.iso
      .datetime({ offset: true })
      .nullable()
      .meta({
        description: "From this moment on the key does not work: in the future, with an offset. null: never",
        examples: ["2040-01-31T12:00:00Z"],
      }),
    metadata: z
      .custom((value) => typeof value === "object" && !Array.isArray(value), { error: "must be an object" })
      .meta({
        type: ["object", "null"],
        description:
          "What you want to keep with the key: JSON values by name, at most 100 members and 16 KiB",
      }),
    rateLimit: z
      .strictObject({
        [spell("limit")]: whole.meta({ description: "Requests" }),
        [spell("windowSeconds")]: whole.meta({ description: "Seconds" }),
      })
      .nullable()
      .meta({ description: "So many requests in a window of so many seconds. null: no limit of its own" }),
    overlap: z
      .string()
      .refine((text) => parseDuration(text) !== undefined, {
        error: 'must be a duration such as "30s", "15m", "24h" or "90d", up to 36500d',
      })
      .meta({ description: "How long the old secret works on", pattern: "^[0-9]{1,12}(ms|s|m|h|d)$" }),
    reason: reason(),
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
  const network = z.string({ error: "must be a text" }).superRefine((entry, context) => {
    const message = cidrProblem(entry);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
  return network.meta({ description: "An IP address, or a network in CIDR notation" });
}

function reason(): z.ZodType {
  return z.string().max(MAX_TEXT).meta({ description: "Why the key is revoked" });
}
