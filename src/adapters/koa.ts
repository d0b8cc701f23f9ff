import { sendResponse } from "@remix-run/node-fetch-server";
import type { DefaultContext, DefaultState, Middleware } from "koa";
import type { FetchHandler } from "../http/handler.js";
import {
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type Verifier,
} from "../kit.js";
import { respond } from "./node-bridge.js";
import { fromIncoming } from "./node-request.js";

declare module "koa" {
  interface DefaultState {
    /** Who the request is, behind a guard. On an optional route without a credential it is `undefined`. */
    auth: Principal;
  }
}

/**
 * Makes guards for Koa: `auth(requirement)` is middleware that sets `ctx.state.auth`.
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = koaAuth(verifier);
 * router.get("/vehicles", auth("vehicles:read"), (ctx) => { ctx.body = { owner: ctx.state.auth.ownerId }; });
 */
export function koaAuth<S extends string>(
  verifier: Verifier<S>,
  options?: GuardOptions,
): (...args: GuardArguments<S>) => Middleware<DefaultState, DefaultContext> {
  const guard = createGuard(verifier, options);
  return (...args) => {
    const check = guard(...args);
    return async (ctx, next) => {
      const outcome = await check(fromIncoming(ctx.req, ctx.originalUrl));
      if (outcome.pass) {
        ctx.state.auth = outcome.principal as Principal;
        ctx.set(outcome.headers);
        return next();
      }
      ctx.status = outcome.denial.status;
      ctx.body = outcome.denial.body;
      for (const name of ["Content-Type", "Content-Length"]) ctx.remove(name); // Koa's guesses
      ctx.set(outcome.denial.headers);
    };
  };
}

/**
 * Mounts a fetch handler. It sees the URL that the client asked for, mount path included.
 *
 * @example
 * router.all("/admin{/*path}", koaHandler(handler));
 */
export function koaHandler(handler: FetchHandler): Middleware<DefaultState, DefaultContext> {
  return async (ctx) => {
    const { body } = ctx.request as { readonly body?: unknown };
    const response = await respond(handler, ctx.req, ctx.res, { url: ctx.originalUrl, parsed: body });
    ctx.respond = false;
    await sendResponse(ctx.res, response);
  };
}
