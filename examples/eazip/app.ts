import { fetchAuth } from "keybearer/fetch";
import { resolveRequestId } from "keybearer/kit";
import type { FetchHandler } from "keybearer/node";
import type { Auth } from "./auth.js";
import { errorBody } from "./wire.js";

const JOBS = [
  { id: "0b6f5bd2-94c0-4f7e-9a2b-3f1c2d7c9a11", user: "user_ada", status: "completed", file_count: 3 },
  { id: "5d1a8e70-2f4d-4c0e-8c39-7a0c6e1f4b22", user: "user_ben", status: "pending", file_count: 12 },
];

/** Creates the API as one fetch handler. */
export function createApp({ verifier, management }: Auth): FetchHandler {
  const auth = fetchAuth(verifier, { errorBody });

  const jobs = auth("jobs:read", (_request, { auth }) => {
    const own = JOBS.filter(({ user }) => user === auth.ownerId).map(({ user: _, ...job }) => job);
    return Response.json({ success: true, jobs: own, meta: { next_cursor: null } });
  });

  return (request, connection) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/api-keys" || pathname.startsWith("/api-keys/")) return management(request, connection);
    if (pathname !== "/jobs") return respondWithError(request, 404, "NOT_FOUND", "There is no such route.");
    if (request.method === "GET") return jobs(request, connection);
    return respondWithError(request, 405, "METHOD_NOT_ALLOWED", "The method is not allowed here.", {
      Allow: "GET",
    });
  };
}

function respondWithError(
  { headers, method }: Request,
  status: number,
  code: string,
  message: string,
  more: Readonly<Record<string, string>> = {},
): Response {
  const requestId = resolveRequestId({ headers });
  const body = method === "HEAD" ? null : JSON.stringify(errorBody({ status, code, message }));
  return new Response(body, {
    status,
    headers: { "Content-Type": "application/json", "X-Request-Id": requestId, ...more },
  });
}
