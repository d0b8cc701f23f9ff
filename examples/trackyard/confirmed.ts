import type { RequestHandler } from "keybearer/management";
import { errorBody } from "./failure.js";

/**
 * Revoking is for good, so a DELETE has to be confirmed: by `?confirm=true`, or a body `{ "confirm": true }`. Without
 * it nothing happens, and the answer says what to send.
 */
export function confirmed(manage: RequestHandler): RequestHandler {
  return async (request, connection) => {
    if (request.method !== "DELETE") return manage(request, connection);

    const { headers } = request;
    const url = new URL(request.url);
    const asked = url.searchParams.get("confirm");
    url.searchParams.delete("confirm"); // the management API refuses what it does not know

    // Who may not see the key is told so, and not what would have to be confirmed.
    const seen = await manage(new Request(new URL(url.pathname, url), { headers }), connection);
    if (!seen.ok) return seen;

    const { confirm, reason } = await readMembers(request);
    const isConfirmed = asked === "true" || confirm === true;
    if (typeof reason === "string") url.searchParams.append("reason", reason);
    if (!isConfirmed) {
      const message = "Revoking a key is for good. To confirm it, send the same request with ?confirm=true";
      const refusal = { status: 409, code: "confirmation_required", message };
      const body = errorBody(refusal, seen.headers.get("x-request-id") ?? "");
      return Response.json(body, { status: 409, headers: { "Cache-Control": "no-store" } });
    }
    return manage(new Request(url, { method: "DELETE", headers: bodiless(headers) }), connection);
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

function bodiless(headers: Headers): Headers {
  const kept = new Headers(headers);
  for (const name of ["content-type", "content-length", "transfer-encoding"]) kept.delete(name);
  return kept;
}
