import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import type { ApiKey } from "keybearer";
import { fastifyAuth, fastifyHandler } from "keybearer/fastify";
import { resolveRequestId } from "keybearer/kit";
import type { Accounts } from "./accounts.js";
import type { Auth, Environment, Limits } from "./auth.js";
import { check, downloadRequest, searchRequest, usageQuery } from "./body.js";
import { download, search } from "./catalogue.js";
import { ApiError, errorBody, toErrorInfo } from "./errors.js";
import { rateHeaders } from "./rate-headers.js";
import type { RequestLog } from "./usage.js";

export interface AppOptions {
  readonly verifier: Auth["verifier"];
  readonly management: Auth["management"];
  readonly keyPage: Auth["keyPage"];
  readonly accounts: Accounts;
  readonly requests: RequestLog;
  readonly limits: Readonly<Record<Environment, Limits>>;
}

/** Creates the API in Fastify. */
export async function createApp({ verifier, management, keyPage, accounts, requests, limits }: AppOptions) {
  const app = Fastify({
    bodyLimit: 64 * 1024,
    genReqId: resolveRequestId, // keeps a well-formed X-Request-Id of the client
    frameworkErrors: fail,
  });
  app.removeContentTypeParser("text/plain");
  const auth = fastifyAuth(verifier, { errorBody });
  await app.register(auth.plugin);
  await app.register(fastifyHandler(management), { prefix: "/account" });
  await app.register(fastifyHandler(keyPage), { prefix: "/account/keys" });

  app.get("/me", { onRequest: auth() }, async ({ auth }) => {
    const { tier, creditsRemaining, monthlyAllowance } = accounts.get(auth.ownerId);
    const { id, name, start, environment, scopes, status, createdAt, expiresAt, lastUsedAt } =
      auth.key as ApiKey;
    const { perMinute, perDay } = limits[environment as Environment];
    return {
      tier,
      credits_remaining: creditsRemaining,
      monthly_allowance: monthlyAllowance,
      rate_limit: { requests_per_minute: perMinute, requests_per_day: perDay },
      id,
      name,
      start,
      environment,
      scopes,
      status,
      created_at: createdAt,
      expires_at: expiresAt,
      last_used_at: lastUsedAt,
    };
  });

  app.get("/usage", { onRequest: auth("read") }, async ({ auth, query }) => {
    const { offset, limit } = check(usageQuery, query);
    return requests.list(auth, offset, limit);
  });

  app.post("/search", { onRequest: auth("read") }, async ({ auth, body }) => {
    const { query, offset, limit } = check(searchRequest, body);
    const tracks = search(query, offset, limit);
    return { tracks, credits_remaining: accounts.spend(auth.ownerId) };
  });

  app.post("/download-track", { onRequest: auth("download") }, async ({ auth, body }, reply) => {
    const { filename, audio } = download(check(downloadRequest, body).track_id);
    const left = accounts.spend(auth.ownerId);
    reply.type("audio/mpeg").header("Content-Disposition", `attachment; filename="${filename}"`);
    return reply.header("X-Credits-Remaining", left).send(audio);
  });

  // The scope of the key is not enough: the tier of the account must include the feature.
  app.get("/reports", { onRequest: auth("read") }, async ({ auth }) => {
    accounts.requireFeature(auth.ownerId, "reports");
    const live = requests.list({ ownerId: auth.ownerId, environment: "live" }, 0, 1).total_count;
    const test = requests.list({ ownerId: auth.ownerId, environment: "test" }, 0, 1).total_count;
    return { reports: [{ name: "requests", live, test }] };
  });

  app.get("/admin/accounts", { onRequest: auth("admin") }, async () => ({
    accounts: accounts.list().map(({ id, tier }) => ({ id, tier })),
  }));

  app.addHook("onSend", async (_request, reply) => {
    reply.headers(rateHeaders(reply.getHeader("RateLimit-Policy"), reply.getHeader("RateLimit")));
  });
  app.addHook("onResponse", async ({ auth, routeOptions }, reply) => {
    if (auth === undefined) return; // denied by the guard
    const isPaid = ["/search", "/download-track"].includes(routeOptions.url ?? "");
    requests.add(auth, {
      timestamp: new Date().toISOString(),
      endpoint: routeOptions.url ?? "",
      status_code: reply.statusCode,
      credits_consumed: isPaid && reply.statusCode < 400 ? 1 : 0,
      response_time_ms: Math.round(reply.elapsedTime),
    });
  });

  app.setNotFoundHandler((request, reply) => {
    fail(new ApiError(404, "not_found", "There is no such route."), request, reply);
  });
  app.setErrorHandler(fail);
  return app;
}

function fail(error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const info = toErrorInfo(error);
  reply.code(info.status).send(errorBody(info, request.id));
}
