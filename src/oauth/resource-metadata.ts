import { type ConnectionInfo, fetchRequestId, type RequestHandler } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { resourceMetadataUrl } from "../internal/resource-metadata-url.js";
import { checkMethods, checkOptions } from "../internal/validate.js";
import type { Scopes } from "../kit.js";
import { CACHEABLE, notFound, oauthEndpoint, problemResponse } from "./endpoint.js";

/** Options of {@link createResourceMetadata}. */
export interface ResourceMetadataOptions {
  /** The URL of the API; the same as the verifier's `resource`. */
  readonly resource: string;
  /** The issuers whose tokens the API accepts, such as the `issuer` of a token service. */
  readonly authorizationServers: readonly string[];
  /** The scopes of the API. */
  readonly scopes: Scopes;
}

const WHERE = "createResourceMetadata";
const OPTIONS: readonly (keyof ResourceMetadataOptions)[] = ["resource", "authorizationServers", "scopes"];

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
  const { resource, authorizationServers, scopes } = checkOptions(WHERE, options, OPTIONS);
  const { pathname } = resourceMetadataUrl(WHERE, resource);
  checkMethods(WHERE, "scopes", scopes, ["isGrantable"]);
  if (
    !Array.isArray(authorizationServers) ||
    authorizationServers.length === 0 ||
    !authorizationServers.every((issuer) => URL.canParse(issuer))
  ) {
    throw new TypeError(`${WHERE}: "authorizationServers" must be a non-empty array of URLs`);
  }
  const metadata = {
    resource,
    authorization_servers: [...authorizationServers], // the caller may change the array later
    scopes_supported: scopes.names.filter((scope) => scopes.isGrantable(scope)),
    bearer_methods_supported: ["header"],
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
