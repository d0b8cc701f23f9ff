/**
 * A function of texts that does not work again what it has worked out of late: for what depends on nothing but the
 * text. It remembers between `most` and twice as many results; `undefined` is none.
 */
export function memoize<T>(
  work: (text: string) => T | undefined,
  most: number,
): (text: string) => T | undefined {
  let recent = new Map<string, T>();
  let older = new Map<string, T>();

  return (text) => {
    const known = recent.get(text);
    if (known !== undefined) return known;
    const result = older.get(text) ?? work(text);
    if (result === undefined) return undefined;
    if (recent.size >= most) {
      older = recent;
      recent = new Map();
    }
    recent.set(text, result);
    return result;
  };
}
