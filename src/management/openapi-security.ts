import { type Requirement, requiredScopes, type Verifier, type VerifierCredential } from "../kit.js";

/** A security scheme of OpenAPI 3.1, section 4.8.27. */
export type SecurityScheme = Readonly<Record<string, unknown>> & { readonly type: string };

/** A list of alternatives; each names the schemes and scopes that a request needs (OpenAPI 3.1, section 4.8.30). */
export type OperationSecurity = readonly Readonly<Record<string, readonly string[]>>[];

/**
 * Returns the security schemes for the credentials of a verifier, by name: `bearer` for `Authorization: Bearer`, and the
 * name of the header for another one. Add them to `components.securitySchemes` of the OpenAPI document of your service.
 *
 * @example
 * document.components = { securitySchemes: securitySchemes(verifier) };
 * document.paths["/vehicles"].get.security = operationSecurity(verifier, "vehicles:read");
 */
export function securitySchemes(verifier: Pick<Verifier, "credentials">): Record<string, SecurityScheme> {
  const { credentials = [BEARER] } = verifier;
  return Object.fromEntries(
    credentials.map(({ header = "authorization", scheme = "Bearer" }) => {
      const name = header.toLowerCase();
      if (name === "authorization") {
        return [componentName(scheme.toLowerCase()), { type: "http", scheme: scheme.toLowerCase() }];
      }
      return [componentName(name), { type: "apiKey", in: "header", name: header }];
    }),
  );
}

/**
 * Returns the `security` of an operation of your service: the schemes of the verifier, each with the scopes that the route
 * requires. Scopes of an array are needed together; those of `anyOf` are alternatives. With `optional`, no credential is an
 * alternative too.
 *
 * @throws TypeError if the requirement is invalid.
 *
 * @example
 * operationSecurity(verifier, { anyOf: ["a:read", "b:read"] }); // [{ bearer: ["a:read"] }, { bearer: ["b:read"] }]
 */
export function operationSecurity<S extends string>(
  verifier: Pick<Verifier<S>, "credentials" | "assertRequirement">,
  requirement?: Requirement<NoInfer<S>>,
  { optional = false }: { readonly optional?: boolean } = {},
): OperationSecurity {
  verifier.assertRequirement(requirement);
  const security = securityOf(Object.keys(securitySchemes(verifier)), requirement);
  return optional ? [...security, {}] : security;
}

// The credential of a verifier that does not name its own.
const BEARER: VerifierCredential = { type: "api_key" };

/** Returns the `security` of an operation that accepts any of several schemes. */
export function securityOf(
  schemes: readonly string[],
  requirement: Requirement | undefined,
): OperationSecurity {
  const scopes = requiredScopes(requirement);
  const alternatives =
    typeof requirement === "object" && "anyOf" in requirement ? scopes.map((name) => [name]) : [scopes];
  return schemes.flatMap((scheme) => alternatives.map((names) => ({ [scheme]: [...names] })));
}

/** Names of components consist of these characters only. */
function componentName(name: string): string {
  return name.replace(/[^A-Za-z0-9._-]/g, "_");
}
