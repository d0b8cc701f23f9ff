/**
 * Checks an options object and returns a copy without a prototype, so that a polluted `Object.prototype` cannot add
 * options. Unknown members are rejected: a misspelt security option must fail at start-up.
 *
 * @throws TypeError if `options` is not an object or has a member that is not in `known`.
 */
export function checkOptions<T extends object>(where: string, options: T, known: readonly string[]): T {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${where}: expected an options object; received ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option "${name}"; known options are ${known.join(", ")}`);
    }
  }
  return Object.assign(Object.create(null), options);
}

/** @throws TypeError if `value` is neither `undefined` nor a function. */
export function checkFunction(where: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`${where}: "${name}" must be a function; received ${describe(value)}`);
  }
}

/** @throws TypeError if `value` is neither `undefined` nor a boolean. */
export function checkBoolean(where: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") {
    throw new TypeError(`${where}: "${name}" must be true or false; received ${describe(value)}`);
  }
}

/** @throws TypeError if `value` lacks one of the methods. */
export function checkMethods(where: string, name: string, value: unknown, methods: readonly string[]): void {
  const missing = methods.find((method) => !hasMethod(value, method));
  if (missing !== undefined) throw new TypeError(`${where}: "${name}" must have a method ${missing}()`);
}

/** Whether `value` has a method of this name, own or inherited. */
export function hasMethod(value: unknown, method: string): boolean {
  return typeof (value as Record<string, unknown> | null | undefined)?.[method] === "function";
}

/**
 * Rejects an option that is present but `undefined`, such as an unset environment variable: ignoring it would switch a
 * protection off.
 *
 * @throws TypeError if `options` has an own member `name` that is `undefined`.
 */
export function rejectUndefined<T extends object>(where: string, options: T, name: keyof T & string): void {
  if (Object.hasOwn(options, name) && options[name] === undefined) {
    throw new TypeError(`${where}: "${name}" is undefined; omit it to use the default`);
  }
}

/**
 * Returns an integer option.
 *
 * @throws TypeError if `value` is not an integer from `min` to `max`.
 */
export function readInteger(where: string, name: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw new TypeError(
    `${where}: "${name}" must be an integer from ${min} to ${max}; received ${show(value)}`,
  );
}

/** Whether a value is a string of at least one character. */
export function isNonEmptyString(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Names the type of a value without printing it, because it may be a secret. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (value === undefined) return "undefined";
  if (value === "") return "an empty string";
  return `${/^[aeiou]/.test(typeof value) ? "an" : "a"} ${typeof value}`;
}

/** Prints a number or boolean; of anything else only the type. */
function show(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : describe(value);
}
