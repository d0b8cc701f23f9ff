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
import { ApiError, failure, ofStatus } from "./failure.js";
import type { Integrations } from "./integrations.js";
import { COMPANIES, type Company, type PartnerScope } from "./partners.js";
import { exchange } from "./token.js";

export interface Parts {
  /** Judges the people who sign in to the dashboard. */
  readonly dashboard: Verifier<PartnerScope>;
  /** Makes tokens of ClientKeys, and judges them. */
  readonly tokens: TokenService<PartnerScope>;
  readonly integrations: Integrations;
  /** Writes a line of the access log. */
  readonly log: (line: string) => void;
}

export const BASE = "/api/v1";

/** The legacy partner API. */
export function koaApp({ dashboard, tokens, integrations, log }: Parts) {
  const app = new Koa();
  const router = new Router({ prefix: BASE });
  const person = koaAuth(dashboard);
  const partner = koaAuth(tokens.verifier);

  // The path alone: the query of DELETE has a ClientKey, and a log is no place for one.
  app.use(async (ctx, next) => {
    await next();
    log(`${ctx.method} ${ctx.path} ${ctx.status}`);
  });
  app.use(async (ctx, next) => {
    try {
      await next();
      if (ctx.body === undefined) throw ofStatus(ctx.status);
    } catch (error) {
      const { status, body } = failure(error, ctx);
      ctx.status = status;
      ctx.body = body;
    }
  });

  router.get("/Integration", person(), (ctx) => {
    const { active, integrator } = check(integrationFilter, ctx.query);
    ctx.body = integrations.list(companyOf(ctx), {
      ...(active !== undefined && { active: active === "true" }),
      ...(integrator !== undefined && { integrator: Number(integrator) }),
    });
  });
  router.post("/Integration", person(), async (ctx) => {
    const wanted = check(newIntegration, await readJson(ctx));
    ctx.body = await integrations.create(companyOf(ctx), wanted, actorOf(ctx));
    ctx.status = 201;
    ctx.set("Cache-Control", "no-store"); // it has the ClientKey
  });
  router.put("/Integration", person(), async (ctx) => {
    const change = check(integrationChange, await readJson(ctx));
    ctx.body = await integrations.change(companyOf(ctx), change, actorOf(ctx));
  });
  router.delete("/Integration/:id", person(), async (ctx) => {
    const { id = "" } = ctx.params;
    ctx.body = await integrations.remove(companyOf(ctx), id, ctx.query.clientKey, actorOf(ctx));
  });

  router.get("/auth/healthCheck", (ctx) => {
    ctx.body = "ok";
  });
  router.get("/auth", (ctx) => exchange(tokens, ctx));
  router.post("/auth", (ctx) => exchange(tokens, ctx));

  router.get("/assets", partner("location-cargo"), (ctx) => {
    ctx.body = assetsOf(ctx);
  });
  router.post("/assets", partner("location-cargo"), async (ctx) => {
    const wanted = new Set(check(vins, await readJson(ctx)));
    ctx.body = assetsOf(ctx).filter(({ vin }) => wanted.has(vin));
  });
  router.get("/assets/location", partner("location-cargo"), (ctx) => {
    ctx.body = partnerData.breadcrumbs(companyOf(ctx));
  });
  router.get(["/assets/driversTimers", "/assets/currentWithTimers"], partner("hos"), (ctx) => {
    ctx.body = partnerData.timers(companyOf(ctx));
  });
  router.get("/waste/jobs", partner("waste-management"), (ctx) => {
    ctx.body = partnerData.wasteJobs(companyOf(ctx));
  });

  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/** Whatever a body or a query says, the company is that of the token. */
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
