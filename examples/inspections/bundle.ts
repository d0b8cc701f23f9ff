import { ApiError } from "./errors.js";
import { BUNDLES } from "./scopes.js";

/**
 * Replaces `bundle` in the body of a new key with the `scopes` of that bundle. The management API checks them like any
 * other scopes.
 *
 * @throws ApiError 400 if the bundle is unknown or the body has `scopes` too.
 */
export function withBundle(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, "bundle")) return body;
  const { bundle: name, ...members } = body as { readonly bundle: unknown; readonly scopes?: unknown };
  const bundle = BUNDLES.find((bundle) => bundle.name === name);
  if (bundle === undefined) {
    throw invalidBundle(`must be one of ${BUNDLES.map(({ name }) => name).join(", ")}`);
  }
  if (members.scopes !== undefined) throw invalidBundle("cannot be combined with scopes");
  return { ...members, scopes: bundle.scopes };
}

function invalidBundle(message: string): ApiError {
  return new ApiError(400, "invalid_body", "The body is not valid.", [{ path: "bundle", message }]);
}
