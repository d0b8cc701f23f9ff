import { deepFreeze } from "../../internal/freeze.js";
import { redactName } from "../../internal/redact.js";
import { describe } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import type { KeyMetadata } from "../keys/record.js";

const MAX_BYTES = 16_384;
const MAX_MEMBERS = 100;
const MAX_DEPTH = 8;

/** Copies optional JSON metadata. Rejects values that JSON would drop or convert, such as `undefined` and Dates. */
export function readMetadata(path: string, value: unknown): KeyMetadata | null {
  if (value === undefined || value === null) return null;
  if (!isPlainObject(value)) throw new KeyInputError(path, `must be an object; received ${describe(value)}`);
  const members = Object.keys(value).length;
  if (members > MAX_MEMBERS) {
    throw new KeyInputError(path, `must have at most ${MAX_MEMBERS} members; received ${members}`);
  }
  checkJson(path, value, 0);
  const json = JSON.stringify(value);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_BYTES) {
    throw new KeyInputError(path, `must be at most ${MAX_BYTES} bytes of JSON; received ${bytes}`);
  }
  return deepFreeze(JSON.parse(json));
}

function checkJson(path: string, value: unknown, depth: number): void {
  if (typeof value === "string") {
    checkStorable(path, value);
    return;
  }
  if (value === null || typeof value === "boolean" || Number.isFinite(value)) return;
  if (depth > MAX_DEPTH) throw new KeyInputError(path, "is nested too deeply");
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkJson(`${path}[${index}]`, item, depth + 1);
  } else if (isPlainObject(value)) {
    for (const [name, member] of Object.entries(value)) {
      if (name === "__proto__") throw new KeyInputError(path, "must not have a member __proto__");
      checkStorable(path, name);
      checkJson(`${path}.${redactName(name)}`, member, depth + 1);
    }
  } else throw new KeyInputError(path, `must be a JSON value; received ${describe(value)}`);
}

/** NUL and lone surrogates are valid in JSON, but not every database can store them. */
function checkStorable(path: string, value: string): void {
  if (/\0|\p{Cs}/u.test(value)) {
    throw new KeyInputError(path, "must not contain NUL characters or lone surrogates");
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
