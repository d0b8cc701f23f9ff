import type { IncomingMessage, ServerResponse } from "node:http";
import { sendResponse } from "@remix-run/node-fetch-server";
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
import { addHeaders, IncomingRequest, isResponseSent, sendDenial } from "./node-request.js";
import { serveFetch } from "./serve-fetch.js";
import { rejectUncalled } from "./uncalled-guard.js";

declare global {
  namespace Express {
    interface Request {
      /** The verified principal, behind a guard. `undefined` on an optional route without a credential. */
      auth: Principal<RegisteredScope>;
    }
  }
}

interface ExpressRequest extends IncomingMessage {
  readonly originalUrl?: string;
  readonly body?: unknown;
  auth?: Principal | undefined;
}

/** Middleware for Express and compatible routers. */
export type ExpressMiddleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void | Promise<void>;

/**
 * Creates guards for Express: `auth(requirement)` is middleware that sets `req.auth`.
 *
 * @throws TypeError if the verifier, an option or the requirement is invalid.
 *
 * @example
 * const auth = expressAuth(verifier);
 * app.get("/vehicles", auth("vehicles:read"), (req, res) => res.json({ owner: req.auth.ownerId }));
 */
export function expressAuth<S extends string>(
  verifier: Verifier<S>,
  options?: GuardOptions,
): GuardFactory<S, ExpressMiddleware> {
  const guard = createGuard(verifier, options);
  const createMiddleware = (...args: GuardArguments<S>): ExpressMiddleware => {
    const check = guard(...args);
    return (req: ExpressRequest, res, next) =>
      mapAwaitable(check(new IncomingRequest(req)), (outcome) => {
        if (isResponseSent(res)) return;
        if (!outcome.pass) {
          res.removeHeader("X-Powered-By"); // a denial is the same in every framework
          return sendDenial(res, outcome.denial);
        }
        req.auth = outcome.principal;
        addHeaders(res, outcome.headers);
        next();
      });
  };
  // app.use() reads `handle` to recognize mounted apps.
  const message = "expressAuth: pass auth() to app.use(), not auth";
  return rejectUncalled(createMiddleware, message, ["handle"]) as GuardFactory<S, ExpressMiddleware>;
}

/**
 * Mounts a fetch handler, which receives the full URL that the client requested, mount path included.
 *
 * @example
 * app.use("/admin", expressHandler(handler));
 */
export function expressHandler(handler: FetchHandler): ExpressMiddleware {
  return async (req: ExpressRequest, res, next) => {
    try {
      const { originalUrl: url = req.url, body: parsedBody } = req;
      await sendResponse(res, await serveFetch(handler, req, res, { url, parsedBody }));
    } catch (error) {
      next(error);
    }
  };
}
