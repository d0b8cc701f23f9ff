import { describe, expectTypeOf, test } from "vitest";
import * as z from "zod";
import type { ApiKey, Principal } from "../../src/index.js";
import {
  createManagementApi,
  HttpProblem,
  type ManagementOptions,
  type Presenter,
  type Problem,
  type RequestHandler,
} from "../../src/management/index.js";
import { keys, type Scope, verifier } from "./fixtures.js";

describe("createManagementApi", () => {
  test("scopes are inferred from the manager", () => {
    const api = createManagementApi({
      keys,
      verifier,
      requires: { read: "vehicles:read", write: { anyOf: ["vehicles:write"] } },
      defaults: (principal) => {
        expectTypeOf(principal).toEqualTypeOf<Principal<Scope>>();
        return { scopes: ["vehicles:read"], environment: "live" };
      },
      actor: (principal) => {
        expectTypeOf(principal).toEqualTypeOf<Principal<Scope>>();
        return principal.id;
      },
    });
    expectTypeOf(api).toEqualTypeOf<RequestHandler>();
  });

  test("rejects a typo in a requirement or a default", () => {
    // @ts-expect-error vehicles:raed
    createManagementApi({ keys, verifier, requires: { read: "vehicles:raed" } });
    // @ts-expect-error in an array
    createManagementApi({ keys, verifier, requires: { write: ["vehicles:read", "vehicle:write"] } });
    // @ts-expect-error in anyOf
    createManagementApi({ keys, verifier, requires: { write: { anyOf: ["vehicles:raed"] } } });
    // @ts-expect-error a misspelt member
    createManagementApi({ keys, verifier, requires: { raed: "vehicles:read" } });
    // @ts-expect-error in a default
    createManagementApi({ keys, verifier, defaults: () => ({ scopes: ["vehicles:raed"] }) });
    // @ts-expect-error the owner is that of the principal
    createManagementApi({ keys, verifier, defaults: () => ({ ownerId: "evil" }) satisfies Defaults });
  });

  test("rejects misspelt options", () => {
    // @ts-expect-error an unknown option
    createManagementApi({ keys, verifier, basepath: "/admin" });
    // @ts-expect-error an unknown route
    createManagementApi({ keys, verifier, routes: ["lst"] });
    // @ts-expect-error fixed at creation
    createManagementApi({ keys, verifier, input: { update: ["scopes"] } });
    // @ts-expect-error never in the body
    createManagementApi({ keys, verifier, input: { create: ["ownerId"] } });
    // @ts-expect-error no unit
    createManagementApi({ keys, verifier, overlap: 3600 });
    // @ts-expect-error an unset variable is no requirement
    createManagementApi({ keys, verifier, requires: { read: undefined } });
  });
});

type Defaults = ReturnType<NonNullable<ManagementOptions<Scope>["defaults"]>>;

describe("presenter", () => {
  test("functions receive the result and the default body", () => {
    const presenter: Presenter = {
      naming: (member) => member.toUpperCase(),
      key: (key, defaultBody) => {
        expectTypeOf(key).toEqualTypeOf<ApiKey>();
        expectTypeOf(key).not.toHaveProperty("hash");
        return { ...defaultBody, id: key.id };
      },
      created: ({ secret, key }) => ({ secret, id: key.id }),
      list: ({ items, nextCursor }) => ({ items, more: nextCursor !== undefined }),
      error: (problem) => {
        expectTypeOf(problem).toEqualTypeOf<Problem>();
        return { status: 422, body: { message: problem.message } };
      },
      schemas: { key: z.object({ id: z.string() }) },
    };
    createManagementApi({ keys, verifier, presenter });
    // @ts-expect-error without a body
    createManagementApi({ keys, verifier, presenter: { error: ({ message }) => ({ message }) } });
    // @ts-expect-error a misspelt member
    createManagementApi({ keys, verifier, presenter: { craeted: () => ({}) } });
  });

  test("HttpProblem is an Error", () => {
    expectTypeOf(new HttpProblem(403, "tier_too_low", "…")).toExtend<Error>();
  });
});
