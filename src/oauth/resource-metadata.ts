import { type ConnectionInfo, fetchRequestId, type RequestHandler } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { checkMethods, checkOptions } from "../internal/validate.js";
import { PROOF_ALGORITHMS } from "../jwt/dpop/proofs.js";
import { resourceMetadataUrl, type Scopes } from "../kit.js";
import { CACHEABLE, notFound, oauthEndpoint, problemResponse } from "./endpoint.js";

/** Options of {@link createResourceMetadata}. */
export interface ResourceMetadataOptions {
  /** The URL of the API; the same as the verifier's `resource`. */
  readonly resource: string;
  /** The issuers whose tokens the API accepts, such as the `issuer` of a token service. */
  readonly authorizationServers: readonly string[];
  /** The scopes of the API. */
  readonly scopes: Scopes;
  /** The name of the API, for people. None by default. */
  readonly name?: string;
  /** The URL of the documentation of the API. None by default. */
  readonly documentation?: string;
  /** Whether tokens must or may be bound by DPoP; the same as `mode` of the verifier's `dpop`. None by default. */
  readonly dpop?: "required" | "optional";
}

const WHERE = "createResourceMetadata";
const OPTIONS: readonly (keyof ResourceMetadataOptions)[] = [
  "resource",
  "authorizationServers",
  "scopes",
  "name",
  "documentation",
  "dpop",
];

/**
 * Creates the handler of the metadata of an API: `GET /.well-known/oauth-protected-resource`, followed by the path of
 * `resource` (RFC 9728). OAuth clients find it through the challenges of a verifier with the option `resource`, and there
 * the authorization server that issues tokens for the API. Any other path is a 404.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const resource = "https://api.example.com";
 * const metadata = createResourceMetadata({ resource, authorizationServers: ["https://api.example.com"], scopes });
 * app.use(expressHandler(metadata));
 */
export function createResourceMetadata(options: ResourceMetadataOptions): RequestHandler {
  const { resource, authorizationServers, scopes, name, documentation, dpop } = checkOptions(
    WHERE,
    options,
    OPTIONS,
  );
  const { pathname } = resourceMetadataUrl(WHERE, resource);
  checkMethods(WHERE, "scopes", scopes, ["isGrantable"]);
  if (
    !Array.isArray(authorizationServers) ||
    authorizationServers.length === 0 ||
    !authorizationServers.every((issuer) => URL.canParse(issuer))
  ) {
    throw new TypeError(`${WHERE}: "authorizationServers" must be a non-empty array of URLs`);
  }
  if (name !== undefined && typeof name !== "string")
    throw new TypeError(`${WHERE}: "name" must be a string`);
  if (documentation !== undefined && !URL.canParse(documentation)) {
    throw new TypeError(`${WHERE}: "documentation" must be a URL`);
  }
  if (dpop !== undefined && dpop !== "required" && dpop !== "optional") {
    throw new TypeError(`${WHERE}: "dpop" must be "required" or "optional"`);
  }
  const metadata = {
    resource,
    authorization_servers: authorizationServers,
    scopes_supported: scopes.names.filter((scope) => scopes.isGrantable(scope)),
    bearer_methods_supported: ["header"],
    resource_name: name,
    resource_documentation: documentation,
    ...(dpop !== undefined && {
      dpop_signing_alg_values_supported: PROOF_ALGORITHMS.split(" "),
      dpop_bound_access_tokens_required: dpop === "required",
    }),
  };
  const serve = oauthEndpoint(
    "GET",
    () => {},
    (request, { requestId }) => jsonResponse(request, requestId, 200, metadata, CACHEABLE),
  );
  return async (request: Request, connection?: ConnectionInfo) =>
    new URL(request.url).pathname === pathname
      ? serve(request, connection)
      : problemResponse(request, fetchRequestId(request, connection), notFound());
}
