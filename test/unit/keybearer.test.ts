import { describe, expect, it, vi } from "vitest";
import { defineScopes, type KeybearerOptions, keybearer, keyFormat } from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const input = { ownerId: "acme", environment: "live", scopes: ["vehicles:read"] } as const;
const requestWith = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } });

describe("keybearer", () => {
  it("verifies the keys that its manager creates", async () => {
    const { verifier, keys } = keybearer({ store: memoryStore(), scopes, format, environment: "live" });
    const { secret, key } = await keys.create(input);
    const result = await verifier.verify(requestWith(secret), "vehicles:read");
    expect(result.ok && result.principal.id).toBe(key.id);
  });

  it("uses one pepper, one clock and the same observers for both", async () => {
    const types: string[] = [];
    const store = memoryStore();
    const { verifier, keys } = keybearer({
      store,
      scopes,
      format,
      pepper: "a pepper of more than sixteen bytes",
      clock: () => new Date("2030-01-01T00:00:00Z"),
      observers: [({ type }) => types.push(type)],
    });
    const { secret, key } = await keys.create(input);
    expect(key.createdAt).toEqual(new Date("2030-01-01T00:00:00Z"));
    expect((await store.findById(key.id))?.hash).toMatch(/^v1:[\da-f]{64}$/);
    expect((await verifier.verify(requestWith(secret))).ok).toBe(true);
    expect(types).toEqual(["key.created", "auth.allowed"]);
  });

  it("creates keys of the first format and verifies all formats", async () => {
    const legacy = keyFormat({ prefix: "old" });
    const store = memoryStore();
    const { verifier, keys } = keybearer({ store, scopes, format: [format, legacy] });
    const { secret } = await keys.create(input);
    expect(secret).toMatch(/^ezt_live_/);
    const imported = legacy.generate();
    await keys.import({ secret: imported, ownerId: "acme", scopes: ["vehicles:read"] });
    expect((await verifier.verify(requestWith(imported))).ok).toBe(true);
  });

  it("applies maxLifetime to new keys", async () => {
    const { keys } = keybearer({ store: memoryStore(), scopes, format, maxLifetime: "1d" });
    const { key } = await keys.create(input);
    expect(key.expiresAt?.getTime()).toBe((key.createdAt?.getTime() ?? 0) + 86_400_000);
  });

  it("writes the last use before close() resolves", async () => {
    const { verifier, keys, close } = keybearer({ store: memoryStore(), scopes, format });
    const { secret, key } = await keys.create(input);
    await verifier.verify(requestWith(secret));
    expect((await keys.get(key.id))?.lastUsedAt).toBeNull();
    await close();
    expect((await keys.get(key.id))?.lastUsedAt).toBeInstanceOf(Date);
    await close();
  });

  it("does not track the last use with lastUsed: false", async () => {
    const { verifier, keys, close } = keybearer({ store: memoryStore(), scopes, format, lastUsed: false });
    const { secret, key } = await keys.create(input);
    await verifier.verify(requestWith(secret));
    await close();
    expect((await keys.get(key.id))?.lastUsedAt).toBeNull();
  });

  it("passes options to lastUsed", async () => {
    const onError = vi.fn();
    const store = { ...memoryStore(), touch: () => Promise.reject(new Error("down")) };
    const { verifier, keys, close } = keybearer({
      store,
      scopes,
      format,
      lastUsed: { onError, closeTimeout: "20ms" },
    });
    const { secret } = await keys.create(input);
    await verifier.verify(requestWith(secret));
    await expect(close()).rejects.toThrow();
    expect(onError).toHaveBeenCalled();
  });

  const good = { store: memoryStore(), scopes, format };
  it.each<[string, unknown, RegExp]>([
    ["an unknown option", { ...good, maxLifetim: "1d" }, /^keybearer: unknown option "maxLifetim"/],
    ["observers that are not an array", { ...good, observers: null }, /^keybearer: "observers"/],
    ["lastUsed of a wrong type", { ...good, lastUsed: "yes" }, /^keybearer: "lastUsed".*received a string/],
    ["an unset pepper", { ...good, pepper: undefined }, /"pepper" is undefined/],
    ["an unset maxLifetime", { ...good, maxLifetime: undefined }, /"maxLifetime" is undefined/],
    ["an unset environment", { ...good, environment: undefined }, /"environment" is undefined/],
    ["no format", { ...good, format: [] }, /"format"/],
    ["no store", { scopes, format }, /"store"/],
  ])("throws a TypeError for %s", (_, options, message) => {
    expect(() => keybearer(options as KeybearerOptions)).toThrow(TypeError);
    expect(() => keybearer(options as KeybearerOptions)).toThrow(message);
  });
});
