import { describe, expect, test } from "vitest";
import { createKeyManager, createVerifier, type ManagedKeyStore, type Verifier } from "../../../src/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { withFaults } from "../../../src/testing/faults.js";
import { STORE_METHODS } from "../../../src/testing/faulty-store.js";
import {
  type FaultyStore,
  faultyStore,
  type StoreFault,
  type StoreMethod,
} from "../../../src/testing/index.js";
import { type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { type Answered, type Call, send } from "../../unit/management/fixtures.js";
import { FAULTS, GRACE_MS, TIMEOUT_MS, within, withoutTrace } from "./harness.js";

withoutTrace();

const NEW = { scopes: ["vehicles:read"], environment: "live" };

interface Asked {
  /** What is sent, for the key of this id. */
  readonly line: (id: string) => string;
  readonly json?: object;
  readonly status: number;
  /** What it asks the store for. */
  readonly calls: readonly StoreMethod[];
}

const route = (line: string, status: number, json: object | undefined, ...calls: StoreMethod[]): Asked => ({
  line: (id) => line.replace("{id}", id),
  ...(json && { json }),
  status,
  calls: ["findByHash", ...calls],
});

const ROUTES: Readonly<Record<string, Asked>> = {
  list: route("GET /api-keys", 200, undefined, "list"),
  create: route("POST /api-keys", 201, NEW, "findById", "insert"),
  get: route("GET /api-keys/{id}", 200, undefined, "findById"),
  update: route("PATCH /api-keys/{id}", 200, { name: "b" }, "findById", "update"),
  revoke: route("DELETE /api-keys/{id}", 200, undefined, "findById", "update"),
  rotate: route("POST /api-keys/{id}/rotate", 201, {}, "findById", "replace"),
  disable: route("POST /api-keys/{id}/disable", 200, undefined, "findById", "update"),
  enable: route("POST /api-keys/{id}/enable", 200, undefined, "findById"),
  audit: route("GET /api-keys/{id}/audit", 200, undefined, "findById", "auditTrail"),
  me: route("GET /me", 200, undefined),
};
const isWriting = (name: string) => !["list", "get", "audit", "me"].includes(name);

/** How long `defaults` may take. */
const DEFAULTS_MS = 10_000;
/** What `defaults` of the API answers by default. */
const right = { defaults: async (): Promise<object> => ({}) };

const errors: unknown[] = [];
let defaults = right.defaults;
let current: FaultyStore<ManagedKeyStore>;
let wrapped: Verifier<FleetScope>;

// One API for all tests, whose schemas take their time, over the store and the verifier of the test that runs.
const store = Object.fromEntries(
  STORE_METHODS.map((method) => [
    method,
    (...args: unknown[]) => (current[method] as (...args: unknown[]) => unknown)(...args),
  ]),
) as unknown as ManagedKeyStore;
const { findManyByHash: _, ...single } = store;
const options = { store: single as ManagedKeyStore, scopes, format, storeTimeout: `${TIMEOUT_MS}ms` };
const keys = createVerifier(options);
const verifier: Verifier<FleetScope> = { ...keys, verify: (...args) => wrapped.verify(...args) };
const handler = createManagementApi<FleetScope>({
  manager: createKeyManager(options),
  verifier,
  keyVerifier: verifier,
  defaults: () => defaults(),
  requires: { read: "vehicles:read", write: "vehicles:write" },
  onError: (error) => errors.push(error),
});

/** Faults in the store or in the verifier of the API, and requests of which one may pass. */
async function setUp(
  name: string,
  plan: readonly StoreFault[],
  wrap = (verifier: Verifier<FleetScope>) => verifier,
) {
  const inner: ManagedKeyStore = memoryStore();
  const plain = createKeyManager({ store: inner, scopes, format });
  const create = (more: object = {}) =>
    plain.create({ ownerId: "acme", environment: "live", scopes: ["fleet:admin"], ...more });
  const [admin, target, foreign] = [await create(), await create(), await create({ ownerId: "evil" })];
  const [revoked, narrow] = [await create(), await create({ scopes: ["vehicles:read"] })];
  await plain.revoke(revoked.key.id);

  errors.length = 0;
  current = faultyStore(inner, plan);
  wrapped = wrap(keys);
  const { line, json } = ROUTES[name] as Asked;
  // The verifier's time, and that of each of the manager's calls.
  const ask = (as: string | undefined, id = target.key.id, limitMs = 3 * TIMEOUT_MS): Promise<Answered> => {
    const call: Call = { as, ...(json && { json }) };
    return within(limitMs + GRACE_MS, () => send(handler, line(id), call));
  };
  const wrong: Record<string, { ask: () => Promise<Answered>; status: number }> = {
    anonymous: { ask: () => ask(undefined), status: 401 },
    unknown: { ask: () => ask(format.generate("live")), status: 401 },
    revoked: { ask: () => ask(revoked.secret), status: 401 },
    ...(isWriting(name) && { narrow: { ask: () => ask(narrow.secret), status: 403 } }),
    ...(line("{id}").includes("{id}") && {
      foreign: { ask: () => ask(admin.secret, foreign.key.id), status: 404 },
    }),
  };
  const secrets = [admin, target, foreign, revoked, narrow].map(({ secret }) => secret);
  return {
    inner,
    store: current,
    ask: (limitMs?: number) => ask(admin.secret, undefined, limitMs),
    wrong,
    foreign,
    secrets,
  };
}

type Tested = Awaited<ReturnType<typeof setUp>>;

/** A refusal of a request that could not be judged, with nothing in it of what went wrong. */
function expectUnavailable({ status, text, body, headers }: Answered, { secrets }: Tested) {
  expect([status, body.code]).toEqual([503, "unavailable"]);
  expect(headers.get("retry-after")).not.toBeNull();
  expect(Object.keys(body).sort()).toEqual(["code", "message", "requestId"]);
  for (const hidden of ["made to fail", "()", ...secrets]) expect(text).not.toContain(hidden);
  expect(errors.length).toBeGreaterThan(0);
}

async function expectRefusals(tested: Tested) {
  for (const [who, { ask, status }] of Object.entries(tested.wrong)) {
    const answer = await ask();
    if (answer.status === 503) expectUnavailable(answer, tested);
    else expect([who, answer.status]).toEqual([who, status]);
  }
}

async function expectHealed(name: string, { inner, ask, wrong, foreign }: Tested) {
  for (const [who, { ask, status }] of Object.entries(wrong)) {
    expect([who, (await ask()).status]).toEqual([who, status]);
  }
  const again = await ask();
  // What was lost, or came late, may have happened.
  const isDone = again.status === 409 && ["rotate", "update", "disable", "enable"].includes(name);
  if (!isDone) expect(again.status).toBe(ROUTES[name]?.status);
  expect(await inner.findById(foreign.key.id)).toMatchObject({
    version: 1,
    revokedAt: null,
    disabledAt: null,
  });
}

const isWrite = (method: StoreMethod) => ["insert", "update", "replace"].includes(method);
/** An insertion has nothing to answer, and nothing of `true` is another's. */
const isHarmless = (method: StoreMethod, label: string) =>
  (method === "insert" && label.startsWith("answers")) ||
  (isWrite(method) && ["answers another's", "answers the half"].includes(label));

describe.each(Object.keys(ROUTES))("the management API: %s", (name) => {
  const cases = (ROUTES[name] as Asked).calls.flatMap((method) =>
    Object.entries(FAULTS).map(([label, fault]) => ({ method, label, fault })),
  );

  test.each(cases)("$method $label", async ({ method, label, fault }) => {
    const tested = await setUp(name, [{ method, ...fault }]);
    await expectRefusals(tested);
    const answer = await tested.ask();
    if (isHarmless(method, label)) expect(answer.status).toBe(ROUTES[name]?.status);
    else expectUnavailable(answer, tested);
    expect(tested.store.injected()).toBeGreaterThan(0);
    tested.store.heal();
    await expectHealed(name, tested);
  });

  const verdicts = {
    ...FAULTS,
    "lets everybody in as nobody": { fault: "answer", answer: { ok: true } },
  } as const;
  test.each(Object.entries(verdicts))("the verifier %s", async (label, fault) => {
    let heal = () => {};
    const tested = await setUp(name, [], (verifier) => {
      const faulty = withFaults(
        verifier,
        ["verify", "assertRequirement"],
        [{ method: "verify", ...fault }],
        1,
      );
      heal = faulty.heal;
      return faulty;
    });
    const asking = [...Object.values(tested.wrong), tested];
    for (const { ask } of asking) {
      const answer = await ask().catch((error: Error) => error.message);
      if (typeof answer === "string") {
        // A verifier keeps its own time.
        expect([label, answer]).toEqual([expect.stringMatching(/^(?:hangs|is late)$/), "still waiting"]);
      } else if (label === "answers another's") {
        const own = asking.at(-1)?.ask === ask;
        expect(answer.status < 300).toBe(own); // what the principal is stays what it is
      } else expectUnavailable(answer, tested);
    }
    heal();
    await expectHealed(name, tested);
  });
});

describe("the management API: the host's own defaults of a new key", () => {
  // What they answer is read like a body, and one that is late by no more than their time is waited for.
  const cases = Object.entries(FAULTS).filter(([label]) => !/^answers|^is late$/.test(label));
  test.each(cases)("%s", async (label, fault) => {
    const tested = await setUp("create", []);
    const faulty = withFaults(right, ["defaults"], [fault], 1);
    defaults = faulty.defaults;
    try {
      await expectRefusals(tested);
      const query = { limit: 100, now: new Date() };
      const before = (await tested.inner.list(query)).items.length;
      const { status, body, text } = await tested.ask(DEFAULTS_MS);
      expect([status, body.code]).toEqual(label === "hangs" ? [503, "unavailable"] : [500, "internal_error"]);
      expect(text).not.toContain("made to fail");
      expect(errors).toHaveLength(1);
      expect((await tested.inner.list(query)).items).toHaveLength(before);
      expect(faulty.injected()).toBe(1);
      faulty.heal();
      await expectHealed("create", tested);
    } finally {
      defaults = right.defaults;
    }
  });
});
