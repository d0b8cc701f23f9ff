import { resolveRequestId } from "keybearer";
import { fetchAuth } from "keybearer/fetch";
import type { FetchHandler } from "keybearer/node";
import type { Keys } from "./keys.js";
import { failure } from "./wire.js";

const JOBS = [
  { id: "0b6f5bd2-94c0-4f7e-9a2b-3f1c2d7c9a11", user: "user_ada", status: "completed", file_count: 3 },
  { id: "5d1a8e70-2f4d-4c0e-8c39-7a0c6e1f4b22", user: "user_ben", status: "pending", file_count: 12 },
];

/** The whole API, as a function from a request to a response. */
export function createApp({ verifier, management }: Keys): FetchHandler {
  const auth = fetchAuth(verifier, { errorBody: failure });

  const jobs = auth("jobs:read", (_request, { auth }) => {
    const own = JOBS.filter(({ user }) => user === auth.ownerId).map(({ user: _, ...job }) => job);
    return Response.json({ success: true, jobs: own, meta: { next_cursor: null } });
  });

  return (request, connection) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/api-keys" || pathname.startsWith("/api-keys/")) return management(request, connection);
    if (pathname !== "/jobs") return refuse(request, 404, "NOT_FOUND", "There is no such route.");
    if (request.method === "GET") return jobs(request, connection);
    return refuse(request, 405, "METHOD_NOT_ALLOWED", "The method is not allowed here.", { Allow: "GET" });
  };
}

function refuse(
  { headers, method }: Request,
  status: number,
  code: string,
  message: string,
  more: Readonly<Record<string, string>> = {},
): Response {
  const requestId = resolveRequestId({ headers });
  const body = method === "HEAD" ? null : JSON.stringify(failure({ status, code, message }));
  return new Response(body, {
    status,
    headers: { "Content-Type": "application/json", "X-Request-Id": requestId, ...more },
  });
}
