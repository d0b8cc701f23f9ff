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
import { type ApiResponse, type Call, send as sendTo } from "../../unit/management/fixtures.js";
import { detectLeaks, FAULTS, GRACE_MS, TIMEOUT_MS, within } from "./harness.js";

detectLeaks();

const NEW = { scopes: ["vehicles:read"], environment: "live" };

interface RouteCase {
  /** The request line, for the key with this id. */
  readonly line: (id: string) => string;
  readonly json?: object;
  readonly status: number;
  /** The store methods that it calls. */
  readonly calls: readonly StoreMethod[];
}

const route = (
  line: string,
  status: number,
  json: object | undefined,
  ...calls: StoreMethod[]
): RouteCase => ({
  line: (id) => line.replace("{id}", id),
  ...(json && { json }),
  status,
  calls: ["findByHash", ...calls],
});

const ROUTES: Readonly<Record<string, RouteCase>> = {
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

/** The time limit of `defaults`. */
const DEFAULTS_TIMEOUT_MS = 10_000;
/** `defaults` without faults. */
const working = { defaults: async (): Promise<object> => ({}) };

const errors: unknown[] = [];
let defaults = working.defaults;
let current: FaultyStore<ManagedKeyStore>;
let wrapped: Verifier<FleetScope>;

// One API for all tests, because creating its schemas is slow. It uses the store and the verifier of the current test.
const store = Object.fromEntries(
  STORE_METHODS.map((method) => [
    method,
    (...args: unknown[]) => (current[method] as (...args: unknown[]) => unknown)(...args),
  ]),
) as unknown as ManagedKeyStore;
const { findManyByHash: _, ...single } = store;
const options = {
  store: single as ManagedKeyStore,
  scopes,
  format,
  storeTimeout: `${TIMEOUT_MS}ms` as const,
};
const keys = createVerifier(options);
const verifier: Verifier<FleetScope> = { ...keys, verify: (...args) => wrapped.verify(...args) };
const handler = createManagementApi<FleetScope>({
  keys: createKeyManager(options),
  verifier,
  keyVerifier: verifier,
  defaults: () => defaults(),
  requires: { read: "vehicles:read", write: "vehicles:write" },
  onError: (error) => errors.push(error),
});

/** Injects faults into the store or the verifier. `send` sends an allowed request; those in `denied` must be denied. */
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
  const { line, json } = ROUTES[name] as RouteCase;
  // The time limit of the verifier and of two calls of the manager.
  const send = (
    as: string | undefined,
    id = target.key.id,
    limitMs = 3 * TIMEOUT_MS,
  ): Promise<ApiResponse> => {
    const call: Call = { as, ...(json && { json }) };
    return within(limitMs + GRACE_MS, () => sendTo(handler, line(id), call));
  };
  const denied: Record<string, { send: () => Promise<ApiResponse>; status: number }> = {
    anonymous: { send: () => send(undefined), status: 401 },
    unknown: { send: () => send(format.generate("live")), status: 401 },
    revoked: { send: () => send(revoked.secret), status: 401 },
    ...(isWriting(name) && { narrow: { send: () => send(narrow.secret), status: 403 } }),
    ...(line("{id}").includes("{id}") && {
      foreign: { send: () => send(admin.secret, foreign.key.id), status: 404 },
    }),
  };
  const secrets = [admin, target, foreign, revoked, narrow].map(({ secret }) => secret);
  return {
    inner,
    store: current,
    send: (limitMs?: number) => send(admin.secret, undefined, limitMs),
    denied,
    foreign,
    secrets,
  };
}

type Scenario = Awaited<ReturnType<typeof setUp>>;

/** Checks for a 503 without details of the failure. */
function expectUnavailable({ status, text, body, headers }: ApiResponse, { secrets }: Scenario) {
  expect([status, body.code]).toEqual([503, "unavailable"]);
  expect(headers.get("retry-after")).not.toBeNull();
  expect(Object.keys(body).sort()).toEqual(["code", "message", "requestId"]);
  for (const hidden of ["made to fail", "()", ...secrets]) expect(text).not.toContain(hidden);
  expect(errors.length).toBeGreaterThan(0);
}

async function expectDenials(scenario: Scenario) {
  for (const [who, { send, status }] of Object.entries(scenario.denied)) {
    const response = await send();
    if (response.status === 503) expectUnavailable(response, scenario);
    else expect([who, response.status]).toEqual([who, status]);
  }
}

async function expectRecovery(name: string, { inner, send, denied, foreign }: Scenario) {
  for (const [who, { send, status }] of Object.entries(denied)) {
    expect([who, (await send()).status]).toEqual([who, status]);
  }
  const again = await send();
  // A lost or late write may have been applied.
  const isDone = again.status === 409 && ["rotate", "update", "disable", "enable"].includes(name);
  if (!isDone) expect(again.status).toBe(ROUTES[name]?.status);
  expect(await inner.findById(foreign.key.id)).toMatchObject({
    version: 1,
    revokedAt: null,
    disabledAt: null,
  });
}

const isWrite = (method: StoreMethod) => ["insert", "update", "replace"].includes(method);
/** The result of an insertion is ignored, and the results of writes have no key or members to exchange. */
const isHarmless = (method: StoreMethod, label: string) =>
  (method === "insert" && label.startsWith("returns")) ||
  (isWrite(method) && ["returns another key's", "returns partial records"].includes(label));

describe.each(Object.keys(ROUTES))("the management API: %s", (name) => {
  const cases = (ROUTES[name] as RouteCase).calls.flatMap((method) =>
    Object.entries(FAULTS).map(([label, fault]) => ({ method, label, fault })),
  );

  test.each(cases)("$method $label", async ({ method, label, fault }) => {
    const scenario = await setUp(name, [{ method, ...fault }]);
    await expectDenials(scenario);
    const response = await scenario.send();
    if (isHarmless(method, label)) expect(response.status).toBe(ROUTES[name]?.status);
    else expectUnavailable(response, scenario);
    expect(scenario.store.injected()).toBeGreaterThan(0);
    scenario.store.heal();
    await expectRecovery(name, scenario);
  });

  const faults = {
    ...FAULTS,
    "allows every request without a principal": { fault: "return", value: { ok: true } },
  } as const;
  test.each(Object.entries(faults))("the verifier %s", async (label, fault) => {
    let heal = () => {};
    const scenario = await setUp(name, [], (verifier) => {
      const faulty = withFaults(
        verifier,
        ["verify", "assertRequirement"],
        [{ method: "verify", ...fault }],
        1,
      );
      heal = faulty.heal;
      return faulty;
    });
    const requests = [...Object.values(scenario.denied), scenario];
    for (const { send } of requests) {
      const response = await send().catch((error: Error) => error.message);
      if (typeof response === "string") {
        // A verifier has its own time limit.
        expect([label, response]).toEqual([expect.stringMatching(/^(?:hangs|is late)$/), "still waiting"]);
      } else if (label === "returns another key's") {
        const own = requests.at(-1)?.send === send;
        expect(response.status < 300).toBe(own); // the principal itself is unchanged
      } else expectUnavailable(response, scenario);
    }
    heal();
    await expectRecovery(name, scenario);
  });
});

describe("the management API: the defaults of a new key", () => {
  // A returned value is validated like a body; a late one is awaited.
  const cases = Object.entries(FAULTS).filter(([label]) => !/^returns|^is late$/.test(label));
  test.each(cases)("%s", async (label, fault) => {
    const scenario = await setUp("create", []);
    const faulty = withFaults(working, ["defaults"], [fault], 1);
    defaults = faulty.defaults;
    try {
      await expectDenials(scenario);
      const query = { limit: 100, now: new Date() };
      const before = (await scenario.inner.list(query)).items.length;
      const { status, body, text } = await scenario.send(DEFAULTS_TIMEOUT_MS);
      expect([status, body.code]).toEqual(label === "hangs" ? [503, "unavailable"] : [500, "internal_error"]);
      expect(text).not.toContain("made to fail");
      expect(errors).toHaveLength(1);
      expect((await scenario.inner.list(query)).items).toHaveLength(before);
      expect(faulty.injected()).toBe(1);
      faulty.heal();
      await expectRecovery("create", scenario);
    } finally {
      defaults = working.defaults;
    }
  });
});
