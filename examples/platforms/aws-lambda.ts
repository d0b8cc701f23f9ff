// AWS Lambda behind an HTTP API of API Gateway (payload 2.0) or a function URL. Events are not `Request` objects, so the
// guard is written with `createGuard`: pass it the parts of the request, and return its denial.

import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import type { Principal, ScopeName } from "keybearer";
import { createGuard } from "keybearer/kit";
import { type scopes, verifier } from "./auth.js";

type ApiPrincipal = Principal<ScopeName<typeof scopes>>;
type Handler = (
  event: APIGatewayProxyEventV2,
  auth: ApiPrincipal,
) => Promise<APIGatewayProxyStructuredResultV2>;

const guard = createGuard(verifier);

function withAuth(scope: ScopeName<typeof scopes>, handler: Handler) {
  const check = guard(scope);
  return async (event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> => {
    const { http, requestId } = event.requestContext;
    const outcome = await check({
      headers: event.headers, // repeated headers are joined by commas, so two credentials are denied
      remoteAddress: http.sourceIp, // the peer of API Gateway; behind CloudFront, configure trustedProxies
      method: http.method,
      path: event.rawPath,
      requestId,
    });
    if (!outcome.pass) {
      const { status, headers, body } = outcome.denial;
      return { statusCode: status, headers: { ...headers }, body: http.method === "HEAD" ? "" : body };
    }
    const result = await handler(event, outcome.principal as ApiPrincipal);
    return { ...result, headers: { ...result.headers, ...outcome.headers } };
  };
}

export const handler = withAuth("vehicles:read", async (_event, auth) => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ owner: auth.ownerId }),
}));
