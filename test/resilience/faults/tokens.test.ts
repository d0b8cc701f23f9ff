import { createPublicKey } from "node:crypto";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Verifier } from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { memoryRevocationList } from "../../../src/oauth/revocation-list.js";
import { type Fault, type FaultKind, withFaults } from "../../../src/testing/faults.js";
import { bearer, type FleetScope, format, START, scopes } from "../../unit/core/fixtures.js";
import { type Answer, AUDIENCE, ecKey, exchanger, ISSUER, post } from "../../unit/oauth/fixtures.js";
import { atLast, FAULTS, GRACE_MS, TIMEOUT_MS, untimed, withoutTrace } from "./harness.js";

withoutTrace();
afterEach(() => vi.restoreAllMocks());

const signingKey = ecKey();
const { subtle } = globalThis.crypto;
const rightSign = subtle.sign.bind(subtle);
const rightVerify = subtle.verify.bind(subtle);

/** What can be asked of a token service, and what it needs for that beside the keys of its clients. */
type Question = "exchange" | "introspect" | "revoke" | "use";

interface Part {
  readonly method: string;
  readonly needed: readonly Question[];
  /** Faults that the answer to a question shows nothing of. */
  readonly harmless: readonly string[];
  /** Faults that make no sense. */
  readonly without: readonly string[];
  /** How long it is waited for, in milliseconds: `storeTimeoutMs` when absent. */
  readonly limitMs?: number;
}

const GARBAGE = Object.keys(FAULTS).filter((label) => label.startsWith("answers"));
const THREADS_MS = 5_000;
const VERIFIER_MS = 5_000;
const MIXED_UP = ["answers another's", "answers the half"]; // a boolean has no owner, and no half
const PARTS: Readonly<Record<string, Part>> = {
  "the store": { method: "findById", needed: ["exchange", "introspect", "use"], harmless: [], without: [] },
  "the list of revocations, when asked": {
    ...{ method: "has", needed: ["introspect", "use"] },
    ...{ harmless: MIXED_UP, without: [] },
  },
  "the list of revocations, when added to": {
    ...{ method: "add", needed: ["revoke"] },
    ...{ harmless: GARBAGE, without: [] },
  },
  "the verifier of keys": {
    ...{ method: "verify", needed: ["exchange", "introspect", "revoke"] },
    ...{ harmless: ["answers another's"], without: [], limitMs: VERIFIER_MS },
  },
  // Threads of the process sign and check, not a service elsewhere: they answer right, or late, or not at all.
  "the signing": {
    method: "sign",
    needed: ["exchange"],
    harmless: [],
    without: GARBAGE,
    limitMs: THREADS_MS,
  },
  "the check of signatures": {
    ...{ method: "check", needed: ["introspect", "revoke", "use"], harmless: [], limitMs: THREADS_MS },
    without: Object.keys(FAULTS).filter((label) => label !== "hangs" && label !== "is late"),
  },
};

/** A token service, with a fault in one part from `begin` to `heal`. */
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
  const base = exchanger();
  const { tokens } = exchanger({
    signingKey,
    store: faulty(base.store, "findById"),
    verifier: faulty(base.verifier, "verify", "assertRequirement") as Verifier<FleetScope>,
    revocations: faulty(
      memoryRevocationList(() => START.getTime()),
      "has",
      "add",
    ),
    storeTimeout: `${TIMEOUT_MS}ms`,
    onError: (error) => errors.push(error),
  });
  const { sign } = faulty({ sign: untimed(rightSign) }, "sign");
  vi.spyOn(subtle, "sign").mockImplementation(sign as typeof subtle.sign);
  const { check } = faulty({ check: untimed(rightVerify) }, "check");
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

  const questions = {
    exchange: () => exchange(own.secret),
    introspect: () => introspect(other.secret, token),
    revoke: () => revoke(own.secret, toRevoke.at(0) as string),
    use: () => use(token),
  };
  const unknown = format.generate("live");
  /** Requests that must not get what they ask for, and their status when all is well. */
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
    ...{ questions, wrong, errors, secrets, introspect, other, toRevoke },
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
type Answered = Pick<Answer, "status" | "text" | "body">;

function expectUnavailable({ status, text, body }: Answered, { secrets, errors }: Tested): void {
  expect([status, body.code]).toEqual([503, "unavailable"]);
  for (const hidden of ["made to fail", ...secrets]) expect(text).not.toContain(hidden);
  expect(errors.length).toBeGreaterThan(0);
}

const outcome = ({ status, body }: Answered) => (body.active === false ? "inactive" : status);

describe.each(Object.entries(PARTS))("a token service of which %s", (_, part) => {
  const cases = Object.entries(FAULTS).filter(([label]) => !part.without.includes(label));

  test.each(cases)("%s", async (label, fault) => {
    const tested = await setUp(part, fault);
    const { questions, wrong, begin, heal, injected, introspect, other, toRevoke } = tested;
    begin();
    for (const [what, [ask, status]] of Object.entries(wrong)) {
      const answer = await ask();
      if (answer.status === 503) expectUnavailable(answer, tested);
      else expect([what, outcome(answer)]).toEqual([what, status]);
    }
    for (const [question, ask] of Object.entries(questions)) {
      const answer = await ask();
      const isNeeded = part.needed.includes(question as Question);
      if (isNeeded && !part.harmless.includes(label)) expectUnavailable(answer, tested);
      else expect([question, outcome(answer)]).toEqual([question, 200]);
    }
    expect(injected()).toBeGreaterThan(0);

    heal();
    for (const [what, [ask, status]] of Object.entries(wrong)) {
      expect([what, outcome(await ask())]).toEqual([what, status]);
    }
    for (const [question, ask] of Object.entries(questions)) {
      expect([question, outcome(await ask())]).toEqual([question, 200]);
    }
    const [revoked, kept] = await Promise.all(
      toRevoke.map((token) => introspect(other.secret, token).then(outcome)),
    );
    expect([revoked, kept]).toEqual(["inactive", 200]);
  });
});

test("a verifier that takes its time is waited for", async () => {
  const ms = VERIFIER_MS - 1;
  const tested = await setUp(
    { ...(PARTS["the verifier of keys"] as Part), limitMs: ms },
    { fault: "delay", ms },
  );
  tested.begin();
  expect((await tested.questions.exchange()).status).toBe(200);
  expect(tested.injected()).toBe(1);
});

/** What a verifier of JWTs asks of others, and how long it waits for each. */
const ASKED: Readonly<Record<string, { method: string; harmless: readonly string[]; limitMs: number }>> = {
  "the function of a JWKS": { method: "jwks", harmless: [], limitMs: 5_500 },
  // Whatever is a subject is believed, and what it leaves out takes the defaults.
  "the principal function": {
    ...{ method: "principal", limitMs: TIMEOUT_MS },
    harmless: [...MIXED_UP, "answers an empty object"],
  },
  "the list of revocations": { method: "isRevoked", harmless: MIXED_UP, limitMs: TIMEOUT_MS },
  "the key store": { method: "findById", harmless: [], limitMs: TIMEOUT_MS },
  "the rate limiter": { method: "consume", harmless: ["answers another's"], limitMs: TIMEOUT_MS },
};

describe.each(Object.entries(ASKED))("a verifier of JWTs of which %s", (_, { method, harmless, limitMs }) => {
  test.each(Object.entries(FAULTS))("%s", async (label, fault) => {
    vi.spyOn(subtle, "verify").mockImplementation(untimed(rightVerify) as typeof subtle.verify);
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
    const ask = (sent: string) =>
      atLast(limitMs + GRACE_MS, () =>
        verifier.verify(bearer(sent)).then(
          (result) => (result.ok ? 200 : result.error.status),
          ({ code }: { code: string }) => code,
        ),
      );
    const forged = `${token.slice(0, -4)}AAAA`;
    expect(await ask(forged)).not.toBe(200);
    expect(await ask(token)).toBe(harmless.includes(label) ? 200 : "KEYBEARER_STORE_ERROR");
    expect(faulty.injected()).toBeGreaterThan(0);

    faulty.heal();
    expect([await ask(token), await ask(forged)]).toEqual([200, 401]);
    await base.manager.revoke(key.id);
    expect(await ask(token)).toBe(401);
  });
});
