import { ApiError } from "./failure.js";
import { BUNDLES } from "./scopes.js";

/**
 * Writes the scopes of a named bundle into the body of a new key, where the management API looks for them: it
 * judges them like any others.
 *
 * @throws ApiError 400 for a bundle that there is not, and for one beside scopes.
 */
export function withBundle(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, "bundle")) return body;
  const { bundle: name, ...members } = body as { readonly bundle: unknown; readonly scopes?: unknown };
  const bundle = BUNDLES.find((bundle) => bundle.name === name);
  if (bundle === undefined) {
    throw refuse(`must be one of ${BUNDLES.map(({ name }) => name).join(", ")}`);
  }
  if (members.scopes !== undefined) throw refuse("excludes scopes: send one of the two");
  return { ...members, scopes: bundle.scopes };
}

function refuse(message: string): ApiError {
  return new ApiError(400, "invalid_body", "The body is not valid.", [{ path: "bundle", message }]);
}
