import type { AuthRequest } from "keybearer";
import { resolveRequestId, toHttpDenial } from "keybearer/kit";
import { fromIncoming } from "keybearer/node";
import type { TokenService } from "keybearer/oauth";
import type { Context } from "koa";
import { z } from "zod";
import { check, readJson, readText } from "./body.js";
import { ApiError } from "./errors.js";
import type { PartnerScope } from "./partners.js";

/** The error codes of RFC 6749, section 5.2, by status. */
const OAUTH_CODES: Readonly<Record<number, string>> = {
  401: "invalid_client",
  503: "temporarily_unavailable",
};

/**
 * Exchanges a ClientKey for a token. The ClientKey is sent in `X-Client-Key` or `client_key`, as a bearer token, or in the
 * body of a POST: as `{ "clientKey" }` or as the `client_secret` of RFC 6749, section 4.4. The token service receives it
 * as a bearer token in every case.
 */
export async function exchange(tokens: TokenService<PartnerScope>, ctx: Context): Promise<void> {
  ctx.set("Cache-Control", "no-store");
  const { headers, rawHeaders, method } = ctx.req;
  // `headers` drops or joins repeated lines, so lines are counted in `rawHeaders`.
  const linesOf = (name: string) =>
    rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
  const sent = method === "POST" ? await readRequest(ctx) : { clientKeys: [] };
  const clientKeys = [...linesOf("x-client-key"), ...linesOf("client_key"), ...sent.clientKeys];
  if (clientKeys.length + linesOf("authorization").length > 1) {
    throw new ApiError(400, "invalid_request", "Send the ClientKey once.");
  }
  const [clientKey] = clientKeys;
  const received = fromIncoming(ctx.req, ctx.path);
  const request: AuthRequest =
    clientKey === undefined
      ? received
      : { ...received, rawHeaders: undefined, headers: { ...headers, authorization: `Bearer ${clientKey}` } };
  const result = await tokens.exchange({ request, ...(sent.scope && { scope: sent.scope }) });

  if (!result.ok) {
    const { status, code, message } = result.error;
    const requestId = resolveRequestId(request);
    const error = OAUTH_CODES[status] ?? "invalid_scope";
    const body = { error, error_description: message, code, message, requestId };
    const denial = toHttpDenial(result.error, requestId, undefined, body);
    ctx.status = denial.status;
    ctx.body = denial.body;
    ctx.set(denial.headers);
    return;
  }
  const { accessToken, expiresIn, scopes, headers: more } = result;
  ctx.set(more);
  const legacyMembers = { userId: null, token: accessToken };
  ctx.body =
    method === "POST"
      ? {
          access_token: accessToken,
          token_type: "Bearer",
          expires_in: expiresIn,
          scope: scopes.join(" "),
          ...legacyMembers,
          expiresIn,
        }
      : legacyMembers;
}

/** The members of a body that can have the ClientKey. */
const NAMES = ["clientKey", "ClientKey", "client_key", "client_secret"];

/** Reads the ClientKey and the scope from the body. Both may be absent. */
async function readRequest(ctx: Context): Promise<{ clientKeys: string[]; scope?: string }> {
  const members = check(strings, await readMembers(ctx));
  const { grant_type: grant = "client_credentials", scope } = members;
  if (grant !== "client_credentials") {
    throw new ApiError(400, "unsupported_grant_type", "The grant_type must be client_credentials.");
  }
  // `client_id` alone is the ClientKey. Together with one of the other members it is ignored.
  const names = NAMES.some((name) => name in members) ? NAMES : ["client_id"];
  const clientKeys = names.flatMap((name) => members[name] ?? []);
  return { clientKeys, ...(scope && { scope }) };
}

const strings = z.record(z.string(), z.string("must be a string"), "must be a JSON object");

async function readMembers(ctx: Context): Promise<unknown> {
  if (ctx.is("application/json")) return readJson(ctx);
  if (!ctx.is("application/x-www-form-urlencoded")) return {};
  const form = new URLSearchParams(await readText(ctx));
  if (new Set(form.keys()).size < form.size) {
    throw new ApiError(400, "invalid_request", "A parameter is repeated.");
  }
  return Object.fromEntries(form);
}
