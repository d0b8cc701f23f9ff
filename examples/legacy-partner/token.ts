import { type AuthRequest, resolveRequestId, toHttpRefusal } from "keybearer";
import type { TokenService } from "keybearer/jwt";
import type { Context } from "koa";
import { z } from "zod";
import { check, readJson, readText } from "./body.js";
import { ApiError } from "./failure.js";
import type { PartnerScope } from "./partners.js";

/** The error codes of RFC 6749, 5.2, for clients that know those. */
const OAUTH: Readonly<Record<number, string>> = { 401: "invalid_client", 503: "temporarily_unavailable" };

const exchangeRequest = z.strictObject({ clientKey: z.string("must be text") }, "must be a JSON object");

/**
 * A partner gives its ClientKey and gets a token: as Bearer, as `{ "clientKey" }`, or as the form of RFC 6749, 4.4,
 * where it is the `client_secret`. Whichever way it came, the token service sees it as Bearer.
 */
export async function exchange(tokens: TokenService<PartnerScope>, ctx: Context): Promise<void> {
  const { headers, rawHeaders, socket, method } = ctx.req;
  const arrived = { headers, rawHeaders, remoteAddress: socket.remoteAddress, method, path: ctx.path };
  const { clientKey, scope } = await readRequest(ctx);
  if (clientKey !== undefined && headers.authorization !== undefined) {
    throw new ApiError(400, "invalid_request", "Send the ClientKey once.");
  }
  const request: AuthRequest =
    clientKey === undefined
      ? arrived
      : { ...arrived, headers: { ...headers, authorization: `Bearer ${clientKey}` }, rawHeaders: undefined };
  const result = await tokens.exchange({ request, ...(scope && { scope }) });

  ctx.set("Cache-Control", "no-store");
  if (!result.ok) {
    const { status, code, message } = result.error;
    const requestId = resolveRequestId(request);
    const error = OAUTH[status] ?? "invalid_scope";
    const body = { error, error_description: message, code, message, requestId };
    const refusal = toHttpRefusal(result.error, requestId, undefined, body);
    ctx.status = refusal.status;
    ctx.body = body;
    ctx.set(refusal.headers);
    return;
  }
  const { accessToken, expiresIn, scopes, headers: more } = result;
  ctx.set(more);
  ctx.body = {
    access_token: accessToken,
    token_type: "Bearer",
    expires_in: expiresIn,
    scope: scopes.join(" "),
    // The names that this API has for the same.
    token: accessToken,
    expiresIn,
  };
}

async function readRequest(ctx: Context): Promise<{ clientKey?: string; scope?: string }> {
  if (ctx.is("application/x-www-form-urlencoded")) return readForm(await readText(ctx));
  if (ctx.is("application/json")) return check(exchangeRequest, await readJson(ctx));
  return {}; // the ClientKey is in the header, or nowhere
}

function readForm(text: string): { clientKey?: string; scope?: string } {
  const form = new URLSearchParams(text);
  if (new Set(form.keys()).size < form.size) throw invalid("A parameter is repeated.");
  const grant = form.get("grant_type");
  if (grant !== null && grant !== "client_credentials") {
    throw new ApiError(400, "unsupported_grant_type", "The grant_type must be client_credentials.");
  }
  const clientKey = form.get("client_secret") ?? form.get("clientKey") ?? form.get("client_id");
  const scope = form.get("scope");
  return { ...(clientKey !== null && { clientKey }), ...(scope && { scope }) };
}

function invalid(message: string): ApiError {
  return new ApiError(400, "invalid_request", message);
}
