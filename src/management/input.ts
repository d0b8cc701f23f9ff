import type * as z from "zod";
import { readJson, readOptionalJson } from "../http/body.js";
import type { Fault } from "../http/problem.js";
import { KeyInputError } from "../kit.js";
import { pathOf, type Spell, speltPath } from "./naming.js";
import { faulty } from "./problems.js";

/** What a body or a query holds, under the names that this package uses. */
export type Members = Readonly<Record<string, unknown>>;

/** Reads the body of a request; one that may be absent is then empty. */
export async function readBody(
  request: Request,
  schema: z.ZodType,
  names: readonly string[],
  spell: Spell,
): Promise<Members> {
  const optional = schema.safeParse({}).success;
  const sent = optional ? await readOptionalJson(request) : await readJson(request);
  const value = sent === undefined ? {} : sent;
  return renamed(checked("body", schema, ownMembers(value)), names, spell);
}

/** Reads the query of a request. */
export function readQuery(
  request: Request,
  schema: z.ZodType,
  names: readonly string[],
  spell: Spell,
): Members {
  const sent: Record<string, string> = Object.create(null);
  const twice: Fault[] = [];
  for (const [name, value] of new URL(request.url).searchParams) {
    if (Object.hasOwn(sent, name)) twice.push({ path: pathOf([], name), message: "must be given once" });
    sent[name] = value;
  }
  if (twice.length > 0) throw faulty("query", twice);
  return renamed(checked("query", schema, sent), names, spell);
}

/**
 * Runs what a manager does with input. An error over a member that the client may set is the client's; any other
 * one comes from the set-up, and stays what it is.
 */
export async function asInput<T>(
  where: "body" | "query",
  names: readonly string[],
  spell: Spell,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof KeyInputError)) throw error;
    const head = /^\w+/.exec(error.path)?.[0] ?? "";
    if (!names.includes(head)) throw error;
    throw faulty(where, [{ path: speltPath(error.path, spell), message: error.problem }]);
  }
}

/** A copy that inherits nothing: what somebody put on `Object.prototype` was not sent. */
function ownMembers(value: unknown): unknown {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? Object.assign(Object.create(null), value) : value;
}

function checked(where: "body" | "query", schema: z.ZodType, value: unknown): object {
  const result = schema.safeParse(value, { error: wording, reportInput: false });
  if (result.success) return result.data as object;
  throw faulty(where, result.error.issues.flatMap(faultsOf));
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  if (issue.code !== "unrecognized_keys") return [{ path: pathOf(issue.path), message: issue.message }];
  return issue.keys.map((key) => ({
    path: pathOf(issue.path, key),
    message: "is not a member that is known here",
  }));
}

const NOUNS: Readonly<Record<string, string>> = {
  string: "a text",
  array: "a list",
  object: "an object",
  record: "an object",
  int: "a whole number",
  number: "a whole number", // there are no others here
};

/** What zod found, as half a sentence that repeats nothing of the input. */
function wording(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined) return "is required";
  if (issue.code === "invalid_type") return `must be ${NOUNS[issue.expected] ?? "of another type"}`;
  if (issue.code === "invalid_value") return `must be one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "too_big") return `must ${amount(issue.origin, "at most", issue.maximum)}`;
  if (issue.code === "too_small") return `must ${amount(issue.origin, "at least", issue.minimum)}`;
  if (issue.code === "invalid_format" && issue.format === "datetime") {
    return "must be a date and time with an offset, such as 2030-01-31T12:00:00Z";
  }
  if (issue.code === "invalid_format") return "must be a whole number";
  return "is not valid";
}

function amount(origin: string, how: string, bound: number | bigint): string {
  if (origin === "string") return `have ${how} ${bound} characters`;
  if (origin === "array") return `have ${how} ${bound} items`;
  return `be ${how} ${bound}`;
}

/** Members of the wire under the names that this package uses. Absent ones stay absent. */
function renamed(value: object, names: readonly string[], spell: Spell): Members {
  const known = value as Members;
  const result: Record<string, unknown> = {};
  for (const name of names) {
    const member = Object.hasOwn(known, spell(name)) ? known[spell(name)] : undefined;
    if (member === undefined) continue;
    result[name] =
      name === "rateLimit" && member !== null
        ? renamed(member as object, ["limit", "windowSeconds"], spell)
        : member;
  }
  return result;
}
