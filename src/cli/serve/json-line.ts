/**
 * Returns the line of a member in valid JSON, or of the innermost member of the path that exists. `undefined` if there
 * is none.
 */
export function jsonLine(json: string, path: readonly PropertyKey[]): number | undefined {
  const open: { step: string | number }[] = [];
  let best = 0;
  let position: number | undefined;
  // A string followed by a colon is a name.
  for (const match of json.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    const [token, name] = match;
    const inner = open.at(-1);
    if (token === "{") open.push({ step: "" });
    else if (token === "[") open.push({ step: 0 });
    else if (token === "}" || token === "]") open.pop();
    else if (inner === undefined) continue;
    else if (token === "," && typeof inner.step === "number") inner.step++;
    else if (name !== undefined) {
      inner.step = JSON.parse(name) as string;
      const isAbove = open.every(({ step }, index) => step === path[index]);
      if (isAbove && open.length > best) [best, position] = [open.length, match.index];
    }
  }
  return position === undefined ? undefined : json.slice(0, position).split("\n").length;
}
