import { afterEach, describe, expect, it, vi } from "vitest";
import { createGuard } from "../../../../src/core/verifier/guard.js";
import { type AllowedEvent, anyVerifier, type KeyEvent, type Verifier } from "../../../../src/index.js";
import { failedAuthLimiter } from "../../../../src/rate-limit/index.js";
import { jwtService, token } from "../../jwt/fixtures.js";
import { allowed, bearer, errorOf, type FleetScope, service, thrownBy } from "../fixtures.js";

afterEach(() => vi.restoreAllMocks());

const CODE = "KEYBEARER_REPORT_ONLY";
const LIVE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

const wouldDeny = (events: readonly KeyEvent[]) =>
  events.filter((event): event is AllowedEvent => event.type === "auth.allowed").map((one) => one.wouldDeny);

async function issued(options: Parameters<typeof service>[0] = {}) {
  const own = service(options);
  const { secret } = await own.manager.create(LIVE);
  own.events.length = 0;
  return { ...own, secret };
}

describe("reportOnly of verify", () => {
  it("reports nothing by default", async () => {
    const { verifier, secret, events } = await issued();
    allowed(await verifier.verify(bearer(secret), "vehicles:read"));
    expect(wouldDeny(events)).toEqual([[]]);
    expect(Object.isFrozen(wouldDeny(events)[0])).toBe(true);
  });

  it.each<[FleetScope, string[]]>([
    ["vehicles:write", ["insufficient_scope"]],
    ["vehicles:read", []],
  ])("reports whether %s would deny an allowed request", async (reportOnly, expected) => {
    const { verifier, secret, events } = await issued();
    const result = await verifier.verify(bearer(secret), "vehicles:read", { reportOnly });
    expect(result).toMatchObject({ ok: true, headers: {} });
    expect(wouldDeny(events)).toEqual([expected]);
    expect(Object.isFrozen(wouldDeny(events)[0])).toBe(true);
    expect(events).toHaveLength(1);
  });

  it("reports nothing for a denied request", async () => {
    const { verifier, secret, events } = await issued();
    errorOf(await verifier.verify({ headers: {} }, undefined, { reportOnly: "fleet:admin" }));
    errorOf(await verifier.verify(bearer(secret), "fleet:admin", { reportOnly: "fleet:admin" }));
    expect(events.map(({ type }) => type)).toEqual(["auth.denied", "auth.denied"]);
    for (const event of events) expect(event).not.toHaveProperty("wouldDeny");
  });

  it("applies to tokens", async () => {
    const { verifier, events } = jwtService();
    allowed(await verifier.verify(bearer(token()), "vehicles:read", { reportOnly: "vehicles:write" }));
    expect(wouldDeny(events)).toEqual([["insufficient_scope"]]);
  });

  it.each([[[]], ["vehicles:raed"], [["vehicles:read", "x"]], [{ anyOf: [] }], [7]])(
    "rejects %j",
    async (reportOnly) => {
      const { verifier, secret } = await issued();
      const route = () => createGuard(verifier)("vehicles:read", { reportOnly: reportOnly as never });
      expect(route).toThrow(TypeError);
      const verify = () =>
        verifier.verify(bearer(secret), "vehicles:read", { reportOnly: reportOnly as never });
      expect(await thrownBy(verify)).toBeInstanceOf(TypeError);
    },
  );

  it("rejects an unknown option", async () => {
    const { verifier, secret } = await issued();
    const options = { reportonly: "vehicles:read" } as never;
    expect(await thrownBy(() => verifier.verify(bearer(secret), "vehicles:read", options))).toEqual(
      new TypeError('verify: unknown option "reportonly"; known options are reportOnly'),
    );
  });
});

describe("reportOnly of a route", () => {
  it("rejects undefined and misspelt options", async () => {
    const guard = createGuard((await issued()).verifier);
    expect(() => guard("vehicles:read", { reportOnly: undefined as never })).toThrow(
      /^guard: "reportOnly" is undefined/,
    );
    expect(() => guard({ reportonly: "vehicles:read" } as never)).toThrow(/unknown option "reportonly"/);
  });

  it("allows the request and reports, with a requirement or without", async () => {
    const { verifier, secret, events } = await issued();
    const guard = createGuard(verifier);
    const names: FleetScope[] = ["vehicles:write", "drivers:read"];
    const routes = [
      guard("vehicles:read", { reportOnly: names }),
      guard({ reportOnly: "vehicles:write" }),
      guard("vehicles:read", { optional: true, reportOnly: { anyOf: ["drivers:read", "vehicles:read"] } }),
      guard("vehicles:read"),
    ];
    names.length = 0; // a route keeps a copy
    for (const route of routes) expect(await route(bearer(secret))).toMatchObject({ pass: true });
    expect(wouldDeny(events)).toEqual([["insufficient_scope"], ["insufficient_scope"], [], []]);
    expect(events.map((event) => (event as AllowedEvent).requiredScopes)).toEqual([
      ["vehicles:read"],
      [],
      ["vehicles:read"],
      ["vehicles:read"],
    ]);
  });

  it("is passed on by verifiers that wrap others", async () => {
    const { verifier, secret, events } = await issued();
    const jwt = jwtService();
    const both = failedAuthLimiter(anyVerifier(verifier, jwt.verifier));
    const route = createGuard(both)("vehicles:read", { reportOnly: "fleet:admin" });
    for (const sent of [secret, token()]) {
      expect(await route(bearer(sent, { remoteAddress: "203.0.113.7" }))).toMatchObject({ pass: true });
      expect(await route(bearer(sent))).toMatchObject({ pass: true });
    }
    const reported = [["insufficient_scope"], ["insufficient_scope"]];
    expect([wouldDeny(events), wouldDeny(jwt.events)]).toEqual([reported, reported]);
  });

  it("may be ignored by a custom verifier", async () => {
    const { verifier, secret } = await issued();
    const own: Verifier<FleetScope> = {
      verify: (request, requirement) => verifier.verify(request, requirement),
      assertRequirement: verifier.assertRequirement,
    };
    const route = createGuard(own)("vehicles:read", { reportOnly: "fleet:admin" });
    expect(await route(bearer(secret))).toMatchObject({ pass: true });
  });

  it("warns once, on the first request, if the verifier has no observers", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { verifier, secret } = await issued({ observers: [] });
    const route = createGuard(verifier)({ reportOnly: "vehicles:read" });
    expect(warned).not.toHaveBeenCalled();
    for (let i = 0; i < 3; i++) expect(await route(bearer(secret))).toMatchObject({ pass: true });
    expect(warned.mock.calls).toEqual([
      [
        'createVerifier: "reportOnly" has no effect without "observers"',
        expect.objectContaining({ code: CODE }),
      ],
    ]);
  });

  it("does not warn if it is absent, or if the verifier has observers", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await createGuard(service({ observers: [] }).verifier)()({ headers: {} });
    const route = createGuard(service().verifier)({ reportOnly: "vehicles:read" });
    await route({ headers: {} });
    expect(warned).not.toHaveBeenCalled();
  });
});
