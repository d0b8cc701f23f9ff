const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a part; `undefined` when it is not how base64url writes them (RFC 7515, 2: no padding). */
export function decodePart(part: string): Uint8Array | undefined {
  const bytes = Buffer.from(part, "base64url");
  // Node reads over foreign characters and over bits behind the last byte: two texts would be one token.
  return bytes.toString("base64url") === part ? bytes : undefined;
}

/**
 * Reads a JSON object of a token. Members that come twice are refused, as RFC 7515 (4) and RFC 7519 (4) allow:
 * what one reader takes the first of, another one takes the last of. So is a member `__proto__`, which would set
 * the prototype of whatever it is copied to.
 */
export function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return hasCleanNames(text) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads an own member: what somebody put on `Object.prototype` is no claim. */
export function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Freezes a JSON value and everything in it. */
export function freezeJson<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const member of Object.values(value)) freezeJson(member);
  return Object.freeze(value);
}

/** Walks over the brackets and strings of a text that is JSON; a string with a colon behind it is a name. */
function hasCleanNames(text: string): boolean {
  const open: (Set<string> | undefined)[] = [];
  for (const [token, name] of text.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (name !== undefined) {
      const read: string = JSON.parse(name);
      const names = open.at(-1);
      if (read === "__proto__" || names?.has(read)) return false;
      names?.add(read);
    }
  }
  return true;
}
