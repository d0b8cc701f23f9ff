// The child process of process.test.ts, with the real clock and real sockets. It sends requests to services with hanging
// calls. A control timer with the same time limit starts when a call begins to hang; if the response does not wait for the
// call, the control is a request to an unguarded route. Then everything is closed, and the process prints one line of JSON.
// It must exit by itself.

import { createHook } from "node:async_hooks";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import { cachedStore } from "../../../src/cache/index.js";
import {
  createKeyManager,
  createVerifier,
  type Duration,
  type ManagedKeyStore,
  type Verifier,
  type VerifierOptions,
} from "../../../src/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { createTokenService, type TokenServiceOptions } from "../../../src/oauth/index.js";
import { memoryRevocationList } from "../../../src/oauth/revocation-list.js";
import { auditLog, lastUsed } from "../../../src/observers/index.js";
import { createRateLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FaultControl, withFaults } from "../../../src/testing/faults.js";
import { faultyStore, type StoreMethod } from "../../../src/testing/index.js";
import { localBus } from "../../unit/cache/fixtures.js";
import { type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { AUDIENCE, ecKey, ISSUER } from "../../unit/oauth/fixtures.js";

const TIMEOUT_MS = 60;
const LIMITER_MS = 40;
const PUBLISH_MS = 250; // the limit of a cache
const ROUNDS = 4;

/** The responses to requests during a hanging call. */
export interface Measured {
  readonly status: number;
  readonly expected: number;
  /** Milliseconds between the control and the response, for each round. */
  readonly delays: readonly number[];
  /** The number of calls that hung. */
  readonly injected: number;
}

export interface Report {
  readonly measured: Readonly<Record<string, Measured>>;
  /** The statuses of requests that must be denied. */
  readonly invalid: Readonly<Record<string, readonly number[]>>;
  /** Resources at the end that did not exist at the beginning. */
  readonly leaks: {
    readonly resources: readonly string[];
    readonly timers: number;
    readonly listeners: number;
  };
  readonly unhandled: readonly string[];
}

interface TestRequest {
  readonly path: string;
  readonly method?: string;
  readonly secret?: string;
  readonly form?: Readonly<Record<string, string>>;
}

interface Scenario {
  /** The time limit of the response, in milliseconds. */
  readonly limitMs: number;
  readonly expected: number;
  readonly send: () => Promise<TestRequest> | TestRequest;
  readonly fault: Counted;
}

type Counted = Pick<FaultControl, "injected">;

const unhandled: string[] = [];
for (const name of ["unhandledRejection", "uncaughtException"]) {
  process.on(name, (reason: unknown) => unhandled.push(String(reason)));
}
const timers = new Set<number>(); // including unref() timers
createHook({
  init: (id, type) => type === "Timeout" && timers.add(id),
  destroy: (id) => timers.delete(id),
}).enable();
const listeners = () => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
const before = { resources: process.getActiveResourcesInfo(), timers: timers.size, listeners: listeners() };

const routes = new Map<string, (req: IncomingMessage, res: ServerResponse) => unknown>();
const server = createServer((req, res) => {
  const [, prefix = ""] = (req.url ?? "").split(/[/?]/);
  routes.get(prefix)?.(req, res);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
routes.set("control", (_, res) => res.end());

/** Sends a request, reads the whole response, and returns its status. */
async function send({ path, method = "GET", secret, form }: TestRequest): Promise<number> {
  const headers = {
    ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
    ...(form && { "content-type": "application/x-www-form-urlencoded" }),
  };
  const outgoing = request({ host: "127.0.0.1", port, path, method, headers, agent: false });
  outgoing.end(form && new URLSearchParams(form).toString());
  const [response] = await once(outgoing, "response");
  for await (const _ of response);
  return response.statusCode;
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; endedAt: number }> {
  const result = await work;
  return { result, endedAt: performance.now() };
}

const inner: ManagedKeyStore = memoryStore();
const manager = createKeyManager({ store: inner, scopes, format });
const issue = (more: object = {}) =>
  manager.create({ ownerId: "acme", environment: "live", scopes: ["fleet:admin"], ...more });
const [own, other, revoked] = [await issue(), await issue(), await issue()];
const narrow = await issue({ scopes: ["drivers:read"] });
await manager.revoke(revoked.key.id);

/** Callbacks for the moment when a call of a target begins to hang. */
const onHang = new WeakMap<Counted, () => void>();
const notifying = <T extends Counted>(make: (when: () => true) => T): T => {
  const target: T = make(() => {
    onHang.get(target)?.();
    return true;
  });
  return target;
};
const hangingIn = <T extends object>(target: T, ...methods: string[]) =>
  notifying((when) => withFaults(target, methods, [{ fault: "hang", when }], 1));
const hangingOf = (store: ManagedKeyStore, ...method: StoreMethod[]) =>
  notifying((when) => faultyStore(store, [{ method, fault: "hang", when }]));
const hanging = (...method: StoreMethod[]) => hangingOf(inner, ...method);
const verifierOver = (store: ManagedKeyStore, more: Partial<VerifierOptions<FleetScope>> = {}) =>
  createVerifier<FleetScope>({ store, scopes, format, storeTimeout: `${TIMEOUT_MS}ms`, ...more });
const onError = () => {};

const scenarios: Record<string, Scenario> = {};
const closers: (() => Promise<unknown>)[] = [];
/** The paths of guarded routes. */
const guarded: string[] = [];

/** Adds a route with a verifier that has a hanging call. */
function guard(
  name: string,
  verifier: Verifier<FleetScope>,
  fault: Counted,
  [limitMs, expected]: readonly [limitMs: number, status: number] = [TIMEOUT_MS, 503],
): void {
  const path = name.replaceAll(" ", "-");
  routes.set(
    path,
    nodeAuth(verifier, { onError })("vehicles:write", (_, res) => res.end("allowed")),
  );
  scenarios[name] = { limitMs, expected, fault, send: () => ({ path: `/${path}`, secret: own.secret }) };
  guarded.push(path);
}

const single = hanging("findByHash");
guard("store", verifierOver(single), single);
const batching = hangingOf({ ...inner, findManyByHash: () => [] }, "findByHash", "findManyByHash");
guard("store with batches", verifierOver(batching), batching);
const cachedInner = hanging("findByHash");
const cache = cachedStore(cachedInner, { storeTimeout: `${TIMEOUT_MS}ms` });
closers.push(cache.close);
guard("cached store", verifierOver(cache), cachedInner);
const rehashing = hanging("rehash");
const pepper = { current: "v1", keys: { v1: "the pepper of this process" }, unpeppered: true };
guard("rehash", verifierOver(rehashing, { pepper }), rehashing, [0, 200]);

const windows = [{ name: "minute", per: "key", limit: 1_000, window: "1m" }] as const;
const limits = [0, 1, 2].map(() => hangingIn(memoryLimits(), "take"));
const [strict, lenient, dry] = limits as [(typeof limits)[0], (typeof limits)[0], (typeof limits)[0]];
const strictLimiter = createRateLimiter({ store: strict, windows });
guard("rate limiter", verifierOver(inner, { rateLimiter: strictLimiter }), strict);
const lenientLimiter = createRateLimiter({
  store: lenient,
  windows,
  timeout: `${LIMITER_MS}ms`,
  onError,
  onUnavailable: "allow",
});
guard("lenient rate limiter", verifierOver(inner, { rateLimiter: lenientLimiter }), lenient, [
  LIMITER_MS,
  200,
]);
const dryRun = createRateLimiter({ store: dry, windows, dryRun: true, onLimited: () => {}, onError });
guard("rate limiter with dryRun", verifierOver(inner, { rateLimiter: dryRun }), dry, [0, 200]);

const { publish, subscribe } = localBus();
const bus = hangingIn({ publish, subscribe }, "publish", "subscribe");
const cacheWithBus = cachedStore(inner, { bus, heartbeat: "50ms", storeTimeout: `${TIMEOUT_MS}ms` });
closers.push(cacheWithBus.close);
guard("bus", verifierOver(cacheWithBus), bus, [0, 200]);

const backgroundWrites = Array.from({ length: ROUNDS }, () => {
  const store = hanging("touch", "appendAudit");
  const options = {
    onError,
    storeTimeout: `${TIMEOUT_MS}ms`,
    closeTimeout: `${TIMEOUT_MS}ms`,
    interval: "20ms",
  } as const;
  return { store, writers: [lastUsed(store, options), auditLog(store, options)] };
});
const observers = backgroundWrites.flatMap(({ writers }) => writers.map(({ observer }) => observer));
const hungWrites = { injected: () => backgroundWrites.reduce((sum, { store }) => sum + store.injected(), 0) };
guard("observers", verifierOver(inner, { observers }), hungWrites, [0, 200]);

/** Adds a management API. */
function manage(
  name: string,
  [store, verified]: readonly [ManagedKeyStore, ManagedKeyStore],
  more: Scenario,
  storeTimeout: Duration = `${TIMEOUT_MS}ms`,
): void {
  const handler = createManagementApi<FleetScope>({
    keys: createKeyManager({ store, scopes, format, storeTimeout }),
    verifier: verifierOver(verified),
    requires: { read: "vehicles:read", write: "vehicles:write" },
    basePath: `/${name.replaceAll(" ", "-")}`,
    onError,
  });
  routes.set(name.replaceAll(" ", "-"), toNodeListener(handler));
  scenarios[name] = more;
}

const listing = hanging("list");
manage("list of keys", [listing, inner], {
  ...{ limitMs: TIMEOUT_MS, expected: 503, fault: listing },
  send: () => ({ path: "/list-of-keys/api-keys", secret: own.secret }),
});
const updating = hanging("update");
manage("revocation of a key", [updating, inner], {
  ...{ limitMs: TIMEOUT_MS, expected: 503, fault: updating },
  send: () => ({
    path: `/revocation-of-a-key/api-keys/${other.key.id}`,
    method: "DELETE",
    secret: own.secret,
  }),
});
const verifying = hanging("findByHash");
manage("verifier of management", [inner, verifying], {
  ...{ limitMs: TIMEOUT_MS, expected: 503, fault: verifying },
  send: () => ({ path: "/verifier-of-management/api-keys", secret: own.secret }),
});
const revocation: Scenario = {
  ...{ limitMs: PUBLISH_MS, expected: 200, fault: bus },
  async send() {
    const path = `/revocation-with-a-bus/api-keys/${(await issue()).key.id}`;
    return { path, method: "DELETE", secret: own.secret };
  },
};
manage("revocation with a bus", [cacheWithBus, inner], revocation, "10s");

const signingKey = ecKey();
const tokenService = (path: string, more: Partial<TokenServiceOptions<FleetScope>> = {}) =>
  createTokenService<FleetScope>({
    ...{ issuer: ISSUER, audience: AUDIENCE, signingKey, ttl: "15m", keyTtl: "0s" },
    ...{ store: inner, verifier: verifierOver(inner), onError },
    basePath: `/${path}`,
    ...more,
  });
const GRANT = { grant_type: "client_credentials" };
const healthy = tokenService("tokens");
const exchanged = async () => {
  const result = await healthy.exchange({ request: { headers: { authorization: `Bearer ${own.secret}` } } });
  if (!result.ok) throw new Error("exchange failed");
  return result.accessToken;
};

/** Adds an endpoint of a token service. */
function tokens(
  name: string,
  endpoint: string,
  more: Partial<TokenServiceOptions<FleetScope>>,
  fault: Counted,
): void {
  const path = name.replaceAll(" ", "-");
  const service = tokenService(path, more);
  routes.set(path, toNodeListener(service.handler));
  scenarios[name] = {
    ...{ limitMs: TIMEOUT_MS, fault, expected: 503 },
    async send() {
      const form = endpoint === "/token" ? GRANT : { token: await exchanged() };
      return { path: `/${path}${endpoint}`, method: "POST", secret: own.secret, form };
    },
  };
}

const reading = hanging("findById");
tokens("keys of tokens", "/token", { store: reading }, reading);
const checking = hangingIn(memoryRevocationList(Date.now, 900_000), "has");
const { add, has } = memoryRevocationList(Date.now, 900_000);
tokens("introspection", "/introspect", { revocations: { add, has: checking.has } }, checking);
const adding = hangingIn(memoryRevocationList(Date.now, 900_000), "add");
tokens("revocation of a token", "/revoke", { revocations: { add: adding.add, has } }, adding);
const verifyingToken = hangingIn(memoryRevocationList(Date.now, 900_000), "has");
guard(
  "token",
  tokenService("none", { revocations: { add, has: verifyingToken.has } }).verifier,
  verifyingToken,
);
const token = await exchanged();
scenarios.token = { ...(scenarios.token as Scenario), send: () => ({ path: "/token", secret: token }) };

const measured: Record<string, Measured> = {};
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    const { limitMs, expected, fault } = scenario;
    const requestToSend = await scenario.send();
    const hung = new Promise<void>((resolve) => onHang.set(fault, resolve));
    const responding = timed(send(requestToSend));
    const control = timed<unknown>(
      limitMs === 0 ? send({ path: "/control" }) : hung.then(() => sleep(limitMs)),
    );
    const [response, controlled] = await Promise.all([responding, control]);
    const delays = [...(measured[name]?.delays ?? []), response.endedAt - controlled.endedAt];
    const earlier = measured[name]?.status ?? expected;
    const status = earlier === expected ? response.result : earlier;
    measured[name] = { status, expected, delays, injected: fault.injected() };
  }
  const { writers, store } = backgroundWrites[round] as (typeof backgroundWrites)[0];
  for (const [index, { close }] of writers.entries()) {
    const name = `close of ${index === 0 ? "lastUsed" : "auditLog"}`;
    const closing = timed(
      close().then(
        () => 200,
        () => 503,
      ),
    );
    const control = timed(sleep(TIMEOUT_MS));
    const [closed, controlled] = await Promise.all([closing, control]);
    const delays = [...(measured[name]?.delays ?? []), closed.endedAt - controlled.endedAt];
    measured[name] = { status: closed.result, expected: 503, delays, injected: store.injected() };
  }
}

const invalid: Record<string, number[]> = {};
for (const path of guarded) {
  const secrets = [undefined, format.generate("live"), revoked.secret, narrow.secret, `${token}x`];
  const requests = secrets.map((secret) => ({ path: `/${path}`, ...(secret !== undefined && { secret }) }));
  invalid[path] = await Promise.all(requests.map((each) => send(each)));
}

for (const close of closers) await close();
server.close();
await once(server, "close");
const leaks = () => {
  const resources = process.getActiveResourcesInfo();
  for (const name of before.resources) {
    if (resources.includes(name)) resources.splice(resources.indexOf(name), 1);
  }
  return { resources, timers: timers.size - before.timers, listeners: listeners() - before.listeners };
};
for (let tries = 0; tries < 50 && (leaks().resources.length > 0 || leaks().timers > 0); tries++) {
  await sleep(20);
  await turn(); // so that the timer of sleep is gone
}
const report: Report = { measured, invalid, leaks: leaks(), unhandled };
writeSync(1, `${JSON.stringify(report)}\n`);
