import type { RequestHandler } from "keybearer/management";
import { errorBody } from "./errors.js";

/**
 * Requires confirmation for DELETE: `?confirm=true` or a body `{ "confirm": true }`. Without it, the response is a 409
 * that says what to send, and the key is not revoked.
 */
export function requireConfirmation(management: RequestHandler): RequestHandler {
  return async (request, connection) => {
    if (request.method !== "DELETE") return management(request, connection);

    const { headers } = request;
    const url = new URL(request.url);
    const confirmParameter = url.searchParams.get("confirm");
    url.searchParams.delete("confirm"); // the management API rejects unknown parameters

    // Only a caller that may read the key is asked to confirm. Other callers receive the same error as for GET.
    const current = await management(new Request(new URL(url.pathname, url), { headers }), connection);
    if (!current.ok) return current;

    const { confirm, reason } = await readMembers(request);
    if (typeof reason === "string") url.searchParams.append("reason", reason);
    if (confirmParameter !== "true" && confirm !== true) {
      const message = "Revoking a key cannot be undone. To confirm, send the same request with ?confirm=true";
      const body = errorBody(
        { status: 409, code: "confirmation_required", message },
        current.headers.get("x-request-id") ?? "",
      );
      return Response.json(body, { status: 409, headers: { "Cache-Control": "no-store" } });
    }
    return management(new Request(url, { method: "DELETE", headers: withoutBody(headers) }), connection);
  };
}

const MAX_BYTES = 1_024;

async function readMembers({ body }: Request): Promise<{ confirm?: unknown; reason?: unknown }> {
  let text = "";
  for await (const chunk of body ?? []) {
    text += new TextDecoder().decode(chunk);
    if (text.length > MAX_BYTES) return {};
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

/** Returns the headers without those that describe a body. */
function withoutBody(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of ["content-type", "content-length", "transfer-encoding"]) kept.delete(name);
  return kept;
}
