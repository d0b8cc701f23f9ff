/** Freezes an object and every plain object and array inside it. Returns the same object. */
export function deepFreeze<T>(value: T): T {
  if (value instanceof Date || Object.isFrozen(value)) return value; // primitives count as frozen
  for (const member of Object.values(value as object)) deepFreeze(member);
  return Object.freeze(value);
}
