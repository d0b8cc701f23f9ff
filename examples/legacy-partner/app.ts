import Router from "@koa/router";
import type { Principal, Verifier } from "keybearer";
import { koaAuth } from "keybearer/koa";
import type { TokenService } from "keybearer/oauth";
import Koa, { type Context } from "koa";
import {
  assetsQuery,
  check,
  integrationChange,
  integrationFilter,
  newIntegration,
  readJson,
  vins,
} from "./body.js";
import { partnerData } from "./data.js";
import { ApiError, errorOfStatus, toErrorResponse } from "./errors.js";
import type { Integrations } from "./integrations.js";
import { COMPANIES, type Company, type PartnerScope } from "./partners.js";
import { exchange } from "./token.js";

export interface AppOptions {
  /** Verifies the JWTs of dashboard users. */
  readonly dashboard: Verifier<PartnerScope>;
  /** Exchanges ClientKeys for tokens, and verifies the tokens. */
  readonly tokens: TokenService<PartnerScope>;
  readonly integrations: Integrations;
  /** Writes a line of the access log. */
  readonly log: (line: string) => void;
}

export const BASE = "/api/v1";

/** Creates the API in Koa. */
export function createApp({ dashboard, tokens, integrations, log }: AppOptions) {
  const app = new Koa();
  const router = new Router({ prefix: BASE });
  const userAuth = koaAuth(dashboard);
  const partnerAuth = koaAuth(tokens.verifier);

  // Logs the path without the query, because the query of DELETE has a ClientKey.
  app.use(async (ctx, next) => {
    await next();
    log(`${ctx.method} ${ctx.path} ${ctx.status}`);
  });
  app.use(async (ctx, next) => {
    try {
      await next();
      if (ctx.body === undefined) throw errorOfStatus(ctx.status);
    } catch (error) {
      const { status, body } = toErrorResponse(error, ctx);
      ctx.status = status;
      ctx.body = body;
    }
  });

  router.get("/Integration", userAuth(), (ctx) => {
    const { active, integrator } = check(integrationFilter, ctx.query);
    ctx.body = integrations.list(companyOf(ctx), {
      ...(active !== undefined && { active: active === "true" }),
      ...(integrator !== undefined && { integrator: Number(integrator) }),
    });
  });
  router.post("/Integration", userAuth(), async (ctx) => {
    const input = check(newIntegration, await readJson(ctx));
    ctx.body = await integrations.create(companyOf(ctx), input, actorOf(ctx));
    ctx.status = 201;
    ctx.set("Cache-Control", "no-store"); // the body has the ClientKey
  });
  router.put("/Integration", userAuth(), async (ctx) => {
    const change = check(integrationChange, await readJson(ctx));
    ctx.body = await integrations.change(companyOf(ctx), change, actorOf(ctx));
  });
  router.delete("/Integration/:id", userAuth(), async (ctx) => {
    const { id = "" } = ctx.params;
    ctx.body = await integrations.remove(companyOf(ctx), id, ctx.query.clientKey, actorOf(ctx));
  });

  router.get("/auth/healthCheck", (ctx) => {
    ctx.body = "ok";
  });
  router.get("/auth", (ctx) => exchange(tokens, ctx));
  router.post("/auth", (ctx) => exchange(tokens, ctx));

  router.get("/assets", partnerAuth("location-cargo"), (ctx) => {
    ctx.body = assetsOf(ctx);
  });
  router.post("/assets", partnerAuth("location-cargo"), async (ctx) => {
    const wanted = new Set(check(vins, await readJson(ctx)));
    ctx.body = assetsOf(ctx).filter(({ vin }) => wanted.has(vin));
  });
  router.get("/assets/location", partnerAuth("location-cargo"), (ctx) => {
    ctx.body = partnerData.breadcrumbs(companyOf(ctx));
  });
  router.get(["/assets/driversTimers", "/assets/currentWithTimers"], partnerAuth("hos"), (ctx) => {
    ctx.body = partnerData.timers(companyOf(ctx));
  });
  router.get("/waste/jobs", partnerAuth("waste-management"), (ctx) => {
    ctx.body = partnerData.wasteJobs(companyOf(ctx));
  });

  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** Returns the company of the token. A company in the body or query is never used. */
function companyOf(ctx: Context): Company {
  const { ownerId } = ctx.state.auth as Principal;
  const company = COMPANIES.find(({ id }) => String(id) === ownerId);
  if (company === undefined) throw new ApiError(403, "unknown_company", "The company has no integrations.");
  return company;
}

function assetsOf(ctx: Context) {
  const { additionalInfo } = check(assetsQuery, ctx.query);
  return partnerData.assets(companyOf(ctx), additionalInfo === "true");
}

function actorOf(ctx: Context): string {
  return (ctx.state.auth as Principal).id;
}
