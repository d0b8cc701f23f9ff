import type * as z from "zod";
import { readJson } from "../http/body.js";
import { formatPath, type InputIssue } from "../http/problem.js";
import { KeyInputError } from "../kit.js";
import { invalidInput } from "./error-codes.js";
import { type ToWireName, toWirePath } from "./wire-names.js";

/** Members of a body or a query, under this package's names. */
export type Members = Readonly<Record<string, unknown>>;

/** Reads and validates the body of a request. A body without required members may be absent. */
export async function readBody(
  request: Request,
  schema: z.ZodType,
  names: readonly string[],
  wireName: ToWireName,
): Promise<Members> {
  const optional = schema.safeParse({}).success;
  const body = await readJson(request, { optional });
  return pickMembers(validate("body", schema, ownMembers(body === undefined ? {} : body)), names, wireName);
}

/** Reads and validates the query of a request. */
export function readQuery(
  request: Request,
  schema: z.ZodType,
  names: readonly string[],
  wireName: ToWireName,
): Members {
  const query: Record<string, string> = Object.create(null);
  const repeated: InputIssue[] = [];
  for (const [name, value] of new URL(request.url).searchParams) {
    if (Object.hasOwn(query, name))
      repeated.push({ path: formatPath([], name), message: "must not be repeated" });
    query[name] = value;
  }
  if (repeated.length > 0) throw invalidInput("query", repeated);
  return pickMembers(validate("query", schema, query), names, wireName);
}

/**
 * Calls a manager with input of a request. A `KeyInputError` about one of the members `names` is the client's error; any
 * other one is an error of the host and is rethrown.
 */
export async function withInputErrors<T>(
  source: "body" | "query",
  names: readonly string[],
  wireName: ToWireName,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof KeyInputError)) throw error;
    const head = /^\w+/.exec(error.path)?.[0] ?? "";
    if (!names.includes(head)) throw error;
    throw invalidInput(source, [{ path: toWirePath(error.path, wireName), message: error.problem }]);
  }
}

/** Copies an object without its prototype, so that a polluted `Object.prototype` adds no members. */
function ownMembers(value: unknown): unknown {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? Object.assign(Object.create(null), value) : value;
}

function validate(source: "body" | "query", schema: z.ZodType, value: unknown): object {
  const result = schema.safeParse(value, { error: messageOf, reportInput: false });
  if (result.success) return result.data as object;
  throw invalidInput(source, result.error.issues.flatMap(toInputIssues));
}

function toInputIssues(issue: z.core.$ZodIssue): InputIssue[] {
  if (issue.code !== "unrecognized_keys") return [{ path: formatPath(issue.path), message: issue.message }];
  return issue.keys.map((name) => ({
    path: formatPath(issue.path, name),
    message: "is not a known member",
  }));
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "a string",
  array: "an array",
  object: "an object",
  record: "an object",
  int: "an integer",
  number: "an integer", // the schemas have no other numbers
};

/** Formats an issue of zod. Nothing of the input is repeated, because it may be a secret. */
function messageOf(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined) return "is required";
  if (issue.code === "invalid_type") return `must be ${TYPE_NAMES[issue.expected] ?? "of another type"}`;
  if (issue.code === "invalid_value") return `must be one of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "too_big") return `must ${boundOf(issue.origin, "at most", issue.maximum)}`;
  if (issue.code === "too_small") return `must ${boundOf(issue.origin, "at least", issue.minimum)}`;
  if (issue.code === "invalid_format" && issue.format === "datetime") {
    return "must be a date and time with an offset, such as 2030-01-31T12:00:00Z";
  }
  if (issue.code === "invalid_format") return "must be an integer";
  return "is not valid";
}

function boundOf(origin: string, comparison: string, bound: number | bigint): string {
  if (origin === "string") return `have ${comparison} ${bound} characters`;
  if (origin === "array") return `have ${comparison} ${bound} items`;
  return `be ${comparison} ${bound}`;
}

/** Returns the members `names` of a validated object under this package's names. Absent members stay absent. */
function pickMembers(value: object, names: readonly string[], wireName: ToWireName): Members {
  const sent = value as Members;
  const result: Record<string, unknown> = {};
  for (const name of names) {
    const member = Object.hasOwn(sent, wireName(name)) ? sent[wireName(name)] : undefined;
    if (member === undefined) continue;
    result[name] =
      name === "rateLimit" && member !== null
        ? pickMembers(member as object, ["limit", "windowSeconds"], wireName)
        : member;
  }
  return result;
}
