import type { ServerResponse } from "node:http";
import {
  type CanActivate,
  createParamDecorator,
  type DynamicModule,
  type ExecutionContext,
  SetMetadata,
} from "@nestjs/common";
import { APP_FILTER, APP_GUARD, Reflector } from "@nestjs/core";
import type { FastifyReply, FastifyRequest } from "fastify";
import {
  createGuard,
  type GuardArguments,
  type GuardFactory,
  type GuardOptions,
  type RouteGuard,
  type Verifier,
} from "../kit.js";
import { DeniedException, DeniedExceptionFilter } from "./nestjs-denial.js";
import { addHeaders, IncomingRequest } from "./node-request.js";

export { DeniedException, DeniedExceptionFilter };

/** A decorator for controllers and their methods. The one of a method replaces that of its controller. */
export type NestDecorator = ClassDecorator & MethodDecorator;

/** What {@link nestAuth} returns. */
export interface NestAuth<S extends string> {
  /** `RequireScopes(requirement)` requires scopes; `RequireScopes()` any valid key. Takes the arguments of every guard. */
  readonly RequireScopes: GuardFactory<S, NestDecorator>;
  /** `Public()` requires no key. */
  readonly Public: () => NestDecorator;
  /** `Auth()` injects the principal into a parameter: `undefined` on public routes, and optional ones without a key. */
  readonly Auth: () => ParameterDecorator;
  /** Guards a controller or method with `@UseGuards(guard)`. A route without a decorator requires any valid key. */
  readonly guard: CanActivate;
  /** Guards every route of the application, and sends denials. */
  readonly module: DynamicModule;
}

/**
 * Creates the decorators, the guard and the module for NestJS on Express or Fastify.
 *
 * @throws TypeError if the verifier, an option or the requirement is invalid.
 *
 * @example
 * export const { RequireScopes, Public, Auth, module: authModule } = nestAuth(verifier);
 */
export function nestAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): NestAuth<S> {
  const createRoute = createGuard(verifier, options);
  const access = Symbol("keybearer"); // of this verifier
  const reflector = new Reflector();
  const anyKey = createRoute();
  const guard: CanActivate = {
    async canActivate(context) {
      const targets = [context.getHandler(), context.getClass()];
      const route = reflector.getAllAndOverride<RouteGuard<S> | "public" | undefined>(access, targets);
      if (route === "public") return true;
      const [request, response] = httpOf(context);
      const outcome = await (route ?? anyKey)(toAuthRequest(request));
      if (!outcome.pass) throw new DeniedException(outcome.denial);
      request.auth = outcome.principal;
      if ("raw" in response) response.headers(outcome.headers);
      else addHeaders(response, outcome.headers);
      return true;
    },
  };
  const RequireScopes = (...args: GuardArguments<S>): NestDecorator =>
    SetMetadata(access, createRoute(...args));
  return {
    RequireScopes: RequireScopes as unknown as GuardFactory<S, NestDecorator>,
    Public: () => SetMetadata(access, "public"),
    Auth: createParamDecorator((_, context: ExecutionContext) => httpOf(context)[0].auth),
    guard,
    module: {
      module: class KeybearerModule {},
      providers: [
        { provide: APP_GUARD, useValue: guard },
        { provide: APP_FILTER, useClass: DeniedExceptionFilter },
      ],
    },
  };
}

type NestRequest = (ConstructorParameters<typeof IncomingRequest>[0] | FastifyRequest) & { auth?: unknown };

function httpOf(context: ExecutionContext): [request: NestRequest, response: FastifyReply | ServerResponse] {
  if (context.getType() !== "http")
    throw new TypeError("nestAuth: guards HTTP only; mark others with Public()");
  const http = context.switchToHttp();
  return [http.getRequest(), http.getResponse()];
}

function toAuthRequest(request: NestRequest): IncomingRequest {
  if (!("raw" in request)) return new IncomingRequest(request);
  return new IncomingRequest(request.raw, request.originalUrl, String(request.id));
}
