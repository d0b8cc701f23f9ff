import { describe, expect, test } from "vitest";
import { type ApiKey, createKeyManager, type ManagedKeyStore } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { type FleetScope, format, scopes, service, stoppedClock, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"] as FleetScope[], environment: "live" };
const CHANGES = ["update", "disable", "enable", "revoke", "rotate"] as const;
type Options = { check?: (key: ApiKey) => void | PromiseLike<void> };

describe("check", () => {
  const change = (
    manager: ReturnType<typeof service>["manager"],
    method: (typeof CHANGES)[number],
    id: string,
    options: Options,
  ) => (method === "update" ? manager.update(id, { name: "new" }, options) : manager[method](id, options));

  test.each(CHANGES)("%s: is shown the key as it is before the change", async (method) => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const seen: ApiKey[] = [];
    await change(manager, method, key.id, { check: (one) => void seen.push(one) });
    expect(seen).toEqual([key]);
    expect(seen[0]).not.toHaveProperty("hash");
  });

  test.each(CHANGES)("%s: nothing is written when it throws or rejects", async (method) => {
    const { manager, store } = service();
    const { key } = await manager.create(INPUT);
    const record = await store.findById(key.id);
    const no = new Error("no");
    const refuse = () => {
      throw no;
    };
    for (const check of [refuse, async () => refuse()]) {
      expect(await thrownBy(() => change(manager, method, key.id, { check }))).toBe(no);
    }
    expect(await store.findById(key.id)).toEqual(record);
    expect((await manager.list()).items).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  test.each(CHANGES)("%s: one that is there but empty is refused", async (method) => {
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

  test("is asked before the state of the key is, and not for a key that is not there", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    await manager.revoke(key.id);
    const check = () => {
      throw new Error("no");
    };
    expect(String(await thrownBy(() => manager.rotate(key.id, { check })))).toBe("Error: no");
    expect(String(await thrownBy(() => manager.rotate("none", { check })))).toContain("No key has this id");
  });

  test("is asked again about what others made of the key meanwhile", async () => {
    const inner = memoryStore();
    let meddle: (() => Promise<unknown>) | undefined;
    const meddled = async () => {
      const first = meddle;
      meddle = undefined;
      await first?.();
    };
    const store: ManagedKeyStore = {
      ...inner,
      replace: async (...args) => {
        await meddled();
        return inner.replace(...args);
      },
    };
    const options = { scopes, format, clock: stoppedClock().now };
    const others = createKeyManager({ store: inner, ...options });
    const manager = createKeyManager({ store, ...options });
    const { key } = await manager.create({ ...INPUT, ipAllowlist: ["10.0.0.0/8"] });
    meddle = () => others.update(key.id, { ipAllowlist: null });
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
