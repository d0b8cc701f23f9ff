import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { emit } from "../../../src/core/events.js";
import {
  type AllowedEvent,
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type Observer,
  type Requirement,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  allowed,
  bearer,
  errorOf,
  type FleetScope,
  format,
  scopes,
  service,
  sleep,
  thrownBy,
} from "./fixtures.js";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await sleep(2);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

const LIVE = { ownerId: "acme", scopes: ["vehicles:write"], environment: "live" } as const;

describe("events", () => {
  test("an allowed request has an event with all its facts", async () => {
    const { manager, verifier, events, clock } = service({
      trustedProxies: ["loopback"],
      clientIpHeader: "x-real-ip",
    });
    const { secret, key } = await manager.create(LIVE);
    events.length = 0;
    const began = performance.now();
    await verifier.verify(
      {
        headers: { authorization: `Bearer ${secret}`, "x-real-ip": "203.0.113.7" },
        headersTruncated: false,
        remoteAddress: "::ffff:127.0.0.1",
        method: "PUT",
        path: `/vehicles/7?api_key=${secret}`,
        requestId: "id-1",
      },
      "vehicles:write",
    );
    expect(events).toEqual([
      {
        type: "auth.allowed",
        at: clock.now(),
        requestId: "id-1",
        method: "PUT",
        path: "/vehicles/7",
        clientIp: "203.0.113.7",
        requiredScopes: ["vehicles:write"],
        audit: true,
        durationMs: expect.any(Number),
        keyId: key.id,
        isKey: true,
        ownerId: "acme",
        environment: "live",
        wouldDeny: [],
      },
    ]);
    const { durationMs } = events[0] as AllowedEvent;
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(durationMs).toBeLessThanOrEqual(performance.now() - began);
  });

  test("marks requests that require a scope with `audit`", async () => {
    const { manager, verifier, events } = service();
    const { secret } = await manager.create(LIVE);
    const requirements: (Requirement<FleetScope> | undefined)[] = [
      undefined,
      "vehicles:read",
      ["vehicles:read", "vehicles:write"],
      { anyOf: ["drivers:read", "vehicles:write"] },
    ];
    events.length = 0;
    for (const required of requirements) await verifier.verify(bearer(secret), required);
    expect(events.map((event) => (event as AllowedEvent).audit)).toEqual([false, false, true, true]);
    expect(events.map((event) => (event as AllowedEvent).requiredScopes)).toEqual([
      [],
      ["vehicles:read"],
      ["vehicles:read", "vehicles:write"],
      ["drivers:read", "vehicles:write"],
    ]);
  });

  test("a denied request has an event with a detailed reason, and with the key if it is known", async () => {
    const { manager, verifier, events, clock } = service({ environment: "live" });
    const { secret, key } = await manager.create({ ...LIVE, ipAllowlist: ["10.0.0.0/8"] });
    const expiring = await manager.create({ ...LIVE, expiresAt: new Date(clock.now().getTime() + 1) });
    const disabled = await manager.create(LIVE);
    await manager.disable(disabled.key.id);
    const revoked = await manager.create(LIVE);
    await manager.revoke(revoked.key.id);
    clock.set(clock.now().getTime() + 1);
    events.length = 0;
    await verifier.verify({ headers: {} });
    await verifier.verify({ headers: { authorization: "Bearer" } });
    await verifier.verify(bearer("junk"));
    await verifier.verify(bearer(format.generate("test")));
    await verifier.verify(bearer(format.generate("live")));
    await verifier.verify(bearer(secret));
    await verifier.verify(bearer(secret, { remoteAddress: "203.0.113.7" }));
    await verifier.verify(bearer(secret, { remoteAddress: "10.0.0.1" }), "drivers:read");
    await verifier.verify(bearer(expiring.secret));
    await verifier.verify(bearer(disabled.secret));
    await verifier.verify(bearer(revoked.secret));
    const reported = events.map((event) => [
      event.type,
      "reason" in event && event.reason,
      "code" in event && event.code,
      event.keyId,
    ]);
    for (const event of events) {
      const known = { ownerId: "acme", environment: "live", isKey: true };
      if (event.keyId !== undefined) expect(event).toMatchObject(known);
      else for (const name of Object.keys(known)) expect(event).not.toHaveProperty(name);
    }
    const denied = (reason: string, code: string, id?: string) => ["auth.denied", reason, code, id];
    expect(reported).toEqual([
      denied("missing_credential", "missing_credential"),
      denied("malformed_credential", "malformed_credential"),
      denied("unrecognized_format", "invalid_key"),
      denied("wrong_environment", "wrong_environment"),
      denied("unknown_key", "invalid_key"),
      denied("ip_unknown", "ip_not_allowed", key.id),
      denied("ip_not_allowed", "ip_not_allowed", key.id),
      denied("insufficient_scope", "insufficient_scope", key.id),
      denied("expired", "invalid_key", expiring.key.id),
      denied("disabled", "invalid_key", disabled.key.id),
      denied("revoked", "invalid_key", revoked.key.id),
    ]);
  });

  test("a verifier returns the same result without observers", async () => {
    const { manager, store, verifier, clock } = service();
    const silent = createVerifier({ store, scopes, format, clock: clock.now });
    const { secret, key } = await manager.create({ ...LIVE, ipAllowlist: ["10.0.0.0/8"] });
    const near = bearer(secret, { remoteAddress: "10.0.0.1", requestId: "id-1" });
    for (const request of [{ headers: {} }, bearer("junk"), bearer(secret), near]) {
      for (const required of ["vehicles:read", "drivers:read"] as const) {
        const result = await silent.verify(request, required);
        const observed = await verifier.verify(request, required);
        expect(JSON.stringify(result)).toBe(JSON.stringify(observed));
      }
    }
    expect(allowed(await silent.verify(near, "vehicles:read")).id).toBe(key.id);
    expect(errorOf(await silent.verify(near, "drivers:read"))).toMatchObject({
      code: "insufficient_scope",
      details: { requiredScopes: ["drivers:read"] },
    });
  });

  test("a failing store causes an event and an exception", async () => {
    const events: KeyEvent[] = [];
    const store = { findByHash: () => Promise.reject(new Error("down")) };
    const verifier = createVerifier({ store, scopes, format, observers: [(event) => events.push(event)] });
    const error = await thrownBy(() => verifier.verify(bearer(format.generate("live")), "vehicles:read"));
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: "auth.failed", error, requiredScopes: ["vehicles:read"] });
  });

  test("each change of a key emits one event, and a change without effect emits none", async () => {
    const { manager, events } = service();
    const { key } = await manager.create(LIVE, "ann");
    await manager.update(key.id, { name: "n", ipAllowlist: null }, { actor: "bob" });
    await manager.disable(key.id);
    await manager.disable(key.id);
    await manager.enable(key.id);
    await manager.enable(key.id);
    const { key: next } = await manager.rotate(key.id, { overlap: "1h" });
    await manager.revoke(next.id, { reason: "leaked", actor: "eve" });
    await manager.revoke(next.id, { reason: "again" });
    expect(events.map((event) => [event.type, event.keyId, "actor" in event && event.actor])).toEqual([
      ["key.created", key.id, "ann"],
      ["key.updated", key.id, "bob"],
      ["key.disabled", key.id, null],
      ["key.enabled", key.id, null],
      ["key.rotated", key.id, null],
      ["key.revoked", next.id, "eve"],
    ]);
    expect(events[1]).toMatchObject({ details: { members: ["name", "ipAllowlist"] } });
    expect(events[4]).toMatchObject({ details: { replacedBy: next.id } });
    expect(events[5]).toMatchObject({ details: { reason: "leaked" } });
  });

  test("reads the members of a Fetch Request, which are getters", async () => {
    const { manager, verifier, events } = service();
    const { secret } = await manager.create(LIVE);
    const headers = { authorization: `Bearer ${secret}`, "x-request-id": "id-1" };
    await verifier.verify(new Request("http://localhost/", { method: "POST", headers }));
    expect(events[1]).toMatchObject({ type: "auth.allowed", method: "POST", requestId: "id-1" });
  });

  test("the event and the principal of a request have the same request id", async () => {
    const { manager, verifier, events } = service();
    const { secret } = await manager.create(LIVE);
    events.length = 0;
    const principal = allowed(await verifier.verify(bearer(secret)));
    expect(events[0]).toMatchObject({ requestId: principal.requestId });
  });
});

describe("observers", () => {
  const hostile: [string, Observer][] = [
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["rejects", () => Promise.reject(new Error("x"))],
    ["hangs", () => new Promise(() => {})],
    [
      "returns a thenable that throws",
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a thenable that throws
        then() {
          throw new Error("x");
        },
      }),
    ],
    [
      "tries to change the event",
      (event) => {
        Object.assign(event, { type: "auth.allowed" });
      },
    ],
  ];

  test.each(hostile)("an observer that %s does not affect the decision", async (_, observer) => {
    const store = memoryStore();
    const seen: KeyEvent[] = [];
    const observers = [observer, (event: KeyEvent) => seen.push(event)];
    const manager = createKeyManager({ store, scopes, format, observers });
    const verifier = createVerifier({ store, scopes, format, observers });
    const { secret, key } = await manager.create(LIVE);
    expect(allowed(await verifier.verify(bearer(secret), "vehicles:read")).id).toBe(key.id);
    expect(errorOf(await verifier.verify(bearer(secret), "drivers:read")).code).toBe("insufficient_scope");
    await manager.revoke(key.id);
    expect(errorOf(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
    expect(seen.map((event) => event.type)).toEqual([
      "key.created",
      "auth.allowed",
      "auth.denied",
      "key.revoked",
      "auth.denied",
    ]);
  });

  test("an observer cannot change the required scopes of later requests", async () => {
    const store = memoryStore();
    const manager = createKeyManager({ store, scopes, format });
    const observers: Observer[] = [
      (event) => {
        try {
          if ("requiredScopes" in event) (event.requiredScopes as string[]).splice(0, 1, "drivers:read");
        } catch {
          // frozen
        }
      },
    ];
    const verifier = createVerifier({ store, scopes, format, observers });
    const { secret } = await manager.create({ ...LIVE, scopes: ["drivers:read"] });
    const required: FleetScope[] = ["vehicles:write"];
    expect((await verifier.verify(bearer(secret), required)).ok).toBe(false);
    expect((await verifier.verify(bearer(secret), required)).ok).toBe(false);
    expect(required).toEqual(["vehicles:write"]);
  });

  test("an observer cannot change the audit trail", async () => {
    const store = memoryStore();
    const observers: Observer[] = [
      (event) => {
        event.at.setTime(0);
        if ("details" in event)
          try {
            (event.details.members as string[] | undefined)?.splice(0);
          } catch {
            // frozen
          }
      },
    ];
    const manager = createKeyManager({ store, scopes, format, observers });
    const { key } = await manager.create(LIVE);
    await manager.update(key.id, { name: "n" });
    const { items } = await manager.auditTrail();
    expect(items.map(({ at }) => at.getTime() > 0)).toEqual([true, true]);
    expect(items.find(({ action }) => action === "updated")?.details).toEqual({ members: ["name"] });
    expect((await manager.get(key.id))?.createdAt?.getTime()).toBeGreaterThan(0);
  });

  test("emit freezes the event", () => {
    const event = { type: "auth.failed" } as unknown as KeyEvent;
    emit([], event);
    expect(Object.isFrozen(event)).toBe(true);
  });

  test.each([
    [undefined, false],
    [null, true],
    ["log", true],
    [[7], true],
    [{}, true],
  ])("checks the option `observers` of %j", (observers, wrong) => {
    const store = memoryStore();
    const make = () => createVerifier({ store, scopes, format, observers: observers as never });
    const manage = () => createKeyManager({ store, scopes, format, observers: observers as never });
    if (!wrong) expect([make, manage].map((action) => action())).toHaveLength(2);
    else
      for (const action of [make, manage])
        expect(action).toThrow(/"observers" must be an array of functions/);
  });
});

test("no event, audit entry, result or error contains a secret, its random part, a hash or a pepper", async () => {
  const pepper = { current: "v2", keys: { v1: "pepper-one-long-enough", v2: "pepper-two-long-enough" } };
  const secrets: string[] = [];
  const hashes: string[] = [];
  const outputs: unknown[] = [];
  const store = memoryStore();
  const observers = [(event: KeyEvent) => outputs.push(event)];
  let down = false;
  const spied = {
    ...store,
    findByHash(hash: Parameters<typeof store.findByHash>[0]) {
      hashes.push(hash);
      if (down) throw new Error(`cannot find ${hash}`);
      return store.findByHash(hash);
    },
    insert(record: Parameters<typeof store.insert>[0], audit: Parameters<typeof store.insert>[1]) {
      if (down) throw Object.assign(new Error(`duplicate ${record.hash}`), { parameters: [record.hash] });
      hashes.push(record.hash);
      return store.insert(record, audit);
    },
  };
  const manager = createKeyManager({ store: spied, scopes, format, pepper, observers });
  const verifier = createVerifier({
    store: spied,
    scopes,
    format,
    pepper,
    observers,
    environment: "live",
    exposeKeyState: true,
  });
  const use = async (secret: string, required?: FleetScope) =>
    outputs.push(
      await verifier
        .verify(
          bearer(secret, { path: `/x?key=${secret}`, method: "GET", remoteAddress: "203.0.113.7" }),
          required,
        )
        .catch((error) => error),
    );
  const { secret, key } = await manager.create({ ...LIVE, name: "first", metadata: { a: 1 } }, "ann");
  secrets.push(secret);
  outputs.push(key);
  await use(secret, "vehicles:read");
  await use(secret, "drivers:read");
  await use(`${secret.slice(0, -1)}_`);
  outputs.push(await manager.update(key.id, { ipAllowlist: ["10.0.0.0/8"] }));
  await use(secret);
  outputs.push(await manager.update(key.id, { ipAllowlist: null }));
  outputs.push(await manager.disable(key.id));
  await use(secret);
  outputs.push(await manager.enable(key.id));
  const rotated = await manager.rotate(key.id, { overlap: "1h" });
  secrets.push(rotated.secret);
  outputs.push(rotated.key);
  await use(secret);
  await use(rotated.secret);
  outputs.push(await manager.revoke(rotated.key.id, { reason: "leaked" }));
  await use(rotated.secret);
  down = true;
  await use(secret);
  outputs.push(await manager.create(LIVE).catch((error) => error));
  outputs.push(await manager.list(), await manager.auditTrail(), verifier, manager);

  expect(outputs.length).toBeGreaterThan(25);
  expect(new Set(hashes).size).toBeGreaterThanOrEqual(2);
  const forbidden = [
    ...secrets.map((text) => text.slice("ezt_live_".length + 4)),
    ...hashes.map((hash) => hash.replace(/^v\d:/, "")),
    ...Object.values(pepper.keys),
  ];
  for (const output of outputs) {
    const printed = `${JSON.stringify(output)}${inspect(output, { depth: 20, showHidden: true, getters: true })}`;
    for (const text of forbidden) expect(printed).not.toContain(text);
  }
});
