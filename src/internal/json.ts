/**
 * Returns the path of the first member of valid JSON that is
 *
 * - a duplicate, because parsers differ in the one that they use (RFC 8259, section 4);
 * - named `__proto__`, which would change the prototype of an object that it is copied to.
 *
 * Returns `undefined` if no member is.
 */
export function findForbiddenMember(json: string): readonly (string | number)[] | undefined {
  const open: { readonly names: Set<string>; step: string | number }[] = [];
  // A string followed by a colon is a name.
  for (const [token, name] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const inner = open.at(-1);
    if (token === "{") open.push({ names: new Set(), step: "" });
    else if (token === "[") open.push({ names: new Set(), step: 0 });
    else if (token === "}" || token === "]") open.pop();
    else if (inner === undefined) continue;
    else if (token === "," && typeof inner.step === "number") inner.step++;
    else if (name !== undefined) {
      const decoded: string = JSON.parse(name);
      inner.step = decoded;
      if (decoded === "__proto__" || inner.names.has(decoded)) return open.map(({ step }) => step);
      inner.names.add(decoded);
    }
  }
  return undefined;
}
