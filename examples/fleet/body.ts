import { z } from "zod";
import { FleetError, notJson, type Problem } from "./failure.js";

const says = (problem: string) => ({
  error: (issue: { readonly input?: unknown }) => (issue.input === undefined ? "is required" : problem),
});

const members = {
  name: z
    .string(says("must be text"))
    .trim()
    .min(1, "must not be empty")
    .max(100, "must have at most 100 characters"),
  licence: z
    .string(says("must be text"))
    .regex(/^[A-Z0-9-]{5,20}$/, "must be 5 to 20 capital letters, digits and dashes"),
  status: z.enum(["active", "inactive"], says("must be active or inactive")),
};
const { name, licence } = members;
const id = z.string(says("must be text")).min(1, "must not be empty");
const object = says("must be a JSON object");

const changesSomething = (body: object) => Object.keys(body).some((member) => member !== "id");
const changesNothing = "must name something to change: name, licence or status";

/** The body of POST /fleet/drivers. */
export const newDriver = z.strictObject({ name, licence }, object);

/** The body of PATCH /fleet/drivers/:id. */
export const driverChange = z
  .strictObject(members, object)
  .partial()
  .refine(changesSomething, changesNothing);

/** The body of PATCH /fleet/drivers. */
export const namedDriverChange = z
  .strictObject(members, object)
  .partial()
  .extend({ id })
  .refine(changesSomething, changesNothing);

export type NewDriver = z.infer<typeof newDriver>;
export type DriverChange = z.infer<typeof driverChange>;
export type NamedDriverChange = z.infer<typeof namedDriverChange>;

/**
 * Reads and checks a JSON body. It takes bytes, not what the parser of a framework makes of them, so that all
 * four accept and refuse the same.
 *
 * @throws FleetError 400 or 415 that says what is wrong.
 */
export function readBody<T>(
  schema: z.ZodType<T>,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  bytes: Uint8Array = new Uint8Array(),
): T {
  const isJson = /^application\/json\s*(;|$)/i.test(String(headers["content-type"]));
  if (!isJson || (headers["content-encoding"] ?? "identity") !== "identity") throw notJson();
  const result = schema.safeParse(parse(bytes));
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap(problemsOf);
  const message = problems.map(({ path, message }) => `${path || "The body"} ${message}`).join("; ");
  throw new FleetError(400, "invalid_body", `${message}.`, problems);
}

function parse(bytes: Uint8Array): unknown {
  try {
    // JSON travels as UTF-8 (RFC 8259, 8.1).
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new FleetError(400, "malformed_json", "The body is not valid JSON.");
  }
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((path) => ({ path, message: "is not a known member" }));
  }
  return [{ path: issue.path.join("."), message: issue.message }];
}
