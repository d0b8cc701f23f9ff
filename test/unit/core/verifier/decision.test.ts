import { describe, expect, it } from "vitest";
import { createGuard } from "../../../../src/core/verifier/guard.js";
import {
  createVerifierBase,
  createVerifierFrom,
  type Decide,
  type KeyEvent,
  type Principal,
  type RequestFacts,
  type Verifier,
} from "../../../../src/kit.js";
import { allowed, bearer, errorOf, type FleetScope, scopes, thrownBy } from "../fixtures.js";

const principal: Principal<FleetScope> = {
  type: "jwt",
  id: "user-1",
  ownerId: "acme",
  environment: undefined,
  scopes: [],
  requestId: "id-1",
  can: () => false,
};

function custom(decide: (allow: Decide<FleetScope>) => Decide<FleetScope>, isObserved = true) {
  const events: KeyEvent[] = [];
  const observers = isObserved ? [(event: KeyEvent) => events.push(event)] : [];
  const kind = { where: "createCustomVerifier", noun: "token", type: "jwt" } as const;
  const base = createVerifierBase<FleetScope>({ scopes, observers, credential: { header: "X-Token" } }, kind);
  const verifier = createVerifierFrom(
    base,
    decide((context) => {
      const token = base.credential(context.request);
      return typeof token === "string" ? base.allow(context, principal) : base.deny(context, token.fault);
    }),
  );
  return { verifier, events };
}

describe("createVerifierFrom", () => {
  it("creates a frozen verifier with the credentials of its base", () => {
    const { verifier } = custom((allow) => allow);
    expect(Object.isFrozen(verifier)).toBe(true);
    expect(verifier.credentials).toEqual([{ type: "jwt", header: "X-Token" }]);
    expect(() => verifier.assertRequirement("nope" as never)).toThrow(TypeError);
  });

  it.each<[string, (allow: Decide<FleetScope>) => Decide<FleetScope>]>([
    ["synchronous", (allow) => allow],
    ["asynchronous", (allow) => async (context) => allow(context)],
  ])("verifies with a %s decision", async (_, decide) => {
    const { verifier, events } = custom(decide);
    expect(allowed(await verifier.verify({ headers: { "x-token": "abc" } }))).toBe(principal);
    expect(errorOf(await verifier.verify(bearer("abc"))).code).toBe("missing_credential");
    expect(events.map(({ type }) => type)).toEqual(["auth.allowed", "auth.denied"]);
    const outcome = createGuard(verifier)()({ headers: { "x-token": "abc" } });
    expect(await outcome).toMatchObject({ pass: true, principal });
  });

  it.each<[string, () => never | Promise<never>]>([
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
  ])("emits auth.failed once if the decision %s", async (_, decide) => {
    const { verifier, events } = custom(() => decide);
    expect(await thrownBy(() => verifier.verify(bearer("abc"), "vehicles:write"))).toEqual(new Error("down"));
    expect(events).toMatchObject([
      { type: "auth.failed", error: new Error("down"), requiredScopes: ["vehicles:write"], audit: true },
    ]);
    const unobserved = custom(() => decide, false).verifier;
    expect(await thrownBy(() => unobserved.verify(bearer("abc")))).toEqual(new Error("down"));
    for (const one of [verifier, unobserved]) {
      const route = createGuard(one, { onError: () => {} })();
      expect(await route(bearer("abc"))).toMatchObject({ denial: { status: 503 } });
    }
    expect(events).toHaveLength(2);
  });

  it("always returns a promise from verify", async () => {
    const { verifier } = custom((allow) => allow);
    expect(verifier.verify({ headers: {} })).toBeInstanceOf(Promise);
    const invalid = verifier.verify({ headers: {} }, [] as never);
    expect(await thrownBy(() => invalid)).toBeInstanceOf(TypeError);
  });

  it("compiles an array of scopes again for each request, because it may have changed", async () => {
    const { verifier, events } = custom((allow) => allow);
    const required: FleetScope[] = ["vehicles:read"];
    for (const name of ["vehicles:write", "nope"]) {
      await verifier.verify({ headers: {} }, required);
      required.push(name as FleetScope);
    }
    expect(events.map((event) => (event as RequestFacts).requiredScopes)).toEqual([
      ["vehicles:read"],
      ["vehicles:read", "vehicles:write"],
    ]);
    expect(await thrownBy(() => verifier.verify({ headers: {} }, required))).toBeInstanceOf(TypeError);
  });

  it("checks every requirement, also one that it has already seen", async () => {
    const { verifier } = custom((allow) => allow);
    for (let i = 0; i < 2; i++) {
      expect((await verifier.verify({ headers: { "x-token": "abc" } }, "vehicles:read")).ok).toBe(true);
      const unknown = verifier.verify({ headers: {} }, "nope" as never);
      expect(await thrownBy(() => unknown)).toBeInstanceOf(TypeError);
    }
  });
});

describe("decisionOf", () => {
  it("calls verify of a custom verifier with options only if the route has some", async () => {
    const calls: unknown[][] = [];
    const inner = custom((allow) => allow).verifier;
    const own: Verifier<FleetScope> = {
      ...inner,
      verify(...args) {
        calls.push(args.slice(1));
        return inner.verify(...args);
      },
    };
    const guard = createGuard(own);
    await guard("vehicles:read")({ headers: {} });
    await guard("vehicles:read", { reportOnly: "fleet:admin" })({ headers: {} });
    expect(calls).toEqual([
      ["vehicles:read", undefined],
      ["vehicles:read", { reportOnly: "fleet:admin" }],
    ]);
  });
});
