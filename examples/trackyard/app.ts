import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { type ApiKey, resolveRequestId } from "keybearer";
import { fastifyAuth, fastifyHandler } from "keybearer/fastify";
import type { Accounts } from "./accounts.js";
import { check, downloadRequest, searchRequest, usageQuery } from "./body.js";
import { download, search } from "./catalogue.js";
import { ApiError, asRefusal, errorBody } from "./failure.js";
import type { Environment, Keys, Limits } from "./keys.js";
import { rateHeaders } from "./rate-headers.js";
import type { Usage } from "./usage.js";

export interface Parts {
  readonly keys: Keys;
  readonly accounts: Accounts;
  readonly usage: Usage;
  readonly limits: Readonly<Record<Environment, Limits>>;
}

/** The Trackyard API in Fastify. */
export async function createApp({ keys, accounts, usage, limits }: Parts) {
  const app = Fastify({
    bodyLimit: 64 * 1024,
    genReqId: resolveRequestId, // a client's X-Request-Id, if well-formed; Fastify's own are req-1, req-2, …
    frameworkErrors: fail,
  });
  app.removeContentTypeParser("text/plain");
  const auth = fastifyAuth(keys.verifier, { errorBody });
  await app.register(auth.plugin);
  await app.register(fastifyHandler(keys.management), { prefix: "/account" });

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
    return usage.list(auth, offset, limit);
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

  // A key may be allowed to read and still be refused: the tier of its account does not have everything.
  app.get("/reports", { onRequest: auth("read") }, async ({ auth }) => {
    accounts.requireFeature(auth.ownerId, "reports");
    const live = usage.list({ ownerId: auth.ownerId, environment: "live" }, 0, 1).total_count;
    const test = usage.list({ ownerId: auth.ownerId, environment: "test" }, 0, 1).total_count;
    return { reports: [{ name: "requests", live, test }] };
  });

  app.get("/admin/accounts", { onRequest: auth("admin") }, async () => ({
    accounts: accounts.list().map(({ id, tier }) => ({ id, tier })),
  }));

  app.addHook("onSend", async (_request, reply) => {
    reply.headers(rateHeaders(reply.getHeader("RateLimit-Policy"), reply.getHeader("RateLimit")));
  });
  app.addHook("onResponse", async ({ auth, routeOptions }, reply) => {
    if (auth === undefined) return; // refused by the guard
    const isPaid = ["/search", "/download-track"].includes(routeOptions.url ?? "");
    usage.add(auth, {
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
  const refusal = asRefusal(error);
  reply.code(refusal.status).send(errorBody(refusal, request.id));
}
