const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes base64url without padding (RFC 7515, section 2). Returns `undefined` for any other encoding. */
export function decodeBase64url(part: string): Uint8Array | undefined {
  const bytes = Buffer.from(part, "base64url");
  // Node ignores unknown characters and trailing bits, so that several strings would decode to one token.
  return bytes.toString("base64url") === part ? bytes : undefined;
}

/**
 * Parses the JSON object of a token. Returns `undefined` for anything else, and for
 *
 * - a duplicate member, because parsers differ in the one that they use (RFC 7515, section 4; RFC 7519, section 4);
 * - a member `__proto__`, which would change the prototype of an object that it is copied to.
 */
export function parseJsonObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return hasValidNames(text) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads an own member, so that a polluted `Object.prototype` cannot add claims. */
export function getOwn(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Scans the brackets and strings of valid JSON. A string followed by a colon is a name. */
function hasValidNames(text: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, name] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (name !== undefined) {
      const decoded: string = JSON.parse(name);
      const names = open.at(-1);
      if (decoded === "__proto__" || names?.has(decoded)) return false;
      names?.add(decoded);
    }
  }
  return true;
}
