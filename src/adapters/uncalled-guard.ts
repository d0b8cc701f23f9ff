/**
 * Rejects `app.use(auth)` where `app.use(auth())` is meant. The framework would call `auth` with a request and `next`,
 * and could treat the middleware that it returns as a response.
 *
 * @param inspected Properties that the framework reads when middleware is registered. Reading one throws, so that the
 *   mistake fails at start-up. Without such a property, every request fails.
 */
export function rejectUncalled<A extends readonly unknown[], R>(
  create: (...args: A) => R,
  message: string,
  inspected: readonly string[] = [],
): (...args: A) => R {
  const reject = (): never => {
    throw new TypeError(message);
  };
  const auth = (...args: A): R => (isMiddlewareCall(args) ? reject() : create(...args));
  for (const name of inspected) Object.defineProperty(auth, name, { get: reject });
  return auth;
}

/** Middleware is called with a request or context first and `next` last; no arguments of a route look like that. */
function isMiddlewareCall(args: readonly unknown[]): boolean {
  const [first] = args;
  const isObject = typeof first === "object" && first !== null && !Array.isArray(first);
  return args.length > 1 && isObject && typeof args.at(-1) === "function";
}
