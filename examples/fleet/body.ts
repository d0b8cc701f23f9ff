import { z } from "zod";
import { issuesOf, requiredOr } from "../issues.js";
import { FleetError, notJson } from "./errors.js";

const members = {
  name: z
    .string(requiredOr("must be a string"))
    .trim()
    .min(1, "must not be empty")
    .max(100, "must have at most 100 characters"),
  licence: z
    .string(requiredOr("must be a string"))
    .regex(/^[A-Z0-9-]{5,20}$/, "must be 5 to 20 capital letters, digits and dashes"),
  status: z.enum(["active", "inactive"], requiredOr("must be active or inactive")),
};
const { name, licence } = members;
const id = z.string(requiredOr("must be a string")).min(1, "must not be empty");
const object = requiredOr("must be a JSON object");

const changesSomething = (body: object) => Object.keys(body).some((member) => member !== "id");
const changesNothing = "must change name, licence or status";

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
 * Parses and checks a JSON body. It takes the bytes instead of the result of a body parser, so that the API accepts the same
 * bodies in all four frameworks.
 *
 * @throws FleetError 400 with every problem, or 415.
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
  const problems = issuesOf(result.error);
  const message = problems.map(({ path, message }) => `${path || "The body"} ${message}`).join("; ");
  throw new FleetError(400, "invalid_body", `${message}.`, problems);
}

function parse(bytes: Uint8Array): unknown {
  try {
    // JSON is UTF-8 (RFC 8259, section 8.1).
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new FleetError(400, "malformed_json", "The body is not valid JSON.");
  }
}
