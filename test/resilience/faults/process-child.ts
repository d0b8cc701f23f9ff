// A process of its own for process.test.ts, with the real clock and real sockets. Services of which some part hangs are
// asked. At the moment at which it begins to hang, a control timer of the same time limit is set; where nobody waits for
// what hangs, the control is a request to a route that just answers. Then everything is closed.
// What came of it is one line of JSON; after it the process ends by itself, or something was left behind.

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
const PUBLISH_MS = 250; // of a cache
const ROUNDS = 4;

/** What a part hangs in, and what then comes of a request. */
export interface Measured {
  readonly status: number;
  readonly expected: number;
  /** How much later than the control the answer was, in milliseconds, round by round. */
  readonly late: readonly number[];
  /** How many calls hung. */
  readonly injected: number;
}

export interface Report {
  readonly measured: Readonly<Record<string, Measured>>;
  /** What requests that may not pass were answered with. */
  readonly wrong: Readonly<Record<string, readonly number[]>>;
  /** What was there after the end and not before the beginning. */
  readonly left: {
    readonly resources: readonly string[];
    readonly timers: number;
    readonly listeners: number;
  };
  readonly unhandled: readonly string[];
}

interface Sent {
  readonly path: string;
  readonly method?: string;
  readonly secret?: string;
  readonly form?: Readonly<Record<string, string>>;
}

interface Scenario {
  /** How long the answer may take. */
  readonly limitMs: number;
  readonly expected: number;
  readonly send: () => Promise<Sent> | Sent;
  readonly fault: Counted;
}

type Counted = Pick<FaultControl, "injected">;

const unhandled: string[] = [];
for (const name of ["unhandledRejection", "uncaughtException"]) {
  process.on(name, (reason: unknown) => unhandled.push(String(reason)));
}
const timers = new Set<number>(); // those too that keep no process alive
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

/** The status of an answer, when all of it is there. */
async function ask({ path, method = "GET", secret, form }: Sent): Promise<number> {
  const headers = {
    ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
    ...(form && { "content-type": "application/x-www-form-urlencoded" }),
  };
  const sending = request({ host: "127.0.0.1", port, path, method, headers, agent: false });
  sending.end(form && new URLSearchParams(form).toString());
  const [response] = await once(sending, "response");
  for await (const _ of response);
  return response.statusCode;
}

async function timed<T>(work: Promise<T>): Promise<{ answer: T; ended: number }> {
  const answer = await work;
  return { answer, ended: performance.now() };
}

const inner: ManagedKeyStore = memoryStore();
const plain = createKeyManager({ store: inner, scopes, format });
const issue = (more: object = {}) =>
  plain.create({ ownerId: "acme", environment: "live", scopes: ["fleet:admin"], ...more });
const [own, other, dead] = [await issue(), await issue(), await issue()];
const narrow = await issue({ scopes: ["drivers:read"] });
await plain.revoke(dead.key.id);

/** Called when a call of a target begins to hang. */
const onHang = new WeakMap<Counted, () => void>();
const telling = <T extends Counted>(make: (when: () => true) => T): T => {
  const target: T = make(() => {
    onHang.get(target)?.();
    return true;
  });
  return target;
};
const hangs = <T extends object>(target: T, ...methods: string[]) =>
  telling((when) => withFaults(target, methods, [{ fault: "hang", when }], 1));
const hangingOf = (store: ManagedKeyStore, ...method: StoreMethod[]) =>
  telling((when) => faultyStore(store, [{ method, fault: "hang", when }]));
const hanging = (...method: StoreMethod[]) => hangingOf(inner, ...method);
const verifierOver = (store: ManagedKeyStore, more: Partial<VerifierOptions<FleetScope>> = {}) =>
  createVerifier<FleetScope>({ store, scopes, format, storeTimeout: `${TIMEOUT_MS}ms`, ...more });
const onError = () => {};

const scenarios: Record<string, Scenario> = {};
const closers: (() => Promise<unknown>)[] = [];
/** Requests to a route of this name that must not pass. */
const guarded: string[] = [];

/** A route behind a verifier of which something hangs. */
function guard(
  name: string,
  verifier: Verifier<FleetScope>,
  fault: Counted,
  [limitMs, expected]: readonly [limitMs: number, status: number] = [TIMEOUT_MS, 503],
): void {
  const path = name.replaceAll(" ", "-");
  routes.set(
    path,
    nodeAuth(verifier, { onError })("vehicles:write", (_, res) => res.end("in")),
  );
  scenarios[name] = { limitMs, expected, fault, send: () => ({ path: `/${path}`, secret: own.secret }) };
  guarded.push(path);
}

const one = hanging("findByHash");
guard("store", verifierOver(one), one);
const many = hangingOf({ ...inner, findManyByHash: () => [] }, "findManyByHash");
guard("store of many", verifierOver(many), many);
const behind = hanging("findByHash");
const cache = cachedStore(behind, { storeTimeout: `${TIMEOUT_MS}ms` });
closers.push(cache.close);
guard("cached store", verifierOver(cache), behind);
const rehashing = hanging("rehash");
const pepper = { current: "v1", keys: { v1: "the pepper of this process" }, unpeppered: true };
guard("move of a hash", verifierOver(rehashing, { pepper }), rehashing, [0, 200]);

const windows = [{ name: "minute", per: "key", limit: 1_000, windowSeconds: 60 }] as const;
const limits = [0, 1, 2].map(() => hangs(memoryLimits(), "take"));
const [strict, lenient, tried] = limits as [(typeof limits)[0], (typeof limits)[0], (typeof limits)[0]];
const strictly = createRateLimiter({ store: strict, windows });
guard("limiter", verifierOver(inner, { rateLimiter: strictly }), strict);
const leniently = createRateLimiter({
  ...{ store: lenient, windows, storeTimeout: `${LIMITER_MS}ms`, onError },
  onUnavailable: "allow",
});
guard("limiter that may be down", verifierOver(inner, { rateLimiter: leniently }), lenient, [
  ...([LIMITER_MS, 200] as const),
]);
const onTrial = { rateLimiter: createRateLimiter({ store: tried, windows }) };
const judged = { reportOnly: onTrial, observers: [() => {}] };
guard("limiter on trial", verifierOver(inner, judged), tried, [0, 200]);

const { publish, subscribe } = localBus();
const bus = hangs({ publish, subscribe }, "publish", "subscribe");
const deaf = cachedStore(inner, { bus, heartbeat: "50ms", storeTimeout: `${TIMEOUT_MS}ms` });
closers.push(deaf.close);
guard("bus", verifierOver(deaf), bus, [0, 200]);

const behindRequests = Array.from({ length: ROUNDS }, () => {
  const store = hanging("touch", "appendAudit");
  const options = {
    onError,
    storeTimeout: `${TIMEOUT_MS}ms`,
    closeTimeout: `${TIMEOUT_MS}ms`,
    interval: "20ms",
  };
  return { store, writers: [lastUsed(store, options), auditLog(store, options)] };
});
const observers = behindRequests.flatMap(({ writers }) => writers.map(({ observer }) => observer));
const hungWrites = { injected: () => behindRequests.reduce((sum, { store }) => sum + store.injected(), 0) };
guard("observers", verifierOver(inner, { observers }), hungWrites, [0, 200]);

/** A management API under a path of its own. */
function manage(
  name: string,
  [store, verified]: readonly [ManagedKeyStore, ManagedKeyStore],
  more: Scenario,
  storeTimeout = `${TIMEOUT_MS}ms`,
): void {
  const handler = createManagementApi<FleetScope>({
    manager: createKeyManager({ store, scopes, format, storeTimeout }),
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
const judging = hanging("findByHash");
manage("verifier of managers", [inner, judging], {
  ...{ limitMs: TIMEOUT_MS, expected: 503, fault: judging },
  send: () => ({ path: "/verifier-of-managers/api-keys", secret: own.secret }),
});
const untold: Scenario = {
  ...{ limitMs: PUBLISH_MS, expected: 200, fault: bus },
  async send() {
    const path = `/revocation-without-a-bus/api-keys/${(await issue()).key.id}`;
    return { path, method: "DELETE", secret: own.secret };
  },
};
manage("revocation without a bus", [deaf, inner], untold, 10_000);

const signingKey = ecKey();
const tokenService = (path: string, more: Partial<TokenServiceOptions<FleetScope>> = {}) =>
  createTokenService<FleetScope>({
    ...{ issuer: ISSUER, audience: AUDIENCE, signingKey, ttl: "15m", keyTtl: "0s", scopes },
    ...{ store: inner, verifier: verifierOver(inner), storeTimeout: `${TIMEOUT_MS}ms`, onError },
    basePath: `/${path}`,
    ...more,
  });
const GRANT = { grant_type: "client_credentials" };
const healthy = tokenService("tokens");
const exchanged = async () => {
  const result = await healthy.exchange({ request: { headers: { authorization: `Bearer ${own.secret}` } } });
  if (!result.ok) throw new Error("there is no token");
  return result.accessToken;
};

/** An endpoint of a token service under a path of its own. */
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
const known = hangs(memoryRevocationList(Date.now), "has");
const { add, has } = memoryRevocationList(Date.now);
tokens("introspection", "/introspect", { revocations: { add, has: known.has } }, known);
const kept = hangs(memoryRevocationList(Date.now), "add");
tokens("revocation of a token", "/revoke", { revocations: { add: kept.add, has } }, kept);
const asked = hangs(memoryRevocationList(Date.now), "has");
guard("token", tokenService("none", { revocations: { add, has: asked.has } }).verifier, asked);
const token = await exchanged();
scenarios.token = { ...(scenarios.token as Scenario), send: () => ({ path: "/token", secret: token }) };

const measured: Record<string, Measured> = {};
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, { limitMs, expected, send, fault }] of Object.entries(scenarios)) {
    const sent = await send();
    const begins = new Promise<void>((resolve) => onHang.set(fault, resolve));
    const asking = timed(ask(sent));
    const control = timed<unknown>(
      limitMs === 0 ? ask({ path: "/control" }) : begins.then(() => sleep(limitMs)),
    );
    const [answered, controlled] = await Promise.all([asking, control]);
    const late = [...(measured[name]?.late ?? []), answered.ended - controlled.ended];
    const earlier = measured[name]?.status ?? expected;
    const status = earlier === expected ? answered.answer : earlier;
    measured[name] = { status, expected, late, injected: fault.injected() };
  }
  const { writers, store } = behindRequests[round] as (typeof behindRequests)[0];
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
    const late = [...(measured[name]?.late ?? []), closed.ended - controlled.ended];
    measured[name] = { status: closed.answer, expected: 503, late, injected: store.injected() };
  }
}

const wrong: Record<string, number[]> = {};
for (const path of guarded) {
  const secrets = [undefined, format.generate("live"), dead.secret, narrow.secret, `${token}x`];
  const sent = secrets.map((secret) => ({ path: `/${path}`, ...(secret !== undefined && { secret }) }));
  wrong[path] = await Promise.all(sent.map((each) => ask(each)));
}

for (const close of closers) await close();
server.close();
await once(server, "close");
const left = () => {
  const resources = process.getActiveResourcesInfo();
  for (const name of before.resources) {
    if (resources.includes(name)) resources.splice(resources.indexOf(name), 1);
  }
  return { resources, timers: timers.size - before.timers, listeners: listeners() - before.listeners };
};
for (let tries = 0; tries < 50 && (left().resources.length > 0 || left().timers > 0); tries++) {
  await sleep(20);
  await turn(); // that timer is over then
}
const report: Report = { measured, wrong, left: left(), unhandled };
writeSync(1, `${JSON.stringify(report)}\n`);
