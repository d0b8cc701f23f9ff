import { describe, expect, it } from "vitest";
import { type ApiKey, createKeyManager, type ManagedKeyStore } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { format, scopes, service, stoppedClock, thrownBy } from "../fixtures.js";
import { INPUT } from "./fixtures.js";

const CHANGES = ["update", "disable", "enable", "revoke", "rotate"] as const;
type Options = { check?: (key: ApiKey) => void | PromiseLike<void> };

describe("check", () => {
  const change = (
    manager: ReturnType<typeof service>["manager"],
    method: (typeof CHANGES)[number],
    id: string,
    options: Options,
  ) => (method === "update" ? manager.update(id, { name: "new" }, options) : manager[method](id, options));

  it.each(CHANGES)("%s: passes the key as it is before the change", async (method) => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const seen: ApiKey[] = [];
    await change(manager, method, key.id, { check: (current) => void seen.push(current) });
    expect(seen).toEqual([key]);
    expect(seen[0]).not.toHaveProperty("hash");
  });

  it.each(CHANGES)("%s: writes nothing if the check throws or rejects", async (method) => {
    const { manager, store } = service();
    const { key } = await manager.create(INPUT);
    const record = await store.findById(key.id);
    const denied = new Error("denied");
    const deny = () => {
      throw denied;
    };
    for (const check of [deny, async () => deny()]) {
      expect(await thrownBy(() => change(manager, method, key.id, { check }))).toBe(denied);
    }
    expect(await store.findById(key.id)).toEqual(record);
    expect((await manager.list()).items).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  it.each(CHANGES)("%s: rejects a check that is present but not a function", async (method) => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    for (const check of [undefined, null, true, "check"]) {
      const options = { check } as unknown as Options;
      const error = await thrownBy(() => change(manager, method, key.id, options));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain('"check" must be a function');
    }
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  it("runs before the state of the key is checked, and only for an existing key", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    await manager.revoke(key.id);
    const check = () => {
      throw new Error("denied");
    };
    expect(String(await thrownBy(() => manager.rotate(key.id, { check })))).toBe("Error: denied");
    expect(String(await thrownBy(() => manager.rotate("unknown", { check })))).toContain(
      "No key has this id",
    );
  });

  it("runs again after a conflict with a concurrent change", async () => {
    const inner = memoryStore();
    let concurrentChange: (() => Promise<unknown>) | undefined;
    const changeOnce = async () => {
      const change = concurrentChange;
      concurrentChange = undefined;
      await change?.();
    };
    const store: ManagedKeyStore = {
      ...inner,
      replace: async (...args) => {
        await changeOnce();
        return inner.replace(...args);
      },
    };
    const options = { scopes, format, clock: stoppedClock().now };
    const others = createKeyManager({ store: inner, ...options });
    const manager = createKeyManager({ store, ...options });
    const { key } = await manager.create({ ...INPUT, ipAllowlist: ["10.0.0.0/8"] });
    concurrentChange = () => others.update(key.id, { ipAllowlist: null });
    const seen: unknown[] = [];
    const check = ({ ipAllowlist }: ApiKey) => {
      seen.push(ipAllowlist);
      if (ipAllowlist === null) throw new Error("wider");
    };
    expect(String(await thrownBy(() => manager.rotate(key.id, { check })))).toBe("Error: wider");
    expect(seen).toEqual([["10.0.0.0/8"], null]);
    expect((await manager.list()).items).toHaveLength(1);
  });
});
