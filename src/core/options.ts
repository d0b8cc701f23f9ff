/**
 * Refuses an options argument that is not an object, or that has a member nobody reads: a misspelt security
 * option must fail when the service starts, never be ignored. Answers a copy that inherits nothing: an option
 * that somebody put on `Object.prototype` is none.
 *
 * @throws TypeError that quotes the first unknown member.
 */
export function checkOptions<T extends object>(where: string, options: T, known: readonly string[]): T {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${where}: expected an options object, got ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`${where}: unknown option "${name}"; known options are ${known.join(", ")}`);
    }
  }
  return Object.assign(Object.create(null), options);
}

/** @throws TypeError when `value` is neither absent nor a function. */
export function checkFunction(where: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "function") {
    throw new TypeError(`${where}: "${name}" must be a function, got ${describe(value)}`);
  }
}

/** @throws TypeError when `value` is no time that a timer can wait; it fires at once for more than 2^31 - 1 ms. */
export function checkTimeout(where: string, name: string, value: unknown): void {
  if (!(typeof value === "number" && value > 0 && value < 2 ** 31)) {
    throw new TypeError(`${where}: "${name}" must be a number of milliseconds above 0`);
  }
}

/** @throws TypeError when `value` is not an object that has every one of the named methods. */
export function checkMethods(where: string, name: string, value: unknown, methods: readonly string[]): void {
  const missing = methods.find(
    (method) => typeof (value as Record<string, unknown> | null | undefined)?.[method] !== "function",
  );
  if (missing !== undefined) throw new TypeError(`${where}: "${name}" must have a method ${missing}()`);
}

/** Names the kind of a wrong value without printing it: it may be a secret. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "undefined" ? "undefined" : `a value of type ${typeof value}`;
}

/** Whether a value has to be awaited. Awaiting only then keeps a synchronous store free of microtasks. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * Refuses a promise of what a host has to answer at once: it would pass for an answer that is empty. What comes of
 * it is dropped, because a rejection that nobody handles ends the process.
 *
 * @throws TypeError that begins with `what`.
 */
export function refusePromise(what: string, answer: unknown): void {
  if (!isPromiseLike(answer)) return;
  answer.then(undefined, () => {});
  throw new TypeError(`${what} must answer at once, not a promise`);
}

/**
 * Refuses an option that was meant and came out empty, such as a variable of the environment that is not set:
 * without it a guard would be down.
 */
export function refuseUndefined<T extends object>(where: string, options: T, name: keyof T & string): void {
  if (Object.hasOwn(options, name) && options[name] === undefined) {
    throw new TypeError(`${where}: "${name}" is undefined; leave it out if it is not meant to be in force`);
  }
}

/** Warns the operator of a set-up that is allowed but should not stay, with a code to silence it by. */
export function warn(code: string, message: string): void {
  globalThis.process?.emitWarning?.(message, {
    type: "KeybearerWarning",
    code,
  });
}
