import { createPublicKey } from "node:crypto";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { settingsOf, withSettings } from "../../../src/kit.js";
import { memoryRevocationList } from "../../../src/oauth/revocation-list.js";
import { type Fault, type FaultKind, withFaults } from "../../../src/testing/faults.js";
import { bearer, type FleetScope, format, START, scopes } from "../../unit/core/fixtures.js";
import { AUDIENCE, ecKey, exchanger, ISSUER, post, type Reply } from "../../unit/oauth/fixtures.js";
import { atLast, detectLeaks, FAULTS, GRACE_MS, TIMEOUT_MS, untimed } from "./harness.js";

detectLeaks();
afterEach(() => vi.restoreAllMocks());

const signingKey = ecKey();
const { subtle } = globalThis.crypto;
const originalSign = subtle.sign.bind(subtle);
const originalVerify = subtle.verify.bind(subtle);

/** The operations of a token service. */
type Operation = "exchange" | "introspect" | "revoke" | "use";

interface Part {
  readonly method: string;
  /** The operations that call this part. */
  readonly needed: readonly Operation[];
  /** Faults that do not change a response. */
  readonly harmless: readonly string[];
  /** Faults that do not apply. */
  readonly without: readonly string[];
  /** The time limit in milliseconds; `storeTimeout` by default. */
  readonly limitMs?: number;
}

const GARBAGE = Object.keys(FAULTS).filter((label) => label.startsWith("returns"));
const CRYPTO_TIMEOUT_MS = 5_000;
const VERIFIER_TIMEOUT_MS = 5_000;
const NOT_FOR_BOOLEANS = ["returns another key's", "returns partial records"];
const PARTS: Readonly<Record<string, Part>> = {
  "the store": { method: "findById", needed: ["exchange", "introspect", "use"], harmless: [], without: [] },
  "has() of the revocation list": {
    ...{ method: "has", needed: ["introspect", "use"] },
    ...{ harmless: NOT_FOR_BOOLEANS, without: [] },
  },
  "add() of the revocation list": {
    ...{ method: "add", needed: ["revoke"] },
    ...{ harmless: GARBAGE, without: [] },
  },
  "the verifier of API keys": {
    ...{ method: "verify", needed: ["exchange", "introspect", "revoke"] },
    ...{ harmless: ["returns another key's"], without: [], limitMs: VERIFIER_TIMEOUT_MS },
  },
  // The thread pool returns the right result, a late one or none.
  "the signing of tokens": {
    method: "sign",
    needed: ["exchange"],
    harmless: [],
    without: GARBAGE,
    limitMs: CRYPTO_TIMEOUT_MS,
  },
  "the verification of signatures": {
    ...{ method: "check", needed: ["introspect", "revoke", "use"], harmless: [], limitMs: CRYPTO_TIMEOUT_MS },
    without: Object.keys(FAULTS).filter((label) => label !== "hangs" && label !== "is late"),
  },
};

/** Creates a token service with a fault in one part between `begin` and `heal`. */
async function setUp({ method, limitMs = TIMEOUT_MS }: Part, fault: FaultKind) {
  let broken = false;
  const plan: readonly Fault[] = [{ method, ...fault, when: () => broken }];
  const faulty = <T extends object>(target: T, ...methods: string[]): T => {
    const made = withFaults(target, methods, plan, 1);
    counts.push(made.injected);
    return made;
  };
  const counts: (() => number)[] = [];
  const errors: unknown[] = [];
  const base = exchanger({}, { storeTimeout: `${TIMEOUT_MS}ms` });
  const { tokens } = exchanger({
    signingKey,
    store: faulty(base.store, "findById"),
    verifier: withSettings(
      {
        ...faulty(base.verifier, "verify", "assertRequirement"),
        credentials: base.verifier.credentials ?? [],
      },
      settingsOf<FleetScope>(base.verifier),
    ),
    revocations: faulty(
      memoryRevocationList(() => START.getTime(), 900_000),
      "has",
      "add",
    ),
    onError: (error) => errors.push(error),
  });
  const { sign } = faulty({ sign: untimed(originalSign) }, "sign");
  vi.spyOn(subtle, "sign").mockImplementation(sign as typeof subtle.sign);
  const { check } = faulty({ check: untimed(originalVerify) }, "check");
  vi.spyOn(subtle, "verify").mockImplementation(check as typeof subtle.verify);

  const send = async (path: string, bearer: string | undefined, form: Record<string, string>) =>
    atLast(limitMs + GRACE_MS, () => post(tokens, path, { form, bearer }));
  const exchange = (secret: string | undefined) =>
    send("/token", secret, { grant_type: "client_credentials" });
  const introspect = (secret: string | undefined, token: string) => send("/introspect", secret, { token });
  const revoke = (secret: string | undefined, token: string) => send("/revoke", secret, { token });
  const use = (token: string): Promise<Answered> =>
    atLast(limitMs + GRACE_MS, () =>
      tokens.verifier.verify(bearer(token)).then(
        ({ ok }) => ({ status: ok ? 200 : 401, text: "", body: {} }),
        (error) => {
          errors.push(error);
          const { code } = error as { code?: string };
          const isStoreError = code === "KEYBEARER_STORE_ERROR";
          return { status: isStoreError ? 503 : 500, text: String(error), body: { code: "unavailable" } };
        },
      ),
    );

  const [own, other, dead] = [await base.issue(), await base.issue(), await base.issue()];
  const tokenOf = async (secret: string) => String((await exchange(secret)).body.access_token);
  const [token, spent, out] = [
    await tokenOf(own.secret),
    await tokenOf(own.secret),
    await tokenOf(dead.secret),
  ];
  const toRevoke = [await tokenOf(own.secret), await tokenOf(own.secret)];
  expect((await revoke(own.secret, spent)).status).toBe(200);
  await base.manager.revoke(dead.key.id);

  const operations = {
    exchange: () => exchange(own.secret),
    introspect: () => introspect(other.secret, token),
    revoke: () => revoke(own.secret, toRevoke.at(0) as string),
    use: () => use(token),
  };
  const unknown = format.generate("live");
  /** Requests that must be denied, and their result without a fault. */
  const wrong = {
    "exchange without a key": [() => exchange(undefined), 401],
    "exchange of an unknown key": [() => exchange(unknown), 401],
    "exchange of a revoked key": [() => exchange(dead.secret), 401],
    "introspection by an unknown key": [() => introspect(unknown, token), 401],
    "introspection by a revoked key": [() => introspect(dead.secret, token), 401],
    "introspection of a revoked token": [() => introspect(own.secret, spent), "inactive"],
    "introspection of the token of a revoked key": [() => introspect(own.secret, out), "inactive"],
    "revocation by another key": [() => revoke(other.secret, token), 400],
    "revocation by an unknown key": [() => revoke(unknown, token), 401],
    "a revoked token": [() => use(spent), 401],
    "the token of a revoked key": [() => use(out), 401],
  } as const;
  const secrets = [own.secret, other.secret, dead.secret, token, spent, out];
  return {
    ...{ operations, wrong, errors, secrets, introspect, other, toRevoke },
    injected: () => counts.reduce((sum, count) => sum + count(), 0),
    begin: () => {
      broken = true;
    },
    heal: () => {
      broken = false;
    },
  };
}

type Tested = Awaited<ReturnType<typeof setUp>>;
type Answered = Pick<Reply, "status" | "text" | "body">;

function expectUnavailable({ status, text, body }: Answered, { secrets, errors }: Tested): void {
  expect([status, body.code]).toEqual([503, "unavailable"]);
  for (const hidden of ["made to fail", ...secrets]) expect(text).not.toContain(hidden);
  expect(errors.length).toBeGreaterThan(0);
}

const outcome = ({ status, body }: Answered) => (body.active === false ? "inactive" : status);

describe.each(Object.entries(PARTS))("a token service with a fault in %s", (_, part) => {
  const cases = Object.entries(FAULTS).filter(([label]) => !part.without.includes(label));

  it.each(cases)("fails closed and recovers: %s", async (label, fault) => {
    const tested = await setUp(part, fault);
    const { operations, wrong, begin, heal, injected, introspect, other, toRevoke } = tested;
    begin();
    for (const [what, [run, status]] of Object.entries(wrong)) {
      const response = await run();
      if (response.status === 503) expectUnavailable(response, tested);
      else expect([what, outcome(response)]).toEqual([what, status]);
    }
    for (const [operation, run] of Object.entries(operations)) {
      const response = await run();
      const isNeeded = part.needed.includes(operation as Operation);
      if (isNeeded && !part.harmless.includes(label)) expectUnavailable(response, tested);
      else expect([operation, outcome(response)]).toEqual([operation, 200]);
    }
    expect(injected()).toBeGreaterThan(0);

    heal();
    for (const [what, [run, status]] of Object.entries(wrong)) {
      expect([what, outcome(await run())]).toEqual([what, status]);
    }
    for (const [operation, run] of Object.entries(operations)) {
      expect([operation, outcome(await run())]).toEqual([operation, 200]);
    }
    const [revoked, kept] = await Promise.all(
      toRevoke.map((token) => introspect(other.secret, token).then(outcome)),
    );
    expect([revoked, kept]).toEqual(["inactive", 200]);
  });
});

it("waits for a slow verifier within its time limit", async () => {
  const ms = VERIFIER_TIMEOUT_MS - 1;
  const tested = await setUp(
    { ...(PARTS["the verifier of API keys"] as Part), limitMs: ms },
    { fault: "delay", delay: `${ms}ms` },
  );
  tested.begin();
  expect((await tested.operations.exchange()).status).toBe(200);
  expect(tested.injected()).toBe(1);
});

/** The dependencies of a JWT verifier, and their time limits. */
const DEPENDENCIES: Readonly<
  Record<string, { method: string; harmless: readonly string[]; limitMs: number }>
> = {
  "the jwks function": { method: "jwks", harmless: [], limitMs: 5_500 },
  // Any valid subject is accepted; missing members take the defaults.
  "the principal callback": {
    ...{ method: "principal", limitMs: TIMEOUT_MS },
    harmless: [...NOT_FOR_BOOLEANS, "returns an empty object"],
  },
  "the isRevoked callback": { method: "isRevoked", harmless: NOT_FOR_BOOLEANS, limitMs: TIMEOUT_MS },
  "the key store": { method: "findById", harmless: [], limitMs: TIMEOUT_MS },
  "the rate limiter": { method: "consume", harmless: ["returns another key's"], limitMs: TIMEOUT_MS },
};

describe.each(Object.entries(DEPENDENCIES))("a JWT verifier with a fault in %s", (_, dependency) => {
  const { method, harmless, limitMs } = dependency;
  it.each(Object.entries(FAULTS))("fails closed and recovers: %s", async (label, fault) => {
    vi.spyOn(subtle, "verify").mockImplementation(untimed(originalVerify) as typeof subtle.verify);
    const base = exchanger({ signingKey });
    const { secret, key } = await base.issue();
    const token = await base.tokenOf(secret);
    const publicKey = createPublicKey(signingKey);
    const parts = {
      jwks: async () => publicKey,
      principal: async () => ({ id: "user-1" }),
      isRevoked: async () => false,
      findById: async (id: string) => base.store.findById(id),
      consume: async () => ({ allowed: true, states: [] }),
    };
    const faulty = withFaults(parts, Object.keys(parts), [{ method, ...fault }], 1);
    const { jwks, principal, isRevoked, findById, consume } = faulty;
    const verifier = createJwtVerifier<FleetScope>({
      ...{ issuer: ISSUER, audience: AUDIENCE, algorithms: ["ES256"], typ: "at+jwt", scopes },
      ...{ clock: base.clock.now, jwks, principal, isRevoked, keyStore: { findById }, keyTtl: "0s" },
      ...{ rateLimiter: { consume }, storeTimeout: `${TIMEOUT_MS}ms`, cacheMax: 0 },
    });
    const verify = (sent: string) =>
      atLast(limitMs + GRACE_MS, () =>
        verifier.verify(bearer(sent)).then(
          (result) => (result.ok ? 200 : result.error.status),
          ({ code }: { code: string }) => code,
        ),
      );
    const forged = `${token.slice(0, -4)}AAAA`;
    expect(await verify(forged)).not.toBe(200);
    expect(await verify(token)).toBe(harmless.includes(label) ? 200 : "KEYBEARER_STORE_ERROR");
    expect(faulty.injected()).toBeGreaterThan(0);

    faulty.heal();
    expect([await verify(token), await verify(forged)]).toEqual([200, 401]);
    await base.manager.revoke(key.id);
    expect(await verify(token)).toBe(401);
  });
});
