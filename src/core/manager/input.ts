import { DURATION_FORMAT, parseDuration } from "../../internal/duration.js";
import { quoteAscii, redactName } from "../../internal/redact.js";
import { describe } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import type { KeyFormat } from "../keys/format.js";
import type { RateLimit } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import { cidrProblem } from "../requests/cidr.js";
import type { ActorOption, BeforeCommitOption, CheckOption, CreateOptions } from "./change-options.js";
import type { Caller } from "./repository.js";

// Each reader returns a clean copy of one member, or throws a KeyInputError with its path. The limits keep records small,
// because every request reads one.
const MAX_LABEL = 255;
const MAX_NETWORKS = 1_000;
const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 50;

/** Reads an id that the host chose, such as an owner or an actor. */
export function readId(path: string, value: unknown): string {
  const id = readLine(path, value);
  if (id === "") throw new KeyInputError(path, "must not be empty");
  return id;
}

/** Reads an optional string of one line, such as a name. */
export function readLabel(path: string, value: unknown): string | null {
  return value === undefined || value === null ? null : readLine(path, value);
}

export function readScopes(path: string, value: unknown, scopes: Scopes): readonly string[] {
  if (!Array.isArray(value)) {
    throw new KeyInputError(path, `must be an array of scopes; received ${describe(value)}`);
  }
  for (const [index, name] of value.entries()) {
    if (typeof name !== "string" || scopes.get(name) === undefined) {
      throw new KeyInputError(`${path}[${index}]`, `is not a defined scope${quoteScope(name)}`);
    }
    if (!scopes.isGrantable(name)) {
      throw new KeyInputError(`${path}[${index}]`, `is planned and cannot be granted yet${quoteScope(name)}`);
    }
  }
  return Object.freeze([...new Set<string>(value)]);
}

export function readAllowlist(path: string, value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) {
    throw new KeyInputError(path, `must be an array of networks; received ${describe(value)}`);
  }
  if (value.length > MAX_NETWORKS) {
    throw new KeyInputError(path, `must have at most ${MAX_NETWORKS} networks; received ${value.length}`);
  }
  for (const [index, entry] of value.entries()) {
    const problem = cidrProblem(entry);
    if (problem !== undefined) throw new KeyInputError(`${path}[${index}]`, problem);
  }
  return Object.freeze([...value]);
}

export function readRateLimit(path: string, value: unknown): RateLimit | null {
  if (value === undefined || value === null) return null;
  checkMembers(path, value, ["limit", "windowSeconds"]);
  const { limit, windowSeconds } = value as Partial<RateLimit>;
  return Object.freeze({
    limit: readPositiveInteger(`${path}.limit`, limit),
    windowSeconds: readPositiveInteger(`${path}.windowSeconds`, windowSeconds),
  });
}

export function readPositiveInteger(path: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw new KeyInputError(path, `must be an integer of at least 1; received ${numberOrType(value)}`);
}

/** Converts a duration to milliseconds. */
export function readInputDuration(path: string, value: unknown): number {
  const result = parseDuration(value);
  if (result === undefined) throw new KeyInputError(path, DURATION_FORMAT);
  return result;
}

/** Reads one of the format's environments. A format without environments accepts any name, or `null`. */
export function readEnvironment(value: unknown, { environments }: KeyFormat): string | null {
  if (environments === undefined) {
    return value === undefined || value === null ? null : readId("environment", value);
  }
  if (value === undefined && environments.length === 1) return environments[0] as string;
  if (typeof value !== "string" || !environments.includes(value)) {
    throw new KeyInputError("environment", `must be one of ${environments.join(", ")}`);
  }
  return value;
}

/** Rejects unknown members: a misspelt allowlist would leave a key unrestricted. */
export function checkMembers(where: string, input: unknown, known: readonly string[]): void {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    throw new KeyInputError(where, `must be an object; received ${describe(input)}`);
  }
  const unknown = Object.keys(input).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const members = `known members are ${known.join(", ")}`;
    throw new KeyInputError(redactName(unknown), `is not a known member of ${where}; ${members}`);
  }
}

/** Reads the optional actor of a change. */
export function readActor(actor: unknown): string | null {
  return actor === undefined ? null : readId("actor", actor);
}

/** Reads the actor of a method that takes it as a string or in an options object. */
export function readActorOrOptions(where: string, options: string | ActorOption | undefined): string | null {
  if (typeof options !== "object") return readActor(options);
  checkMembers(where, options, ["actor"]);
  return readActor(options.actor);
}

/** Reads the options of {@link KeyManager.create}. */
export function readCreator(
  options: string | CreateOptions | undefined,
): Omit<Caller, "check"> & { readonly createdByKey: string | null } {
  if (typeof options !== "object") {
    return { actor: readActor(options), createdByKey: null, beforeCommit: undefined };
  }
  checkMembers("create", options, ["actor", "createdByKey", "beforeCommit"]);
  const { actor, createdByKey } = options;
  return {
    actor: readActor(actor),
    createdByKey: createdByKey === undefined ? null : readId("createdByKey", createdByKey),
    beforeCommit: readCallback("create", options, "beforeCommit"),
  };
}

/** Reads the actor and the callbacks of a change. */
export function readCaller(
  where: string,
  options: CheckOption & BeforeCommitOption,
  ...otherMembers: string[]
): Caller {
  checkMembers(where, options, ["actor", "check", ...otherMembers]);
  return {
    actor: readActor(options.actor),
    check: readCallback(where, options, "check"),
    beforeCommit: readCallback(where, options, "beforeCommit"),
  };
}

/** @throws TypeError if it is present but not a function: without a check, every change would be allowed. */
function readCallback<O extends object, N extends keyof O & string>(
  where: string,
  options: O,
  name: N,
): O[N] {
  if (Object.hasOwn(options, name) && typeof options[name] !== "function") {
    throw new TypeError(`${where}: "${name}" must be a function; received ${describe(options[name])}`);
  }
  return options[name];
}

/** Reads who disables or enables a key. */
export function readParty(by: unknown = "operator"): "owner" | "operator" {
  if (by === "owner" || by === "operator") return by;
  throw new KeyInputError("by", 'must be "owner" or "operator"');
}

/** Checks the filters of a list. A filter that is present but `undefined` would list the keys of every owner. */
export function checkFilters(where: string, query: object, known: readonly string[]): void {
  checkMembers(where, query, known);
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== "string" && name !== "limit") {
      throw new KeyInputError(name, `must be a string; received ${describe(value)}; omit it to list all`);
    }
  }
}

/** Reads a page size. */
export function readLimit(limit: unknown = DEFAULT_PAGE): number {
  if (Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= MAX_PAGE)
    return limit as number;
  throw new KeyInputError(
    "limit",
    `must be an integer from 1 to ${MAX_PAGE}; received ${numberOrType(limit)}`,
  );
}

/** Reads a string of one line. */
export function readLine(path: string, value: unknown, maxLength: number = MAX_LABEL): string {
  if (typeof value !== "string") {
    throw new KeyInputError(path, `must be a string; received ${describe(value)}`);
  }
  if (value.length > maxLength) throw new KeyInputError(path, `must have at most ${maxLength} characters`);
  // Control characters forge log lines, bidirectional ones reorder text, and databases reject lone surrogates.
  if (/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u.test(value)) {
    throw new KeyInputError(path, "must not contain control characters");
  }
  return value;
}

// A secret passed as a scope must not appear in the error. 24 letters and digits in a row look like a secret.
const LIKE_A_SECRET = /(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{24}/;

function quoteScope(name: unknown): string {
  return typeof name === "string" && name.length <= 128 && !LIKE_A_SECRET.test(name)
    ? `: ${quoteAscii(name)}`
    : "";
}

/** Prints a number; of anything else only the type, because it may be a secret. */
function numberOrType(value: unknown): string {
  return typeof value === "number" ? String(value) : describe(value);
}
