import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { context, ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeAuth } from "../../../src/adapters/node.js";
import {
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type KeyRecord,
  StoreError,
} from "../../../src/index.js";
import { type TracesOptions, traces } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { bearer, format, scopes } from "../core/fixtures.js";
import { allowed, denied, START } from "./fixtures.js";
import { contextManager, short, tracing } from "./telemetry.js";

const manager = contextManager();
beforeEach(() => void context.setGlobalContextManager(manager));
afterEach(() => context.disable());

function traced(more: Partial<TracesOptions> = {}) {
  const { tracer, spans } = tracing();
  const { observer } = traces({ tracer, ...more });
  const record = (...events: KeyEvent[]) => {
    for (const event of events) observer(event);
    return spans();
  };
  return { tracer, spans, observer, record };
}

const { type: _, wouldDeny: __, ...facts } = allowed("key_1");
const failed = (error: unknown): KeyEvent => ({ ...facts, type: "auth.failed", error });

describe("spans", () => {
  it("have the outcome of the decision, and no key or owner", () => {
    const { record } = traced({ environments: ["live"], store: "postgres" });
    const spans = record(
      allowed("key_1", START, { wouldDeny: ["rate_limited"] }),
      denied("key_1"),
      failed(new StoreError("The key store failed")),
      failed(new Error("secret-of-a-driver")),
      { type: "key.created", at: START, keyId: "a", ownerId: "b", actor: null, details: {} },
      { type: "cache.bypassed", at: START },
    );
    const common = { store: "postgres", environment: "live", required_scopes: ["vehicles:write"] };
    const unavailable = { ...common, outcome: "unavailable" };
    expect(spans.map(({ name, attributes }) => [name, short(attributes)])).toEqual([
      ["keybearer.verify", { ...common, outcome: "allowed", would_deny: ["rate_limited"] }],
      ["keybearer.verify", { ...common, outcome: "insufficient_scope", reason: "insufficient_scope" }],
      ["keybearer.verify", { ...unavailable, "error.type": "KEYBEARER_STORE_ERROR" }],
      ["keybearer.verify", { ...unavailable, "error.type": "_OTHER" }],
    ]);
    expect(spans.map(({ status }) => status)).toEqual([
      { code: SpanStatusCode.UNSET },
      { code: SpanStatusCode.UNSET },
      { code: SpanStatusCode.ERROR },
      { code: SpanStatusCode.ERROR },
    ]);
    expect(spans.flatMap(({ events }) => events)).toEqual([]);
  });

  it("have the key and its owner with identify, but no subject of a token as the key", () => {
    const { record } = traced({ identify: true });
    const spans = record(
      allowed("key_1"),
      allowed("user-1", START, { isKey: false }),
      denied("key_2"),
      denied(undefined),
    );
    expect(
      spans.map(({ attributes }) => [attributes["keybearer.key.id"], attributes["keybearer.owner.id"]]),
    ).toEqual([
      ["key_1", "acme"],
      [undefined, "acme"],
      ["key_2", "acme"],
      [undefined, undefined],
    ]);
  });

  it("have the times of the decision, to the microsecond", () => {
    const at = new Date("2030-01-01T00:00:00.000Z");
    const { record } = traced();
    const [short, long] = record(
      allowed("a", at, { durationMs: 0.25 }),
      allowed("a", at, { durationMs: 1_500 }),
    );
    const end = at.getTime() / 1_000;
    expect([short?.startTime, short?.endTime]).toEqual([
      [end - 1, 999_750_000],
      [end, 0],
    ]);
    expect(long?.startTime).toEqual([end - 2, 500_000_000]);
    expect(long?.duration).toEqual([1, 500_000_000]);
  });

  it("have the system time for an invalid date", () => {
    const { record } = traced();
    const [broken, old] = record(allowed("a", new Date(Number.NaN)), allowed("a", new Date(5_000)));
    expect(Math.abs((broken?.endTime[0] ?? 0) - Date.now() / 1_000)).toBeLessThan(60);
    expect([old?.startTime, old?.endTime]).toEqual([
      [4, 999_000_000],
      [5, 0],
    ]);
  });

  it("never hold a secret, hash, pepper, address, path or request id", async () => {
    const { observer, spans } = traced({ identify: true, environments: ["live"], store: "memory" });
    const store = memoryStore();
    const pepper = "pepper-of-the-tests-0123456789ab";
    const keys = createKeyManager({ store, scopes, format, pepper, observers: [observer] });
    const verifier = createVerifier({ store, scopes, format, pepper, observers: [observer] });
    const { secret, key } = await keys.create({ ownerId: "acme", scopes: [], environment: "live" });
    const { hash } = (await store.findById(key.id)) as KeyRecord;
    const path = `/path-of-tests?api_key=${secret}`;
    const from = { remoteAddress: "203.0.113.77", path, requestId: "request-of-tests", method: "GET" };
    for (const sent of [secret, `${secret}x`, "junk-of-tests"])
      for (const required of [undefined, "vehicles:read"] as const)
        await verifier.verify(bearer(sent, from), required);
    const text = JSON.stringify(
      spans().map(({ name, attributes, events, links, status }) => [name, attributes, events, links, status]),
    );
    expect(spans()).toHaveLength(6);
    expect(text).toContain(key.id);
    const hidden = [secret, secret.slice(9, -6), hash, hash.split(":").at(-1) as string, pepper];
    for (const one of [...hidden, "203.0.113.77", "-of-tests"]) expect(text).not.toContain(one);
  });
});

describe("the parent of a span", () => {
  async function serve() {
    const { tracer, spans, observer } = traced();
    const memory = memoryStore();
    const store = {
      findByHash: async (hash: Parameters<typeof memory.findByHash>[0]) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return memory.findByHash(hash);
      },
    };
    const { secret } = await createKeyManager({ store: memory, scopes, format }).create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    const verifier = createVerifier({
      store,
      scopes,
      format,
      observers: [observer],
      storeTimeout: "60000ms",
    });
    const auth = nodeAuth(verifier);
    const guarded = auth("vehicles:read", (_req, res) => void res.end("ok"));
    // Like HTTP instrumentation: a span around each request, active while it is handled.
    const server = createServer((req, res) => {
      const span = tracer.startSpan(`GET ${req.url}`, {}, ROOT_CONTEXT);
      res.once("finish", () => span.end());
      void context.with(trace.setSpan(ROOT_CONTEXT, span), () => guarded(req, res));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    return {
      spans,
      send: (path: string, headers = { authorization: `Bearer ${secret}` }) =>
        fetch(`http://127.0.0.1:${port}${path}`, { headers }).then((response) => response.text()),
      close: () => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      },
    };
  }

  it("is the span of its request, with concurrent requests", async () => {
    const { spans, send, close } = await serve();
    try {
      const paths = Array.from({ length: 10 }, (_, i) => `/${i}`);
      await Promise.all([
        ...paths.map((path) => send(path)),
        send("/denied", { authorization: "Bearer junk" }),
      ]);
      await expect.poll(() => spans().length).toBe(22);
      const requests = spans().filter(({ name }) => name.startsWith("GET "));
      const verified = spans().filter(({ name }) => name === "keybearer.verify");
      expect(requests).toHaveLength(11);
      for (const request of requests) {
        const { spanId, traceId } = request.spanContext();
        const children = verified.filter(({ parentSpanContext }) => parentSpanContext?.spanId === spanId);
        expect(
          children.map((child) => [child.spanContext().traceId, short(child.attributes).outcome]),
        ).toEqual([[traceId, request.name === "GET /denied" ? "invalid_key" : "allowed"]]);
      }
    } finally {
      await close();
    }
  });

  it("is missing if no span is active", () => {
    const { record } = traced();
    expect(record(allowed("a"))[0]?.parentSpanContext).toBeUndefined();
  });
});

describe("the tracer", () => {
  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("of the tracer");
      },
    ],
    ["returns no span", () => undefined],
  ])("does not affect requests and other observers if it %s", async (_, startSpan) => {
    const types: string[] = [];
    const { observer } = traces({ tracer: { startSpan: startSpan as never } });
    const store = memoryStore();
    const verifier = createVerifier({
      store,
      scopes,
      format,
      observers: [observer, ({ type }) => types.push(type)],
    });
    expect(await verifier.verify({ headers: {} })).toMatchObject({ ok: false });
    expect(types).toEqual(["auth.denied"]);
  });

  it("may be the no-op tracer of OpenTelemetry", () => {
    const { observer } = traces({ tracer: trace.getTracer("keybearer") });
    expect(observer(allowed("a"))).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    ["nothing", undefined, /traces: expected an options object/],
    ["no tracer", {}, /"tracer" must have a method startSpan/],
    ["a misspelt option", { tracer: { startSpan() {} }, identity: true }, /unknown option "identity"/],
    [
      "an option of the wrong type",
      { tracer: { startSpan() {} }, identify: 1 },
      /"identify" must be true or false/,
    ],
    ["a store that is no string", { tracer: { startSpan() {} }, store: 7 }, /"store" must be a string/],
  ])("is checked, with the options: %s", (_, options, message) => {
    expect(() => traces(options as TracesOptions)).toThrow(message);
  });
});
