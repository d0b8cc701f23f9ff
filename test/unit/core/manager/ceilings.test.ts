import { describe, expect, it } from "vitest";
import { createKeyManager, KeyLimitError, type ManagedKeyStore } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { format, START, scopes, stoppedClock, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const later = (ms: number) => new Date(START.getTime() + ms);

function managing(options: object = {}) {
  const clock = stoppedClock();
  const store = memoryStore();
  return { clock, store, manager: createKeyManager({ store, scopes, format, clock: clock.now, ...options }) };
}

describe("maxKeysPerOwner", () => {
  it("counts imports and overlaps, and stays exact for concurrent creations", async () => {
    const { manager } = managing({ maxKeysPerOwner: 3 });
    const { key } = await manager.create(INPUT);
    await manager.import({ ...INPUT, secret: format.generate("live") });
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => manager.create(INPUT)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const imported = () => manager.import({ ...INPUT, secret: format.generate("live") });
    for (const refused of [imported, () => manager.rotate(key.id, { overlap: "1h" })]) {
      expect(await thrownBy(refused)).toMatchObject({ code: "KEYBEARER_KEY_LIMIT", limit: "keys", max: 3 });
    }
    await manager.rotate(key.id);
    expect(await thrownBy(() => manager.create(INPUT))).toBeInstanceOf(KeyLimitError);
    await manager.create({ ...INPUT, ownerId: "globex" });
  });

  it("frees the place of a key that is revoked, expired or purged, and takes it again if the key is renewed", async () => {
    const { manager, clock } = managing({ maxKeysPerOwner: 2 });
    const first = await manager.create({ ...INPUT, expiresAt: later(1000) });
    const second = await manager.create(INPUT);
    clock.set(later(1000));
    const third = await manager.create(INPUT);
    const renewed = () => manager.update(first.key.id, { expiresAt: later(5000) });
    expect(await thrownBy(renewed)).toBeInstanceOf(KeyLimitError);
    await manager.revoke(second.key.id);
    expect((await renewed()).status).toBe("active");
    expect(await thrownBy(() => manager.create(INPUT))).toBeInstanceOf(KeyLimitError);
    await manager.disable(third.key.id);
    expect(await thrownBy(() => manager.create(INPUT))).toBeInstanceOf(KeyLimitError);
  });

  it("is 1,000 by default, and none with Infinity", async () => {
    const [limited, unlimited] = [managing().manager, managing({ maxKeysPerOwner: Infinity }).manager];
    for (const manager of [limited, unlimited]) for (let i = 0; i < 1_000; i++) await manager.create(INPUT);
    expect(await thrownBy(() => limited.create(INPUT))).toMatchObject({ limit: "keys", max: 1_000 });
    await unlimited.create(INPUT);
  });
});

describe("maxBytesPerOwner", () => {
  const metadata = { note: "x".repeat(89) }; // 100 bytes as JSON

  it("limits the allowlists and metadata of new and changed keys", async () => {
    const { manager } = managing({ maxBytesPerOwner: 250 });
    const { key } = await manager.create({ ...INPUT, metadata });
    const other = await manager.create({ ...INPUT, metadata });
    const ipAllowlist = Array.from({ length: 10 }, (_, index) => `10.0.${index}.0/24`);
    for (const refused of [
      () => manager.create({ ...INPUT, metadata }),
      () => manager.update(key.id, { ipAllowlist }),
      () => manager.rotate(key.id, { overlap: "1h" }),
    ]) {
      expect(await thrownBy(refused)).toMatchObject({
        code: "KEYBEARER_KEY_LIMIT",
        limit: "bytes",
        max: 250,
      });
    }
    await manager.create(INPUT);
    await manager.update(key.id, { name: "renamed", metadata: { note: "y".repeat(89) } });
    await manager.rotate(key.id);
    await manager.update(other.key.id, { metadata: null });
    await manager.create({ ...INPUT, metadata });
  });
});

describe("a store without suspendOwner", () => {
  const { suspendOwner: _, resumeOwner: __, ...bare } = memoryStore();

  it("has no ceilings, and setting one is a TypeError", () => {
    const create = (options: object) =>
      createKeyManager({ store: bare as ManagedKeyStore, scopes, format, ...options });
    create({});
    for (const name of ["maxKeysPerOwner", "maxBytesPerOwner"]) {
      expect(() => create({ [name]: 10 })).toThrow(`"${name}" has no effect, because "store" has no methods`);
    }
  });

  it("rejects suspendOwner and resumeOwner", async () => {
    const manager = createKeyManager({ store: bare as ManagedKeyStore, scopes, format });
    for (const method of ["suspendOwner", "resumeOwner"] as const) {
      expect(await thrownBy(() => manager[method]("acme"))).toEqual(
        new TypeError(`${method}: "store" must have a method ${method}()`),
      );
    }
  });
});

describe("invalid ceilings", () => {
  it.each([0, 1.5, Number.NaN, "10", null])("maxKeysPerOwner: %s is rejected", (maxKeysPerOwner) => {
    expect(() => managing({ maxKeysPerOwner })).toThrow(
      'createKeyManager: "maxKeysPerOwner" must be an integer',
    );
  });

  it.each(["maxKeysPerOwner", "maxBytesPerOwner", "maxOverlap"])("%s: undefined is rejected", (name) => {
    expect(() => managing({ [name]: undefined })).toThrow(`"${name}" is undefined; omit it`);
  });
});
