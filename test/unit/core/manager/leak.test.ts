import { describe, expect, it } from "vitest";
import {
  createKeyManager,
  hashSecret,
  KeyInputError,
  type KeyManagerOptions,
  KeyNotFoundError,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { bearer, type FleetScope, format, START, scopes, service } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const PLACE = { source: "github", type: "commit", url: "https://github.example/a/b/blob/1/c.env" };

function managing(options: Partial<KeyManagerOptions<FleetScope>> = {}) {
  const store = options.store ?? memoryStore();
  return createKeyManager({ store, scopes, format, ...options });
}

describe("identify", () => {
  it("returns the keys of secrets in order, ended ones too, and undefined for other strings", async () => {
    const { manager } = service();
    const [first, second] = [await manager.create(INPUT), await manager.create(INPUT)];
    await manager.revoke(second.key.id);
    const secrets = [second.secret, "no secret", first.secret, format.generate("live"), second.secret];
    const found = await manager.identify(secrets);
    expect(found.map((key) => key?.id)).toEqual([
      second.key.id,
      undefined,
      first.key.id,
      undefined,
      second.key.id,
    ]);
    expect(found[0]?.status).toBe("revoked");
    expect(await manager.identify([])).toEqual([]);
  });

  it("looks up batches of 500 hashes, each once", async () => {
    const store = memoryStore();
    const sizes: number[] = [];
    const findManyByHash: NonNullable<typeof store.findManyByHash> = (hashes) => {
      sizes.push(hashes.length);
      return hashes.map((hash) => store.findByHash(hash) as never);
    };
    const manager = managing({ store: { ...store, findManyByHash } });
    const { secret, key } = await manager.create(INPUT);
    const others = Array.from({ length: 1_200 }, () => format.generate("live"));
    const found = await manager.identify([...others, secret, ...others]);
    expect(sizes).toEqual([500, 500, 201]);
    expect(found[1_200]?.id).toBe(key.id);
    expect(found.filter((one) => one !== undefined)).toHaveLength(1);
  });

  it("finds keys of older peppers and legacy hashes", async () => {
    const store = memoryStore();
    const old = await managing({ store, pepper: { current: "v1", keys: { v1: "0123456789abcdef" } } }).create(
      INPUT,
    );
    const legacyHashes = [{ name: "old", hash: (secret: string) => hashSecret(`x${secret}`) }];
    const imported = format.generate("live");
    const pepper = { current: "v2", keys: { v1: "0123456789abcdef", v2: "fedcba9876543210" } };
    const manager = managing({ store, pepper, legacyHashes });
    const key = await manager.import({ ...INPUT, hash: hashSecret(`x${imported}`), hashedBy: "old" });
    const found = await manager.identify([imported, old.secret]);
    expect(found.map((one) => one?.id)).toEqual([key.id, old.key.id]);
  });

  it("rejects what is not an array of at most 10,000 strings, and a store that returns other records", async () => {
    const manager = managing();
    for (const secrets of [undefined, "secret", [1], [""], Array(10_001).fill("a")]) {
      await expect(manager.identify(secrets as never)).rejects.toBeInstanceOf(KeyInputError);
    }
    const store = memoryStore();
    const { secret } = await managing({ store }).create(INPUT);
    const { hash } = (await store.findByHash(hashSecret(secret))) ?? {};
    for (const findManyByHash of [() => [], () => [{ id: "a" }], () => [store.findByHash(hash as never)]]) {
      const broken = managing({ store: { ...store, findManyByHash: findManyByHash as never } });
      await expect(broken.identify([format.generate("live")])).rejects.toBeInstanceOf(StoreError);
    }
  });
});

describe("reportLeak", () => {
  it("revokes the key with the reason leaked, and keeps the place in the entry of the revocation", async () => {
    const { manager, verifier, events, clock } = service();
    const { key, secret } = await manager.create(INPUT);
    events.length = 0;
    clock.set(START.getTime() + 5);
    const result = await manager.reportLeak(key.id, { ...PLACE, actor: "scanner" });
    expect(result).toMatchObject({ outcome: "revoked", key: { status: "revoked", revokedReason: "leaked" } });
    expect((await verifier.verify(bearer(secret))).ok).toBe(false);
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(items.map(({ action }) => action)).toEqual(["revoked", "created"]);
    expect(items[0]).toMatchObject({ actor: "scanner", details: { reason: "leaked", leak: PLACE } });
    expect(events.map(({ type }) => type).slice(0, 2)).toEqual(["key.revoked", "key.leaked"]);
    expect(events[1]).toMatchObject({ keyId: key.id, details: { leak: PLACE, outcome: "revoked" } });
    expect(JSON.stringify([items, events])).not.toContain(secret);
  });

  it("disables the key as the operator, so that its owner cannot enable it", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    await manager.disable(key.id, { by: "owner" });
    const result = await manager.reportLeak(key.id, { ...PLACE, action: "disable" });
    expect(result).toMatchObject({ outcome: "disabled", key: { disabledBy: "operator" } });
    await expect(manager.enable(key.id, { by: "owner" })).rejects.toThrow("only the operator");
    expect((await manager.enable(key.id)).status).toBe("active");
  });

  it("records a place once, and changes nothing, with the action report or for a revoked key", async () => {
    const { manager, events } = service();
    const { key } = await manager.create(INPUT);
    const report = (more = {}) => manager.reportLeak(key.id, { source: "ci", action: "report", ...more });
    expect((await report()).outcome).toBe("recorded");
    expect((await report()).outcome).toBe("repeated");
    expect((await report({ url: "https://x.example/" })).outcome).toBe("recorded");
    expect((await manager.get(key.id))?.version).toBe(1);
    expect((await manager.reportLeak(key.id, PLACE)).outcome).toBe("revoked");
    expect((await manager.reportLeak(key.id, PLACE)).outcome).toBe("repeated");
    expect((await manager.reportLeak(key.id, { source: "b" })).outcome).toBe("recorded");
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(items.map(({ action }) => action).sort()).toEqual([
      "created",
      "leaked",
      "leaked",
      "leaked",
      "revoked",
    ]);
    expect(events.filter(({ type }) => type === "key.leaked")).toHaveLength(4);
  });

  it("revokes the descendants if asked to", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const { key: child } = await manager.create(INPUT, { createdByKey: key.id });
    await manager.reportLeak(key.id, PLACE);
    expect((await manager.get(child.id))?.status).toBe("active");
    await manager.reportLeak(key.id, { ...PLACE, descendants: true });
    expect(await manager.get(child.id)).toMatchObject({ status: "revoked", revokedReason: "leaked" });
  });

  it("rejects unknown keys, invalid options and a store without appendAudit", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    for (const action of ["revoke", "disable", "report"] as const) {
      await expect(manager.reportLeak("key_unknown", { ...PLACE, action })).rejects.toBeInstanceOf(
        KeyNotFoundError,
      );
    }
    for (const options of [
      {},
      { source: "" },
      { source: "a\nb" },
      { source: "a", url: "x".repeat(2_049) },
      { source: "a", action: "delete" },
      { source: "a", descendants: 1 },
      { source: "a", action: "report", descendants: true },
      { source: "a", token: "b" },
    ]) {
      await expect(
        manager.reportLeak(key.id, options as never),
        JSON.stringify(options),
      ).rejects.toBeInstanceOf(KeyInputError);
    }
    const { appendAudit, ...store } = memoryStore();
    await expect(managing({ store }).reportLeak(key.id, PLACE)).rejects.toThrow("appendAudit");
    expect((await manager.get(key.id))?.status).toBe("active");
  });

  it("one of several concurrent reports revokes the key", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const reports = Array.from({ length: 20 }, () => manager.reportLeak(key.id, PLACE));
    const outcomes = (await Promise.all(reports)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === "revoked")).toHaveLength(1);
    expect(new Set(outcomes)).toEqual(new Set(["revoked", "repeated"]));
  });
});
