// AWS Lambda behind an HTTP API of API Gateway (payload 2.0) or a function URL. It has no Request, so this is also what a
// guard for a framework of your own looks like: tell `createGuard` of the request, and answer what it says.

import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import { createGuard, type Principal, type ScopeName } from "keybearer";
import { type scopes, verifier } from "./auth.js";

type Holder = Principal<ScopeName<typeof scopes>>;
type Handler = (event: APIGatewayProxyEventV2, auth: Holder) => Promise<APIGatewayProxyStructuredResultV2>;

const guard = createGuard(verifier);

function withAuth(scope: ScopeName<typeof scopes>, handler: Handler) {
  const check = guard(scope);
  return async (event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> => {
    const { http, requestId } = event.requestContext;
    const outcome = await check({
      headers: event.headers, // a repeated one comes joined by commas, and is then refused
      remoteAddress: http.sourceIp, // of the connection to API Gateway; behind CloudFront, name it in trustedProxies
      method: http.method,
      path: event.rawPath,
      requestId,
    });
    if (!outcome.pass) {
      const { status, headers, body } = outcome.refusal;
      return { statusCode: status, headers: { ...headers }, body: http.method === "HEAD" ? "" : body };
    }
    const result = await handler(event, outcome.principal as Holder);
    return { ...result, headers: { ...result.headers, ...outcome.headers } };
  };
}

export const handler = withAuth("vehicles:read", async (_event, auth) => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ owner: auth.ownerId }),
}));
