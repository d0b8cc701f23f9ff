import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ApiKey, Principal } from "../../../src/index.js";
import { canSee, checkGrant, type Grant, inheritedMembers, isKey } from "../../../src/management/grants.js";
import { START, scopes } from "../core/fixtures.js";
import { DAY, later } from "./fixtures.js";

const OWN: ApiKey = {
  id: "key_own",
  version: 1,
  ownerId: "acme",
  name: null,
  start: "",
  environment: "live",
  status: "active",
  scopes: ["vehicles:write"],
  ipAllowlist: null,
  rateLimit: null,
  metadata: null,
  createdAt: START,
  updatedAt: START,
  expiresAt: null,
  lastUsedAt: null,
  disabledAt: null,
  suspendedAt: null,
  disabledBy: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
  replaces: null,
  rotationRoot: null,
  createdBy: null,
  createdByKey: null,
};

function keyPrincipal(own: Partial<ApiKey> = {}, more: Partial<Principal> = {}): Principal {
  const key = { ...OWN, ...own };
  return {
    type: "api_key",
    id: key.id,
    ownerId: key.ownerId,
    environment: key.environment ?? undefined,
    scopes: key.scopes,
    key,
    requestId: "",
    can: (scope) => scopes.holds(more.scopes ?? key.scopes, scope),
    ...more,
  };
}

function user(held: readonly string[], environment?: string): Principal {
  return {
    type: "jwt",
    id: "ann",
    ownerId: "acme",
    environment,
    scopes: held,
    requestId: "",
    can: (scope) => scopes.holds(held, scope),
  };
}

const grant = (more: Partial<Grant> = {}): Grant => ({
  scopes: [],
  environment: "live",
  ipAllowlist: null,
  expiresAt: null,
  rateLimit: null,
  ...more,
});
const exceeded = (principal: Principal, more: Partial<Grant>) => {
  const decision = checkGrant(principal, grant(more));
  if (decision.granted) return [];
  return decision.reason === "exceeds_own_key" ? decision.issues.map(({ path }) => path) : decision.reason;
};

describe("scopes", () => {
  const missing = (principal: Principal, names: readonly string[]) => {
    const decision = checkGrant(principal, grant({ scopes: names }));
    return decision.granted || decision.reason !== "insufficient_scope" ? [] : decision.missingScopes;
  };

  test("can be granted if held directly or by implication", () => {
    expect(missing(user(["vehicles:write"]), ["vehicles:write", "vehicles:read"])).toEqual([]);
    expect(missing(user(["fleet:admin"]), ["drivers:read", "vehicles:write", "fleet:admin"])).toEqual([]);
    expect(missing(user([]), [])).toEqual([]);
  });

  test("cannot be granted otherwise", () => {
    expect(missing(user(["vehicles:read"]), ["vehicles:read", "vehicles:write"])).toEqual(["vehicles:write"]);
    expect(missing(user(["vehicles:write", "drivers:read"]), ["fleet:admin"])).toEqual(["fleet:admin"]);
    expect(missing(user([]), ["vehicles:read"])).toEqual(["vehicles:read"]);
    expect(missing(user(["fleet:admin"]), ["reports:read"])).toEqual(["reports:read"]);
    expect(missing(user(["fleet:admin"]), ["gone:scope", "__proto__"])).toEqual(["gone:scope", "__proto__"]);
  });

  test("a key can grant an undefined scope that it has; tokens and users cannot", () => {
    const own = { scopes: ["gone:scope", "vehicles:read"] };
    expect(missing(keyPrincipal(own), ["gone:scope"])).toEqual([]);
    expect(missing(keyPrincipal(own, { type: "jwt", scopes: ["vehicles:read"] }), ["gone:scope"])).toEqual([
      "gone:scope",
    ]);
    expect(missing(user(["gone:scope"]), ["gone:scope"])).toEqual(["gone:scope"]);
  });

  test("a token made from a key can grant only scopes of the token", () => {
    const token = keyPrincipal({ scopes: ["fleet:admin"] }, { type: "jwt", scopes: ["vehicles:read"] });
    expect(missing(token, ["vehicles:read"])).toEqual([]);
    expect(missing(token, ["vehicles:write"])).toEqual(["vehicles:write"]);
  });
});

describe("bounds of a key", () => {
  test("a token made from a key is bounded by its own expiry and that of its key", () => {
    const seconds = (at: Date) => at.getTime() / 1_000;
    const token = (expiresAt: Date | null, claims?: object) =>
      keyPrincipal({ expiresAt }, { type: "jwt", ...(claims && { claims: { ...claims } }) });
    const day = { exp: seconds(later(DAY)) };
    for (const [principal, latest] of [
      [token(null, day), later(DAY)],
      [token(later(2 * DAY), day), later(DAY)],
      [token(later(60_000), day), later(60_000)],
    ] as const) {
      expect(exceeded(principal, { expiresAt: latest })).toEqual([]);
      expect(exceeded(principal, { expiresAt: new Date(latest.getTime() + 1) })).toEqual(["expiresAt"]);
      expect(exceeded(principal, { expiresAt: null })).toEqual(["expiresAt"]);
      expect(inheritedMembers(principal).expiresAt).toEqual(latest);
    }
    const bound = { key_id: "key_own", key_version: 1 };
    const unreadable = [
      undefined,
      {},
      { exp: "never" },
      { exp: Number.NaN },
      { exp: Number.POSITIVE_INFINITY },
    ];
    for (const principal of [
      ...unreadable.map((claims) => token(null, claims)),
      ...unreadable.map((claims) => ({ ...user([], "live"), claims: { ...claims, ...bound } })),
    ]) {
      expect(exceeded(principal, { expiresAt: START })).toEqual(["expiresAt"]);
    }
  });

  test("a user is bounded by an environment only", () => {
    const wide = { rateLimit: null, ipAllowlist: null, expiresAt: null };
    expect(exceeded(user([]), { ...wide, environment: "test" })).toEqual([]);
    expect(exceeded(user([], "test"), { ...wide, environment: "test" })).toEqual([]);
    for (const environment of ["live", null, undefined]) {
      expect(exceeded(user([], "test"), { ...wide, environment })).toEqual(["environment"]);
    }
  });

  test("the environment", () => {
    expect(exceeded(keyPrincipal(), { environment: "live" })).toEqual([]);
    expect(exceeded(keyPrincipal(), { environment: "test" })).toEqual(["environment"]);
    expect(exceeded(keyPrincipal({ environment: "test" }), { environment: "live" })).toEqual(["environment"]);
    expect(exceeded(keyPrincipal({ environment: null }), { environment: "live" })).toEqual([]);
  });

  test.each<[readonly string[], Grant["ipAllowlist"], boolean]>([
    [["10.0.0.0/8"], ["10.1.0.0/16"], true],
    [["10.0.0.0/8"], ["10.0.0.0/8"], true],
    [["10.0.0.0/8"], [], true],
    [["10.0.0.0/8", "11.0.0.0/8"], ["10.0.0.0/7"], true],
    [["10.0.0.0/8"], null, false],
    [["10.0.0.0/8"], undefined, false],
    [["10.0.0.0/8"], ["10.0.0.0/7"], false],
    [["10.0.0.0/8"], ["10.0.0.1", "11.0.0.1"], false],
    [["10.0.0.0/8"], ["0.0.0.0/0"], false],
    [["10.0.0.0/8"], ["::/0"], false],
    [["10.0.0.0/8"], ["::ffff:11.0.0.0/104"], false],
    [["10.0.0.0/8"], ["::ffff:10.0.0.0/104"], true],
    [[], ["10.0.0.1"], false],
    [[], null, false],
    [[], [], true],
  ])("an allowlist of %j: %j", (own, child, within) => {
    expect(exceeded(keyPrincipal({ ipAllowlist: own }), { ipAllowlist: child })).toEqual(
      within ? [] : ["ipAllowlist"],
    );
  });

  test("the expiry", () => {
    const own = keyPrincipal({ expiresAt: later(DAY) });
    for (const expiresAt of [later(DAY), later(1), later(DAY).toISOString(), "2030-01-01T23:00:00-01:00"]) {
      expect(exceeded(own, { expiresAt })).toEqual([]);
    }
    for (const expiresAt of [null, undefined, later(DAY + 1), "2030-01-02T00:00:00-00:01"]) {
      expect(exceeded(own, { expiresAt })).toEqual(["expiresAt"]);
    }
  });

  test.each([
    [5, 60, true],
    [1, 60, true],
    [5, 61, true],
    [1, 12, true],
    [6, 60, false],
    [5, 59, false],
    [6, 6_000, false],
    [1, 11, false],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, false],
  ])("a rate limit of 5 in 60 seconds: %i in %i", (limit, windowSeconds, within) => {
    const own = keyPrincipal({ rateLimit: { limit: 5, windowSeconds: 60 } });
    expect(exceeded(own, { rateLimit: { limit, windowSeconds } })).toEqual(within ? [] : ["rateLimit"]);
    expect(exceeded(own, { rateLimit: null })).toEqual(["rateLimit"]);
    expect(exceeded(own, {})).toEqual(["rateLimit"]);
  });

  test("a token made from a key is bounded like the key", () => {
    const token = keyPrincipal({ expiresAt: later(1), ipAllowlist: [] }, { type: "jwt" });
    expect(exceeded(token, {})).toEqual(["ipAllowlist", "expiresAt"]);
  });

  test("property: a key may grant itself and what it inherits to children", () => {
    const own = fc.record({
      environment: fc.constantFrom("live", "test", null),
      ipAllowlist: fc.constantFrom(null, [], ["10.0.0.0/8"], ["10.0.0.0/8", "::1"]),
      expiresAt: fc.constantFrom(null, later(1), later(DAY)),
      rateLimit: fc.option(
        fc.record({ limit: fc.nat(9).map((n) => n + 1), windowSeconds: fc.nat(9).map((n) => n + 1) }),
      ),
    });
    fc.assert(
      fc.property(own, (members) => {
        const principal = keyPrincipal(members);
        expect(checkGrant(principal, principal.key as Grant)).toEqual({ granted: true });
        const { environment, ipAllowlist, expiresAt, rateLimit } = inheritedMembers(principal);
        const child = { scopes: [], environment, ipAllowlist, expiresAt, rateLimit };
        expect(checkGrant(principal, child)).toEqual({ granted: true });
      }),
    );
  });
});

test("isKey is true for keys and for tokens made from keys", () => {
  expect(isKey(keyPrincipal())).toBe(true);
  expect(isKey(keyPrincipal({}, { type: "jwt" }))).toBe(true);
  const { key: _, ...without } = keyPrincipal();
  expect(isKey(without)).toBe(true);
  expect(isKey(user([]))).toBe(false);
  expect(isKey({ ...user([]), claims: { sub: "ann" } })).toBe(false);
  expect(isKey({ ...user([]), claims: { sub: "key_1", key_id: "key_1", key_version: 1 } })).toBe(true);
});

test("canSee compares owner and environment", () => {
  const key = { ownerId: "acme", environment: "live" };
  expect(canSee(user([]), key)).toBe(true);
  expect(canSee(user([]), { ...key, environment: null })).toBe(true);
  expect(canSee(user([], "live"), key)).toBe(true);
  expect(canSee(user([], "test"), key)).toBe(false);
  expect(canSee(user([], "live"), { ...key, environment: null })).toBe(false);
  expect(canSee(user([]), { ...key, ownerId: "evil" })).toBe(false);
});
