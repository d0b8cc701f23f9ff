import type { CanActivate, ExecutionContext } from "@nestjs/common";
import { describe, expect, test } from "vitest";
import { DeniedException, nestAuth } from "../../../src/adapters/nestjs.js";
import { secrets, verifierBehind } from "./fixtures.js";

const { RequireScopes, Public, guard } = nestAuth(verifierBehind("none"));

interface Called {
  readonly headers: Record<string, string>;
  readonly context: ExecutionContext;
}

/** Creates the context of a call to a method that is decorated like this. */
function call(
  secret: string | undefined,
  onClass?: ClassDecorator,
  onMethod?: MethodDecorator,
  type = "http",
): Called {
  class Controller {
    list(): void {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Controller.prototype, "list") as PropertyDescriptor;
  onClass?.(Controller);
  onMethod?.(Controller.prototype, "list", descriptor);
  const headers: Record<string, string> = {};
  const sent = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const request = { headers: sent, rawHeaders: Object.entries(sent).flat(), socket: {}, originalUrl: "/" };
  const response = { setHeader: (name: string, value: string) => Object.assign(headers, { [name]: value }) };
  const context = {
    getHandler: () => Controller.prototype.list,
    getClass: () => Controller,
    getType: () => type,
    switchToHttp: () => ({ getRequest: () => request, getResponse: () => response }),
  };
  return { headers, context: context as unknown as ExecutionContext };
}

const activate = async ({ context }: Called, by: CanActivate = guard): Promise<unknown> =>
  Promise.resolve(by.canActivate(context)).catch((error: unknown) =>
    error instanceof DeniedException ? JSON.parse(error.denial.body).code : error,
  );

describe("nestAuth", () => {
  test("requires any valid key without a decorator", async () => {
    expect(await activate(call(undefined))).toBe("missing_credential");
    expect(await activate(call(secrets.scopeless))).toBe(true);
  });

  test.each<[string, ClassDecorator | undefined, MethodDecorator | undefined, string | undefined, unknown]>([
    [
      "scopes of a controller",
      RequireScopes("vehicles:read"),
      undefined,
      secrets.scopeless,
      "insufficient_scope",
    ],
    ["a method instead of a public controller", Public(), RequireScopes(), undefined, "missing_credential"],
    ["a public method of a controller", RequireScopes("vehicles:read"), Public(), undefined, true],
    ["another scope", RequireScopes("vehicles:write"), RequireScopes("vehicles:read"), secrets.reader, true],
    ["an optional route", undefined, RequireScopes({ optional: true }), undefined, true],
  ])("the decorators require %s", async (_what, onClass, onMethod, secret, result) => {
    expect(await activate(call(secret, onClass, onMethod))).toBe(result);
  });

  test("a denial sets no header, so that another guard can allow the request", async () => {
    const denied = call(secrets.exhausted);
    expect(await activate(denied)).toBe("rate_limited");
    expect(denied.headers).toEqual({});
    const allowed = call(secrets.metered);
    expect(await activate(allowed)).toBe(true);
    expect(allowed.headers).toHaveProperty("RateLimit");
  });

  test("rejects calls that are not HTTP, unless they are public", async () => {
    expect(await activate(call(secrets.reader, undefined, undefined, "rpc"))).toBeInstanceOf(TypeError);
    expect(await activate(call(undefined, Public(), undefined, "rpc"))).toBe(true);
  });

  test("reads the decorators of its own verifier only", async () => {
    const other = nestAuth(verifierBehind("none"));
    expect(await activate(call(undefined, Public()), other.guard)).toBe("missing_credential");
  });

  test("an undefined scope is a TypeError when the class is defined", () => {
    // @ts-expect-error unknown scope
    expect(() => RequireScopes("vehicles:raed")).toThrow(TypeError);
  });
});
