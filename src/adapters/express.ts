import type { IncomingMessage, ServerResponse } from "node:http";
import { sendResponse } from "@remix-run/node-fetch-server";
import type { FetchHandler } from "../http/handler.js";
import {
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type Verifier,
} from "../kit.js";
import { respond } from "./node-bridge.js";
import { addHeaders, fromIncoming, isAnswered, sendDenial } from "./node-request.js";

declare global {
  namespace Express {
    interface Request {
      /** Who the request is, behind a guard. On an optional route without a credential it is `undefined`. */
      auth: Principal;
    }
  }
}

/** The parts of an Express request that are read. */
interface ExpressRequest extends IncomingMessage {
  readonly originalUrl?: string;
  readonly body?: unknown;
  auth?: Principal | undefined;
}

/** Express middleware, described by what it uses, so that Express 4 and 5 and their forks all fit. */
export type ExpressMiddleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Makes guards for Express: `auth(requirement)` is middleware that sets `req.auth`.
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = expressAuth(verifier);
 * app.get("/vehicles", auth("vehicles:read"), (req, res) => res.json({ owner: req.auth.ownerId }));
 */
export function expressAuth<S extends string>(
  verifier: Verifier<S>,
  options?: GuardOptions,
): (...args: GuardArguments<S>) => ExpressMiddleware {
  const guard = createGuard(verifier, options);
  return (...args) => {
    const check = guard(...args);
    return async (req: ExpressRequest, res, next) => {
      const outcome = await check(fromIncoming(req, req.originalUrl));
      if (isAnswered(res)) return;
      if (!outcome.pass) {
        res.removeHeader("X-Powered-By"); // a refusal is the same in every framework, and names none
        return sendDenial(res, outcome.denial);
      }
      req.auth = outcome.principal;
      addHeaders(res, outcome.headers);
      next();
    };
  };
}

/**
 * Mounts a fetch handler. It sees the URL that the client asked for, mount path included.
 *
 * @example
 * app.use("/admin", expressHandler(handler));
 */
export function expressHandler(handler: FetchHandler): ExpressMiddleware {
  return async (req: ExpressRequest, res, next) => {
    try {
      const asked = { url: req.originalUrl ?? req.url, parsed: req.body };
      await sendResponse(res, await respond(handler, req, res, asked));
    } catch (error) {
      next(error);
    }
  };
}
