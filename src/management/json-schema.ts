import * as z from "zod";

type Json = Record<string, unknown>;

/**
 * Converts a zod schema to JSON Schema 2020-12, the draft of OpenAPI 3.1. With a name, its references point to the
 * schema of this name in the components of the document.
 */
export function jsonSchema(schema: z.ZodType, name?: string): Json {
  const { $schema: _, ...result } = z.toJSONSchema(schema, {
    target: "draft-2020-12",
    io: "output",
    unrepresentable: "any",
    override({ zodSchema, jsonSchema: written }) {
      const { def } = zodSchema._zod;
      if (def.type === "date") Object.assign(written, { type: "string", format: "date-time" });
      // The format is enough; zod's pattern for it is very long.
      if (written.format === "date-time") delete written.pattern;
    },
  });
  return name === undefined ? result : rebaseReferences(result, `#/components/schemas/${name}`);
}

/** Makes references relative to the root of the document instead of the root of the schema. */
function rebaseReferences<T>(value: T, root: string): T {
  if (Array.isArray(value)) return value.map((item) => rebaseReferences(item, root)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) =>
      name === "$ref" && typeof member === "string" && member.startsWith("#")
        ? [name, `${root}${member.slice(1)}`]
        : [name, rebaseReferences(member, root)],
    ),
  ) as T;
}
