import * as z from "zod";

type Json = Record<string, unknown>;

/**
 * A zod schema as JSON Schema of the draft that OpenAPI 3.1 has (2020-12). With a name its references lead to
 * where it stands in the components of a document.
 */
export function jsonSchema(schema: z.ZodType, name?: string): Json {
  const { $schema: _, ...result } = z.toJSONSchema(schema, {
    target: "draft-2020-12",
    io: "output",
    unrepresentable: "any",
    override({ zodSchema, jsonSchema: written }) {
      const { def } = zodSchema._zod;
      if (def.type === "date") Object.assign(written, { type: "string", format: "date-time" });
      // The format says it already, and the pattern is longer than all the rest.
      if (written.format === "date-time") delete written.pattern;
    },
  });
  return name === undefined ? result : rebased(result, `#/components/schemas/${name}`);
}

/** References count from the root of the document, where a schema that stood alone counts from its own. */
function rebased<T>(value: T, root: string): T {
  if (Array.isArray(value)) return value.map((item) => rebased(item, root)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) =>
      name === "$ref" && typeof member === "string" && member.startsWith("#")
        ? [name, `${root}${member.slice(1)}`]
        : [name, rebased(member, root)],
    ),
  ) as T;
}
