import { describe, expectTypeOf, test } from "vitest";
import { createGuard } from "../../src/core/verifier/guard.js";
import type { RoutePrincipal } from "../../src/core/verifier/guard-factory.js";
import {
  type AuthErrorCode,
  type AuthRequest,
  createVerifier,
  type Duration,
  defineScopes,
  type EnforcedRoute,
  hashSecret,
  type KeyFormat,
  type KeyHash,
  type KeyRecord,
  type KeyStore,
  keyFormat,
  type ManagedKeyStore,
  type Principal,
  type RouteOptions,
  type ScopeName,
  type VerifiableRecord,
} from "../../src/index.js";
import { type Known, keys, type Scope, verifier } from "./fixtures.js";

declare const request: AuthRequest;
declare const store: ManagedKeyStore;

describe("scopes", () => {
  test("names are inferred", () => {
    const scopes = defineScopes({ a: { implies: ["b", "*"] }, b: {} });
    expectTypeOf<ScopeName<typeof scopes>>().toEqualTypeOf<"a" | "b">();
    expectTypeOf(scopes.names).toEqualTypeOf<readonly ("a" | "b")[]>();
    scopes.explain(["a"], ["a", "b"]);
    // @ts-expect-error c is not defined
    scopes.explain(["a"], "c");
    // @ts-expect-error c is not defined
    defineScopes({ a: { implies: ["c"] } });
    // @ts-expect-error an unknown status
    defineScopes({ a: { status: "beta" } });
    // @ts-expect-error a misspelt member
    defineScopes({ a: { imply: [] } });
  });
});

describe("verifier", () => {
  test("accepts only requirements of defined scopes", () => {
    verifier.verify(request);
    verifier.verify(request, "vehicles:read");
    verifier.verify(request, ["vehicles:read", "vehicles:write"]);
    verifier.verify(request, { anyOf: ["vehicles:read"] });
    verifier.verify(request, "vehicles:read", { reportOnly: ["vehicles:write"] });
    verifier.verify(request, undefined, { reportOnly: { anyOf: ["vehicles:write"] } });
    // @ts-expect-error a typo in reportOnly
    verifier.verify(request, "vehicles:read", { reportOnly: "vehicles:wirte" });
    // @ts-expect-error a misspelt option
    verifier.verify(request, "vehicles:read", { reportonly: "vehicles:write" });
    // @ts-expect-error a typo
    verifier.verify(request, "vehicles:raed");
    // @ts-expect-error a typo in an array
    verifier.verify(request, ["vehicles:read", "vehicles:wirte"]);
    // @ts-expect-error a typo in anyOf
    verifier.verify(request, { anyOf: ["vehicle:read"] });
    // @ts-expect-error a misspelt member
    verifier.verify(request, { anyof: ["vehicles:read"] });
    // @ts-expect-error any string may be a typo
    verifier.verify(request, "" as string);
    // @ts-expect-error a typo
    verifier.assertRequirement("vehicles:raed");
  });

  test("the result is allowed or denied", async () => {
    const result = await verifier.verify(request);
    if (result.ok) {
      expectTypeOf(result.principal).toEqualTypeOf<Principal<Scope>>();
      expectTypeOf(result.principal.scopes).toEqualTypeOf<readonly Scope[]>();
      result.principal.can("vehicles:read");
      // @ts-expect-error a typo
      result.principal.can("vehicles:raed");
      // @ts-expect-error a principal is read-only
      result.principal.ownerId = "evil";
      // @ts-expect-error there is no error
      void result.error;
    } else {
      expectTypeOf(result.error.code).toEqualTypeOf<AuthErrorCode>();
      expectTypeOf(result.error.status).toEqualTypeOf<401 | 403 | 429 | 503>();
      // @ts-expect-error there is no principal
      void result.principal;
    }
  });

  test("accepts requests of Fetch and Node", () => {
    expectTypeOf<{ headers: Headers }>().toExtend<AuthRequest>();
    expectTypeOf<{ headers: NodeJS.Dict<string | string[]>; rawHeaders: string[] }>().toExtend<AuthRequest>();
  });

  test("rejects misspelt options", () => {
    const scopes = defineScopes({ a: {} });
    const format = keyFormat({});
    createVerifier({ store, scopes, format: [format], environment: ["live"], pepper: "x" });
    // @ts-expect-error report-only rules belong to a route
    createVerifier({ store, scopes, format, reportOnly: {} });
    // @ts-expect-error an unknown option
    createVerifier({ store, scopes, format, trustedProxy: ["loopback"] });
    // @ts-expect-error no format
    createVerifier({ store, scopes });
    // @ts-expect-error a pepper that is undefined
    createVerifier({ store, scopes, format, pepper: process.env.PEPPER });
    // @ts-expect-error an environment that is undefined
    createVerifier({ store, scopes, format, environment: process.env.ENVIRONMENT });
  });
});

describe("guard", () => {
  test("its arguments", () => {
    const guard = createGuard(verifier);
    guard();
    guard("vehicles:read");
    guard({ optional: true });
    guard(["vehicles:read"], { optional: true });
    // @ts-expect-error a typo
    guard("vehicles:raed");
    // @ts-expect-error a requirement that is undefined
    guard(undefined);
    // @ts-expect-error two requirements
    guard("vehicles:read", "vehicles:write");
    // @ts-expect-error a misspelt option
    guard("vehicles:read", { optinal: true });
  });

  test("its outcome", async () => {
    const outcome = await createGuard(verifier)("vehicles:read")(request);
    if (outcome.pass) expectTypeOf(outcome.principal).toEqualTypeOf<Principal<Scope> | undefined>();
    else expectTypeOf(outcome.denial.status).toExtend<number>();
  });
});

describe("the principal of a route", () => {
  type Of<A, O = EnforcedRoute<Scope>> = RoutePrincipal<Scope, A, O>;

  test("is defined if the route is not optional", () => {
    expectTypeOf<Of<"vehicles:read">>().toEqualTypeOf<Known>();
    expectTypeOf<Of<readonly Scope[]>>().toEqualTypeOf<Known>();
    expectTypeOf<Of<{ readonly reportOnly: Scope }>>().toEqualTypeOf<Known>();
    expectTypeOf<Of<Scope, { readonly optional: false }>>().toEqualTypeOf<Known>();
    expectTypeOf<Of<Scope, { readonly optional?: undefined }>>().toEqualTypeOf<Known>();
  });

  test("may be undefined if the route can be optional", () => {
    expectTypeOf<Of<{ readonly optional: true }>>().toEqualTypeOf<Known | undefined>();
    expectTypeOf<Of<RouteOptions<Scope>>>().toEqualTypeOf<Known | undefined>();
    expectTypeOf<Of<Scope, RouteOptions<Scope>>>().toEqualTypeOf<Known | undefined>();
    expectTypeOf<Of<Scope, { readonly optional: boolean }>>().toEqualTypeOf<Known | undefined>();
    expectTypeOf<Of<Scope, { readonly optional: true } | EnforcedRoute>>().toEqualTypeOf<Known | undefined>();
  });
});

describe("manager", () => {
  test("create", () => {
    keys.create({ ownerId: "acme", scopes: ["vehicles:read"] });
    keys.create({ ownerId: "acme", scopes: [], expiresAt: "2031-01-01T00:00:00Z", ipAllowlist: null });
    // @ts-expect-error a typo
    keys.create({ ownerId: "acme", scopes: ["vehicles:raed"] });
    // @ts-expect-error no owner
    keys.create({ scopes: ["vehicles:read"] });
    // @ts-expect-error no scopes
    keys.create({ ownerId: "acme" });
    // @ts-expect-error a misspelt member
    keys.create({ ownerId: "acme", scopes: [], allowlist: [] });
  });

  test("update has no scopes", () => {
    keys.update("id", { name: null, expiresAt: new Date() }, { actor: "ann" });
    // @ts-expect-error fixed at creation
    keys.update("id", { scopes: ["vehicles:read"] });
    // @ts-expect-error fixed at creation
    keys.update("id", { ownerId: "other" });
  });

  test("a duration has a unit", () => {
    keys.rotate("id", { overlap: "24h" });
    expectTypeOf<"90d">().toExtend<Duration>();
    // @ts-expect-error seconds or milliseconds?
    keys.rotate("id", { overlap: 3600 });
    // @ts-expect-error no unit
    keys.rotate("id", { overlap: "24" });
    // @ts-expect-error a misspelt option
    keys.create({ ownerId: "acme", scopes: [] }, { by: "ann" });
    // @ts-expect-error no such unit
    keys.rotate("id", { overlap: "2w" });
    // @ts-expect-error a misspelt option
    keys.rotate("id", { overlab: "24h" });
  });

  test("the actor is a string or a member of options", () => {
    keys.create({ ownerId: "acme", scopes: [] }, "ann");
    keys.create({ ownerId: "acme", scopes: [] }, { actor: "ann" });
    keys.create({ ownerId: "acme", scopes: [] }, { actor: undefined });
    // @ts-expect-error a number
    keys.create({ ownerId: "acme", scopes: [] }, 7);
  });

  test("keys have no hash", async () => {
    const { key, secret } = await keys.create({ ownerId: "acme", scopes: [] });
    expectTypeOf(secret).toEqualTypeOf<string>();
    expectTypeOf(key).not.toHaveProperty("hash");
    expectTypeOf((await keys.list()).items).items.not.toHaveProperty("hash");
    expectTypeOf(await keys.get("id")).toEqualTypeOf<typeof key | undefined>();
  });
});

describe("stores", () => {
  test("a secret is not accepted as a hash", () => {
    store.findByHash(hashSecret("ezt_live_x"));
    expectTypeOf(hashSecret("x")).toEqualTypeOf<KeyHash>();
    expectTypeOf<KeyHash>().toExtend<string>();
    expectTypeOf<string>().not.toExtend<KeyHash>();
    // @ts-expect-error a plain text
    store.findByHash("ezt_live_x");
    // @ts-expect-error a template string is not a hash
    store.findByHash(`v1:${hashSecret("x")}`);
    // @ts-expect-error plain texts
    store.findManyByHash?.(["ezt_live_x"]);
  });

  test("the hash of a record may be any string", () => {
    const row: { id: string; hash: string; ownerId: string; scopes: string[] } = {
      id: "1",
      hash: "x",
      ownerId: "acme",
      scopes: [],
    };
    row satisfies VerifiableRecord;
    expectTypeOf<VerifiableRecord["hash"]>().toEqualTypeOf<string>();
    expectTypeOf<KeyRecord["hash"]>().toEqualTypeOf<KeyHash>();
    ({ findByHash: async () => row }) satisfies KeyStore;
  });

  test("a store with one method may return a value or a promise", () => {
    expectTypeOf<{
      findByHash(hash: KeyHash): Promise<VerifiableRecord | null>;
    }>().toExtend<KeyStore>();
    expectTypeOf<{ findByHash(hash: KeyHash): VerifiableRecord | undefined }>().toExtend<KeyStore>();
    expectTypeOf<{ findByHash(hash: string): undefined }>().toExtend<KeyStore>();
    expectTypeOf<{ findById(id: string): undefined }>().not.toExtend<KeyStore>();
    expectTypeOf<{ parse(secret: string): { environment?: string } | undefined }>().toExtend<KeyFormat>();
  });
});
