// NestJS: `@RequireScopes("vehicles:read")` on a controller or a method, and one guard for all of them. A route
// without it asks for any valid key, so a forgotten decorator leaves no door open; `@Public()` says otherwise.

import {
  type CanActivate,
  Controller,
  createParamDecorator,
  type ExecutionContext,
  Get,
  HttpException,
  Module,
  Post,
  SetMetadata,
} from "@nestjs/common";
import { APP_GUARD, Reflector } from "@nestjs/core";
import type { Request, Response } from "express";
import { createGuard, type Principal, type RouteGuard, type ScopeName } from "keybearer";
import { fromIncoming } from "keybearer/node";
import { type scopes, verifier } from "./auth.js";

type Scope = ScopeName<typeof scopes>;
type Holder = Principal<Scope>;

// One place for both, so that what a method says overrides what its controller says, whichever of the two it is.
const ACCESS = "keybearer:access";
type Access = readonly [Scope, ...Scope[]] | "public";

/** All of these scopes. A typo does not compile, and is a TypeError when the application starts. */
export const RequireScopes = (...required: readonly [Scope, ...Scope[]]) => {
  verifier.assertRequirement(required);
  return SetMetadata(ACCESS, required satisfies Access);
};

/** No key at all. */
export const Public = () => SetMetadata(ACCESS, "public" satisfies Access);

/** Whose key it is, as a parameter of a method. */
export const Auth = createParamDecorator(
  (_: unknown, context: ExecutionContext): Holder =>
    context.switchToHttp().getRequest<Request & { auth: Holder }>().auth,
);

export class ApiKeyGuard implements CanActivate {
  readonly #guard = createGuard(verifier);
  readonly #routes = new Map<string, RouteGuard<Scope>>();
  readonly #reflector: Reflector;

  constructor(reflector: Reflector) {
    this.#reflector = reflector;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const places = [context.getHandler(), context.getClass()];
    const access = this.#reflector.getAllAndOverride<Access | undefined>(ACCESS, places);
    if (access === "public") return true;
    const http = context.switchToHttp();
    const [req, res] = [http.getRequest<Request>(), http.getResponse<Response>()];
    const outcome = await this.#route(access)(fromIncoming(req, req.originalUrl));
    res.set(outcome.pass ? outcome.headers : outcome.refusal.headers);
    // An exception, so that filters and interceptors see it as they see every other.
    if (!outcome.pass) throw new HttpException(JSON.parse(outcome.refusal.body), outcome.refusal.status);
    Object.assign(req, { auth: outcome.principal });
    return true;
  }

  #route(required: readonly Scope[] | undefined): RouteGuard<Scope> {
    const name = JSON.stringify(required) ?? "";
    const known = this.#routes.get(name);
    if (known !== undefined) return known;
    const made = required === undefined ? this.#guard() : this.#guard(required);
    this.#routes.set(name, made);
    return made;
  }
}

@Controller("vehicles")
export class VehiclesController {
  @Get()
  @RequireScopes("vehicles:read")
  list(@Auth() auth: Holder) {
    return { owner: auth.ownerId, vehicles: [] };
  }

  @Post()
  @RequireScopes("vehicles:write")
  add(@Auth() auth: Holder) {
    return { owner: auth.ownerId };
  }

  @Get("me")
  me(@Auth() auth: Holder) {
    return auth;
  }

  @Get("health")
  @Public()
  health() {
    return { ok: true };
  }
}

@Module({
  controllers: [VehiclesController],
  providers: [
    {
      provide: APP_GUARD,
      useFactory: (reflector: Reflector) => new ApiKeyGuard(reflector),
      inject: [Reflector],
    },
  ],
})
export class AppModule {}
