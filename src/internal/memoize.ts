/**
 * Memoizes a function of a string. Caches between `maxEntries` and twice as many results, and evicts those that were
 * not used recently. Results that are `undefined` are not cached.
 */
export function memoize<T>(
  compute: (key: string) => T | undefined,
  maxEntries: number,
): (key: string) => T | undefined {
  let recent = new Map<string, T>();
  let older = new Map<string, T>();

  return (key) => {
    const cached = recent.get(key);
    if (cached !== undefined) return cached;
    const result = older.get(key) ?? compute(key);
    if (result === undefined) return undefined;
    if (recent.size >= maxEntries) {
      older = recent;
      recent = new Map();
    }
    recent.set(key, result);
    return result;
  };
}
