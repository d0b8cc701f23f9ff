/** Freezes a value and every object and array inside it, except dates. Returns the same value. */
export function deepFreeze<T>(value: T): T {
  if (value instanceof Date || Object.isFrozen(value)) return value; // primitives count as frozen
  for (const member of Object.values(value as object)) deepFreeze(member);
  return Object.freeze(value);
}
