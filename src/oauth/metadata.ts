import { PROOF_ALGORITHMS } from "../jwt/dpop/proofs.js";
import type { Scopes } from "../kit.js";
import { GRANT_TYPES } from "./token-endpoint.js";

/** The paths of the endpoints, below `basePath`. */
export const PATHS = {
  token: "/token",
  keys: "/.well-known/jwks.json",
  introspect: "/introspect",
  revoke: "/revoke",
  metadata: "/.well-known/oauth-authorization-server",
} as const;

/** Returns the path of the metadata of an issuer: the path of the issuer comes last (RFC 8414, section 3.1). */
export function metadataPathOf(issuer: string): string {
  const { pathname } = URL.canParse(issuer) ? new URL(issuer) : { pathname: "" };
  return PATHS.metadata + pathname.replace(/\/$/, "");
}

/**
 * Creates the metadata of a token service (RFC 8414). Returns `undefined` if the issuer is not an HTTP URL without query
 * and fragment (section 2).
 */
export function createMetadata(
  issuer: string,
  basePath: string,
  scopes: Scopes,
  usesDpop: boolean,
): object | undefined {
  if (!URL.canParse(issuer)) return undefined;
  const { protocol, search, hash } = new URL(issuer);
  if (!/^https?:$/.test(protocol) || search !== "" || hash !== "") return undefined;
  const trimmed = issuer.replace(/\/$/, "");
  const base = trimmed.endsWith(basePath) ? trimmed : trimmed + basePath;
  const authMethods = ["client_secret_basic", "client_secret_post"];
  return {
    issuer,
    token_endpoint: base + PATHS.token,
    jwks_uri: base + PATHS.keys,
    introspection_endpoint: base + PATHS.introspect,
    revocation_endpoint: base + PATHS.revoke,
    response_types_supported: [],
    grant_types_supported: GRANT_TYPES,
    token_endpoint_auth_methods_supported: [...authMethods, "none"], // a subject token needs no client
    introspection_endpoint_auth_methods_supported: [...authMethods, "Bearer"],
    revocation_endpoint_auth_methods_supported: authMethods,
    ...(usesDpop && { dpop_signing_alg_values_supported: PROOF_ALGORITHMS.split(" ") }), // RFC 9449, section 5.1
    scopes_supported: scopes.names.filter((name) => scopes.isGrantable(name)),
  };
}
