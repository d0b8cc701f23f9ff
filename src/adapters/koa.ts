import { sendResponse } from "@remix-run/node-fetch-server";
import type { DefaultContext, DefaultState, Middleware } from "koa";
import type { FetchHandler } from "../http/handler.js";
import { mapAwaitable } from "../internal/awaitable.js";
import {
  createGuard,
  type GuardArguments,
  type GuardFactory,
  type GuardOptions,
  type Principal,
  type RegisteredScope,
  type Verifier,
} from "../kit.js";
import { IncomingRequest } from "./node-request.js";
import { serveFetch } from "./serve-fetch.js";
import { rejectUncalled } from "./uncalled-guard.js";

declare module "koa" {
  interface DefaultState {
    /** The verified principal, behind a guard. `undefined` on an optional route without a credential. */
    auth: Principal<RegisteredScope>;
  }
}

/**
 * Creates guards for Koa: `auth(requirement)` is middleware that sets `ctx.state.auth`.
 *
 * @throws TypeError if the verifier, an option or the requirement is invalid.
 *
 * @example
 * const auth = koaAuth(verifier);
 * router.get("/vehicles", auth("vehicles:read"), (ctx) => { ctx.body = { owner: ctx.state.auth.ownerId }; });
 */
export function koaAuth<S extends string>(
  verifier: Verifier<S>,
  options?: GuardOptions,
): GuardFactory<S, Middleware<DefaultState, DefaultContext>> {
  const guard = createGuard(verifier, options);
  const createMiddleware = (...args: GuardArguments<S>): Middleware<DefaultState, DefaultContext> => {
    const check = guard(...args);
    return (ctx, next) =>
      mapAwaitable(check(new IncomingRequest(ctx.req, ctx.originalUrl)), (outcome) => {
        if (outcome.pass) {
          ctx.state.auth = outcome.principal as unknown as Principal<RegisteredScope>;
          ctx.set(outcome.headers);
          return next();
        }
        ctx.status = outcome.denial.status;
        ctx.body = outcome.denial.body;
        for (const name of ["Content-Type", "Content-Length"]) ctx.remove(name); // set by Koa with the body
        ctx.set(outcome.denial.headers);
      });
  };
  // app.use() reads `_name`, and use() of @koa/router reads `router`.
  const inspected = ["_name", "router"];
  const message = "koaAuth: pass auth() to app.use(), not auth";
  return rejectUncalled(createMiddleware, message, inspected) as GuardFactory<
    S,
    Middleware<DefaultState, DefaultContext>
  >;
}

/**
 * Mounts a fetch handler, which receives the full URL that the client requested, mount path included.
 *
 * @example
 * router.all("/admin{/*path}", koaHandler(handler));
 */
export function koaHandler(handler: FetchHandler): Middleware<DefaultState, DefaultContext> {
  return async (ctx) => {
    const { body: parsedBody } = ctx.request as { readonly body?: unknown };
    const response = await serveFetch(handler, ctx.req, ctx.res, { url: ctx.originalUrl, parsedBody });
    ctx.respond = false;
    await sendResponse(ctx.res, response);
  };
}
