import { metrics as api } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { createKeyManager, createVerifier, type KeyEvent, type KeyRecord } from "../../../src/index.js";
import { type MetricsOptions, metrics } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { bearer, format, scopes } from "../core/fixtures.js";
import { allowed, denied, START } from "./fixtures.js";
import { measuring, short } from "./telemetry.js";

const ENVIRONMENTS = ["live", "test"];

function measured(more: Partial<MetricsOptions> = {}) {
  const { meter, ...read } = measuring();
  const { observer } = metrics({ meter, ...more });
  const record = (...events: KeyEvent[]) => {
    for (const event of events) observer(event);
  };
  return { ...read, record, observer };
}

const { type: _, wouldDeny: __, ...facts } = allowed("key_1");
const failed: KeyEvent = { ...facts, type: "auth.failed", error: new Error("down") };
const { keyId: ___, isKey: ____, ownerId: _____, environment: ______, ...anonymous } = facts;

describe("metrics", () => {
  it("count decisions by outcome, reason and environment", async () => {
    const { record, sums } = measured({ environments: ENVIRONMENTS, store: "postgres" });
    record(
      allowed("key_1"),
      allowed("key_2"),
      denied("key_1", { code: "ip_not_allowed", reason: "ip_unknown" }),
      { ...anonymous, type: "auth.denied", code: "missing_credential", reason: "missing_credential" },
      failed,
    );
    const store = "postgres";
    expect(await sums("keybearer.auth.decisions")).toEqual([
      [2, { store, environment: "live", outcome: "allowed" }],
      [1, { store, environment: "live", outcome: "ip_not_allowed", reason: "ip_unknown" }],
      [1, { store, outcome: "missing_credential", reason: "missing_credential" }],
      [1, { store, environment: "live", outcome: "unavailable" }],
    ]);
  });

  it("measure durations in seconds, in buckets from 50 µs to 1 s", async () => {
    const { record, histogram, collected } = measured();
    record(...[0.04, 0.06, 3, 2_000].map((durationMs) => allowed("a", START, { durationMs })));
    const [value] = await histogram("keybearer.auth.duration");
    expect(value).toMatchObject({ count: 4, min: 0.00004, max: 2 });
    expect(value?.sum).toBeCloseTo(2.0031, 9);
    expect(value?.buckets.boundaries).toEqual([
      0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
    ]);
    expect(value?.buckets.counts).toEqual([1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    const [decisions, durations] = await collected();
    const series = (data: typeof decisions) => data?.dataPoints.map(({ attributes }) => attributes);
    expect(series(durations)).toEqual(series(decisions));
  });

  it("ignore invalid durations", async () => {
    const { record, histogram, sums } = measured();
    record(...[Number.NaN, -1, Infinity, 1].map((durationMs) => allowed("a", START, { durationMs })));
    expect(await histogram("keybearer.auth.duration")).toMatchObject([{ count: 1, sum: 0.001 }]);
    expect(await sums("keybearer.auth.decisions")).toEqual([[4, { outcome: "allowed" }]]);
  });

  it("count wouldDeny by reason", async () => {
    const { record, sums } = measured({ environments: ENVIRONMENTS });
    record(
      allowed("a"),
      allowed("a", START, { wouldDeny: ["ip_not_allowed", "rate_limited"] }),
      allowed("b", START, { wouldDeny: ["rate_limited"], environment: "test" }),
      allowed("b", START, { wouldDeny: undefined as never }), // of a custom verifier
    );
    expect(await sums("keybearer.auth.would_deny")).toEqual([
      [1, { environment: "live", reason: "ip_not_allowed" }],
      [1, { environment: "live", reason: "rate_limited" }],
      [1, { environment: "test", reason: "rate_limited" }],
    ]);
  });

  it("count changes of keys, background failures and bypassed caches", async () => {
    const { record, sums } = measured({ store: "redis" });
    const at = START;
    const change = { at, keyId: "a", ownerId: "acme", actor: null, details: {} };
    record(
      { type: "key.created", ...change },
      { type: "key.created", ...change },
      { type: "key.revoked", ...change },
      { type: "background.failed", at, task: "invalidate", keyId: "a", error: new Error("x") },
      { type: "background.failed", at, task: "rehash", keyId: "a", error: new Error("x") },
      { type: "cache.bypassed", at },
      { type: "cache.bypassed", at },
      { type: "cache.resumed", at },
    );
    const store = "redis";
    expect(await sums("keybearer.key.changes")).toEqual([
      [2, { store, action: "created" }],
      [1, { store, action: "revoked" }],
    ]);
    expect(await sums("keybearer.background.failures")).toEqual([
      [1, { store, task: "invalidate" }],
      [1, { store, task: "rehash" }],
    ]);
    expect(await sums("keybearer.cache.bypassed")).toEqual([[1, { store }]]);
    record({ type: "cache.resumed", at });
    expect(await sums("keybearer.cache.bypassed")).toEqual([[0, { store }]]);
  });

  it("have the names and units of the documentation", async () => {
    const { record, collected } = measured();
    const at = START;
    const change = { at, keyId: "a", ownerId: "acme", actor: null, details: {} };
    record(
      allowed("a", at, { wouldDeny: ["rate_limited"] }),
      { type: "key.created", ...change },
      { type: "background.failed", at, task: "rehash", keyId: "a", error: 1 },
      { type: "cache.bypassed", at },
    );
    const descriptors = (await collected()).map(({ descriptor: { name, unit, description } }) => {
      expect(description).toMatch(/^[A-Z].*\.$/);
      return [name, unit];
    });
    expect(descriptors).toEqual([
      ["keybearer.auth.decisions", "{request}"],
      ["keybearer.auth.duration", "s"],
      ["keybearer.auth.would_deny", "{request}"],
      ["keybearer.key.changes", "{change}"],
      ["keybearer.background.failures", "{failure}"],
      ["keybearer.cache.bypassed", "{cache}"],
    ]);
  });
});

describe("metric attributes", () => {
  const hostile = "x".repeat(500);

  it("replace unknown values with _OTHER", async () => {
    const { record, collected } = measured({ environments: ENVIRONMENTS });
    for (let i = 0; i < 50; i++) {
      const odd = `${hostile}${i}` as never;
      const change = { at: START, keyId: odd, ownerId: odd, actor: odd, details: { odd } };
      record(
        allowed(odd, START, { environment: odd, wouldDeny: [odd], requestId: odd, path: odd, clientIp: odd }),
        denied(odd, { environment: odd, code: odd, reason: odd }),
        { type: "background.failed", at: START, task: odd, keyId: odd, error: new Error(hostile) },
        { type: `key.${odd}` as never, ...change },
        { type: odd, ...change } as never,
        { type: "__proto__", ...change } as never,
      );
    }
    const all = await collected();
    expect(JSON.stringify(all)).not.toContain("xxx");
    const series = all.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.map(({ attributes }) => short(attributes)),
    ]);
    const other = "_OTHER";
    const decisions = [
      { environment: other, outcome: "allowed" },
      { environment: other, outcome: other, reason: other },
    ];
    expect(series).toEqual([
      ["keybearer.auth.decisions", decisions],
      ["keybearer.auth.duration", decisions],
      ["keybearer.auth.would_deny", [{ environment: other, reason: other }]],
      ["keybearer.background.failures", [{ task: other }]],
    ]);
  });

  it("omit the environment without the option environments", async () => {
    const { record, sums } = measured();
    record(allowed("a"), allowed("a", START, { environment: "test" }));
    expect(await sums("keybearer.auth.decisions")).toEqual([[2, { outcome: "allowed" }]]);
  });

  it("never hold a secret, hash, pepper, id, owner, address or path", async () => {
    const { observer, collected } = measured({ environments: ENVIRONMENTS, store: "memory" });
    const store = memoryStore();
    const pepper = "pepper-of-the-tests-0123456789ab";
    const observers = [observer];
    const manager = createKeyManager({ store, scopes, format, pepper, observers });
    const verifier = createVerifier({ store, scopes, format, pepper, observers });
    const { secret, key } = await manager.create(
      { ownerId: "owner-of-tests", scopes: ["vehicles:read"], environment: "live", name: "name-of-tests" },
      "actor-of-tests",
    );
    const { hash } = (await store.findById(key.id)) as KeyRecord;
    const path = `/path-of-tests?api_key=${secret}`;
    const from = { remoteAddress: "203.0.113.77", path, requestId: "request-of-tests", method: "GET" };
    for (const sent of [secret, `${secret}x`, format.generate("test"), "junk-of-tests"])
      for (const required of ["vehicles:read", "fleet:admin"] as const)
        await verifier.verify(bearer(sent, from), required, { reportOnly: "fleet:admin" });
    await manager.revoke(key.id, { reason: "reason-of-tests" });
    await verifier.verify(bearer(secret, from));

    const text = JSON.stringify(await collected());
    expect(text).toContain("would_deny");
    expect(text).toContain('"revoked"');
    const hidden = [secret, secret.slice(9, -6), hash, hash.split(":").at(-1) as string, pepper, key.id];
    for (const one of [...hidden, key.start, "203.0.113.77", "-of-tests"]) expect(text).not.toContain(one);
  });
});

describe("the meter", () => {
  it("does not affect requests and other observers if it throws", async () => {
    const throwing = () => {
      throw new Error("of the meter");
    };
    const meter = {
      createCounter: () => ({ add: throwing }),
      createUpDownCounter: () => ({ add: throwing }),
      createHistogram: () => ({ record: throwing }),
    };
    const types: string[] = [];
    const store = memoryStore();
    const observers = [metrics({ meter }).observer, (event: KeyEvent) => types.push(event.type)];
    const manager = createKeyManager({ store, scopes, format, observers });
    const verifier = createVerifier({ store, scopes, format, observers });
    const { secret } = await manager.create({ ownerId: "acme", scopes: [], environment: "live" });
    expect(await verifier.verify(bearer(secret))).toMatchObject({ ok: true });
    expect(await verifier.verify({ headers: {} })).toMatchObject({ ok: false });
    expect(types).toEqual(["key.created", "auth.allowed", "auth.denied"]);
  });

  it("may be the no-op meter of OpenTelemetry", () => {
    const { observer } = metrics({ meter: api.getMeter("keybearer") });
    expect(observer(allowed("a"))).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    ["nothing", undefined, /metrics: expected an options object/],
    ["no meter", {}, /"meter" must have a method createCounter/],
    [
      "an incomplete meter",
      { meter: { createCounter() {} } },
      /"meter" must have a method createUpDownCounter/,
    ],
    ["a misspelt option", { meter: {}, stores: "a" }, /unknown option "stores"/],
    ["an empty store", { store: "" }, /"store" must be a string of 1 to 64/],
    ["a store with a line break", { store: "a\nb" }, /"store" must be a string of 1 to 64/],
    ["environments that are a string", { environments: "live" }, /"environments" must be an array/],
    ["environments that are no strings", { environments: [7] }, /"environments" must be an array/],
  ])("is checked, with the options: %s", (_, options, message) => {
    const { meter } = measuring();
    const given = typeof options === "object" ? { meter, ...options } : options;
    const passed = message.source.includes('"meter"') ? options : given;
    expect(() => metrics(passed as MetricsOptions)).toThrow(message);
  });
});
