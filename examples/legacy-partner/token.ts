import { type AuthRequest, resolveRequestId, toHttpRefusal } from "keybearer";
import type { TokenService } from "keybearer/oauth";
import type { Context } from "koa";
import { z } from "zod";
import { check, readJson, readText } from "./body.js";
import { ApiError } from "./failure.js";
import type { PartnerScope } from "./partners.js";

/** The error codes of RFC 6749, 5.2, for clients that know those. */
const OAUTH: Readonly<Record<number, string>> = { 401: "invalid_client", 503: "temporarily_unavailable" };

/**
 * A partner gives its ClientKey and gets a token. The key comes in a header of this API, as Bearer, or in the body of a
 * POST: as `{ "clientKey" }`, or as the `client_secret` of RFC 6749, 4.4. Whichever way it came, the token service sees
 * it as Bearer.
 */
export async function exchange(tokens: TokenService<PartnerScope>, ctx: Context): Promise<void> {
  ctx.set("Cache-Control", "no-store");
  const { headers, rawHeaders, socket, method } = ctx.req;
  // Of a repeated header, `headers` has one line or all joined; only the raw ones can be counted.
  const linesOf = (name: string) =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
  const sent = method === "POST" ? await readRequest(ctx) : { clientKeys: [] };
  const clientKeys = [...linesOf("x-client-key"), ...linesOf("client_key"), ...sent.clientKeys];
  if (clientKeys.length + linesOf("authorization").length > 1) {
    throw new ApiError(400, "invalid_request", "Send the ClientKey once.");
  }
  const [clientKey] = clientKeys;
  const arrived = { headers, remoteAddress: socket.remoteAddress, method, path: ctx.path };
  const request: AuthRequest =
    clientKey === undefined
      ? { ...arrived, rawHeaders }
      : { ...arrived, headers: { ...headers, authorization: `Bearer ${clientKey}` } };
  const result = await tokens.exchange({ request, ...(sent.scope && { scope: sent.scope }) });

  if (!result.ok) {
    const { status, code, message } = result.error;
    const requestId = resolveRequestId(request);
    const error = OAUTH[status] ?? "invalid_scope";
    const body = { error, error_description: message, code, message, requestId };
    const refusal = toHttpRefusal(result.error, requestId, undefined, body);
    ctx.status = refusal.status;
    ctx.body = refusal.body;
    ctx.set(refusal.headers);
    return;
  }
  const { accessToken, expiresIn, scopes, headers: more } = result;
  ctx.set(more);
  const answer = { userId: null, token: accessToken }; // what this API always answered
  ctx.body =
    method === "POST"
      ? {
          access_token: accessToken,
          token_type: "Bearer",
          expires_in: expiresIn,
          scope: scopes.join(" "),
          ...answer,
          expiresIn,
        }
      : answer;
}

/** The names that clients have for the ClientKey in a body. */
const NAMES = ["clientKey", "ClientKey", "client_key", "client_secret"];

/** What is in the body; nothing when there is none, and the ClientKey is in a header. */
async function readRequest(ctx: Context): Promise<{ clientKeys: string[]; scope?: string }> {
  const members = check(texts, await readMembers(ctx));
  const { grant_type: grant = "client_credentials", scope } = members;
  if (grant !== "client_credentials") {
    throw new ApiError(400, "unsupported_grant_type", "The grant_type must be client_credentials.");
  }
  // A client_id is the ClientKey when it is alone; beside one of the others it is what it says.
  const names = NAMES.some((name) => name in members) ? NAMES : ["client_id"];
  const clientKeys = names.flatMap((name) => members[name] ?? []);
  return { clientKeys, ...(scope && { scope }) };
}

const texts = z.record(z.string(), z.string("must be text"), "must be a JSON object");

async function readMembers(ctx: Context): Promise<unknown> {
  if (ctx.is("application/json")) return readJson(ctx);
  if (!ctx.is("application/x-www-form-urlencoded")) return {};
  const form = new URLSearchParams(await readText(ctx));
  if (new Set(form.keys()).size < form.size) {
    throw new ApiError(400, "invalid_request", "A parameter is repeated.");
  }
  return Object.fromEntries(form);
}
