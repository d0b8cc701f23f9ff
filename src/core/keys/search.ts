import type { KeyRecord } from "./record.js";

/**
 * Whether the name of a key contains a string, or its start begins with it, in upper or lower case. For stores that filter
 * in JavaScript.
 *
 * @example
 * const found = records.filter((record) => matchesSearch(record, query.search));
 */
export function matchesSearch(
  { name, start }: Pick<KeyRecord, "name" | "start">,
  search: string | undefined,
): boolean {
  if (search === undefined) return true;
  const wanted = search.toLowerCase();
  return (name ?? "").toLowerCase().includes(wanted) || start.toLowerCase().startsWith(wanted);
}
