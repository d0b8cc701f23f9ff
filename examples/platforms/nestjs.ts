// NestJS: one global guard, and `@RequireScopes("vehicles:read")` on a controller or a method. A route without a
// decorator requires any valid key, so a missing decorator never makes a route public. `@Public()` does.

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
import type { Principal, ScopeName } from "keybearer";
import { createGuard, type RouteGuard } from "keybearer/kit";
import { fromIncoming } from "keybearer/node";
import { type scopes, verifier } from "./auth.js";

type Scope = ScopeName<typeof scopes>;
type ApiPrincipal = Principal<Scope>;

// Both decorators set the same metadata, so that either one on a method overrides either one on its controller.
const ACCESS = "keybearer:access";
type Access = readonly [Scope, ...Scope[]] | "public";

/** Requires all of these scopes. An unknown scope is a compile error, and a TypeError at start-up. */
export const RequireScopes = (...required: readonly [Scope, ...Scope[]]) => {
  verifier.assertRequirement(required);
  return SetMetadata(ACCESS, required satisfies Access);
};

/** Requires no key. */
export const Public = () => SetMetadata(ACCESS, "public" satisfies Access);

/** Injects the principal as a parameter of a method. */
export const Auth = createParamDecorator(
  (_: unknown, context: ExecutionContext): ApiPrincipal =>
    context.switchToHttp().getRequest<Request & { auth: ApiPrincipal }>().auth,
);

export class ApiKeyGuard implements CanActivate {
  readonly #guard = createGuard(verifier);
  readonly #routes = new Map<string, RouteGuard<Scope>>();
  readonly #reflector: Reflector;

  constructor(reflector: Reflector) {
    this.#reflector = reflector;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    const access = this.#reflector.getAllAndOverride<Access | undefined>(ACCESS, targets);
    if (access === "public") return true;
    const http = context.switchToHttp();
    const [req, res] = [http.getRequest<Request>(), http.getResponse<Response>()];
    const outcome = await this.#route(access)(fromIncoming(req, req.originalUrl));
    res.set(outcome.pass ? outcome.headers : outcome.denial.headers);
    // An exception, so that filters and interceptors handle it like any other.
    if (!outcome.pass) throw new HttpException(JSON.parse(outcome.denial.body), outcome.denial.status);
    Object.assign(req, { auth: outcome.principal });
    return true;
  }

  #route(required: readonly Scope[] | undefined): RouteGuard<Scope> {
    const name = JSON.stringify(required) ?? "";
    const existing = this.#routes.get(name);
    if (existing !== undefined) return existing;
    const created = required === undefined ? this.#guard() : this.#guard(required);
    this.#routes.set(name, created);
    return created;
  }
}

@Controller("vehicles")
export class VehiclesController {
  @Get()
  @RequireScopes("vehicles:read")
  list(@Auth() auth: ApiPrincipal) {
    return { owner: auth.ownerId, vehicles: [] };
  }

  @Post()
  @RequireScopes("vehicles:write")
  add(@Auth() auth: ApiPrincipal) {
    return { owner: auth.ownerId };
  }

  @Get("me")
  me(@Auth() auth: ApiPrincipal) {
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
