import { findForbiddenMember } from "../internal/json.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes base64url without padding (RFC 7515, section 2). Returns `undefined` for any other encoding. */
export function decodeBase64url(part: string): Uint8Array | undefined {
  const bytes = Buffer.from(part, "base64url");
  // Node ignores unknown characters and trailing bits, so that several strings would decode to one token.
  return bytes.toString("base64url") === part ? bytes : undefined;
}

/**
 * Parses the JSON object of a token. Returns `undefined` for anything else, for a duplicate member (RFC 7515, section 4;
 * RFC 7519, section 4) and for a member `__proto__`.
 */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return findForbiddenMember(text) === undefined ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads an own member, so that a polluted `Object.prototype` cannot add claims. */
export function getOwn(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
