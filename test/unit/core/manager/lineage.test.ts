import { describe, expect, it } from "vitest";
import {
  type IssuedKey,
  KeyInputError,
  type KeyManager,
  KeyNotFoundError,
  KeyStateError,
  type ManagedKeyStore,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { createManager, INPUT } from "./fixtures.js";

type Manager = ReturnType<typeof createManager>["manager"];

/** Creates a key that another key created. */
const child = (manager: Manager, { key }: IssuedKey, more: object = {}) =>
  manager.create({ ...INPUT, ...more }, { actor: key.id, createdByKey: key.id });

async function aliveOf(manager: KeyManager, query = {}): Promise<string[]> {
  const { items } = await manager.list({ limit: 1_000, ...query });
  return items.filter(({ status }) => status !== "revoked").map(({ id }) => id);
}

describe("the creator of a key", () => {
  it("is the actor and the key of the creation, and stays after a rotation", async () => {
    const { manager, store } = createManager();
    const creator = await manager.create(INPUT, "ann");
    expect(creator.key).toMatchObject({ createdBy: "ann", createdByKey: null, rotationRoot: null });
    const made = await child(manager, creator);
    expect(made.key).toMatchObject({ createdBy: creator.key.id, createdByKey: creator.key.id });
    const second = await manager.rotate(made.key.id, { actor: "bob" });
    const third = await manager.rotate(second.key.id, { actor: "bob" });
    for (const { key } of [second, third]) {
      expect(key).toMatchObject({
        createdBy: creator.key.id,
        createdByKey: creator.key.id,
        rotationRoot: made.key.id,
      });
      expect(await store.findById(key.id)).toMatchObject({ createdByKey: creator.key.id });
    }
    expect(await aliveOf(manager, { createdByKey: creator.key.id })).toHaveLength(3);
    const { items } = await manager.auditTrail({ actor: creator.key.id });
    expect(items).toMatchObject([{ action: "created", keyId: made.key.id }]);
  });

  it("must exist and not be revoked", async () => {
    const { manager } = createManager();
    const creator = await manager.create(INPUT);
    await manager.revoke(creator.key.id);
    await expect(child(manager, creator)).rejects.toBeInstanceOf(KeyStateError);
    await expect(manager.create(INPUT, { createdByKey: "unknown" })).rejects.toBeInstanceOf(KeyStateError);
    await expect(manager.create(INPUT, { createdByKey: "" })).rejects.toThrow(
      "createdByKey must not be empty",
    );
    await expect(manager.create(INPUT, { madeBy: "x" } as never)).rejects.toThrow("madeBy");
    await expect(
      manager.import({ ...INPUT, hash: "0".repeat(64) }, { createdByKey: "x" } as never),
    ).rejects.toThrow("createdByKey is not a known member of import");
    expect((await manager.list()).items).toHaveLength(1);
  });
});

describe("a rotation that another key asks for", () => {
  it("makes that key the creator of the successor, so that its revocation takes it", async () => {
    const { manager } = createManager();
    const [leaked, other] = [await manager.create(INPUT, "ann"), await manager.create(INPUT, "ann")];
    const by = { actor: leaked.key.id, createdByKey: leaked.key.id, overlap: "30d" } as const;
    const { key } = await manager.rotate(other.key.id, by);
    expect(key).toMatchObject({
      createdBy: leaked.key.id,
      createdByKey: leaked.key.id,
      replaces: other.key.id,
    });
    await manager.revoke(leaked.key.id, { descendants: true });
    expect(await aliveOf(manager)).toEqual([other.key.id]);
    await expect(manager.rotate(other.key.id, by)).rejects.toThrow("is revoked or does not exist");
  });

  it("keeps the creator if the key is of the same rotation chain", async () => {
    const { manager } = createManager();
    const first = await manager.create(INPUT, "ann");
    const second = await manager.rotate(first.key.id, { createdByKey: first.key.id, actor: first.key.id });
    const third = await manager.rotate(second.key.id, { createdByKey: second.key.id, actor: second.key.id });
    for (const { key } of [second, third])
      expect(key).toMatchObject({ createdBy: "ann", createdByKey: null });
  });

  it("returns no secret if the key is revoked before the successor is written", async () => {
    const { manager, store } = createManager();
    const [leaked, other] = [await manager.create(INPUT), await manager.create(INPUT)];
    const late: ManagedKeyStore = {
      ...store,
      replace: async (...args) => {
        await manager.revoke(leaked.key.id, { descendants: true });
        return store.replace(...args);
      },
    };
    const rotation = createManager({ store: late }).manager.rotate(other.key.id, {
      createdByKey: leaked.key.id,
    });
    await expect(rotation).rejects.toBeInstanceOf(KeyStateError);
    const { items } = await manager.list({ createdByKey: leaked.key.id });
    expect(items).toMatchObject([{ status: "revoked", revokedReason: "its creator was revoked" }]);
  });
});

describe("revoke with descendants", () => {
  it("revokes the key and everything made from it, and nothing else", async () => {
    const { manager } = createManager();
    const root = await manager.create(INPUT);
    const other = await manager.create(INPUT);
    const own = await child(manager, other);
    const first = await child(manager, root);
    const grandchild = await child(manager, first, { ownerId: "globex" });
    const rotated = await manager.rotate(grandchild.key.id, { overlap: "1h" });
    await child(manager, rotated);
    await manager.revoke(first.key.id, { reason: "old", actor: "bob" });
    const key = await manager.revoke(root.key.id, { descendants: true, reason: "leaked", actor: "ann" });
    expect(key).toMatchObject({ id: root.key.id, status: "revoked", revokedReason: "leaked" });
    expect((await aliveOf(manager)).sort()).toEqual([other.key.id, own.key.id].sort());
    expect((await manager.get(first.key.id))?.revokedReason).toBe("old");
    expect((await manager.auditTrail({ keyId: rotated.key.id })).items).toMatchObject([
      { action: "revoked", actor: "ann", details: { reason: "leaked" } },
    ]);
    expect((await manager.auditTrail({ keyId: first.key.id })).items).toHaveLength(2);
  });

  it("takes the other keys of the rotation chain, and what they made", async () => {
    for (const position of [0, 1, 2]) {
      const { manager } = createManager();
      const first = await manager.create(INPUT);
      const early = await child(manager, first);
      const second = await manager.rotate(first.key.id, { overlap: "1h" });
      const middle = await child(manager, second);
      const third = await manager.rotate(second.key.id, { overlap: "1h" });
      const late = await child(manager, third);
      const { key: leaked } = [first, second, third][position] as IssuedKey;
      await manager.revoke(leaked.id, { descendants: true });
      for (const { key } of [first, second, third, early, middle, late]) {
        expect((await manager.get(key.id))?.status).toBe("revoked");
      }
    }
  });

  it("follows a rotation chain whose first keys were purged", async () => {
    const { manager, store, clock } = createManager();
    const first = await manager.create(INPUT);
    const second = await manager.rotate(first.key.id);
    const early = await child(manager, second);
    const third = await manager.rotate(second.key.id);
    const fourth = await manager.rotate(third.key.id);
    clock.set(new Date(clock.now().getTime() + 1_000));
    expect(await manager.purge({ retention: "0s" })).toEqual({ purged: 2 }); // not the second: it made a key
    expect(await store.findById(third.key.id)).toBeUndefined();
    await manager.revoke(fourth.key.id, { descendants: true });
    expect(await aliveOf(manager)).toEqual([]);
    expect((await manager.get(early.key.id))?.status).toBe("revoked");
  });

  it("can be repeated after it failed at any call", async () => {
    for (let fails = 1; ; fails++) {
      let calls = 0;
      const inner = memoryStore();
      const counted =
        <A extends unknown[], R>(method: (...args: A) => R) =>
        (...args: A): R => {
          calls += 1;
          if (calls === fails) throw new Error("crashed");
          return method(...args);
        };
      const setUp = createManager({ store: inner }).manager;
      const store = { ...inner, ...{ list: counted(inner.list), update: counted(inner.update) } };
      const { manager } = createManager({ store: store as ManagedKeyStore });
      const root = await setUp.create(INPUT);
      const made = [await child(setUp, root), await child(setUp, root)];
      for (const one of [...made]) made.push(await child(setUp, one));
      const error = await manager.revoke(root.key.id, { descendants: true }).catch((reason) => reason);
      if (!(error instanceof StoreError)) break;
      await manager.revoke(root.key.id, { descendants: true });
      expect(await aliveOf(setUp)).toEqual([]);
      expect(fails).toBeLessThan(50);
    }
  });

  it("ends although the records of a damaged store refer to each other", async () => {
    const { manager, store } = createManager();
    const root = await manager.create(INPUT);
    const made = await child(manager, root);
    const record = (await store.findById(root.key.id)) as NonNullable<
      Awaited<ReturnType<typeof store.findById>>
    >;
    const circular: ManagedKeyStore = {
      ...store,
      list: async (query) => {
        const page = await store.list(query);
        const again = { ...record, createdByKey: made.key.id };
        return query.createdByKey === made.key.id ? { ...page, items: [again] } : page;
      },
    };
    await createManager({ store: circular }).manager.revoke(root.key.id, { descendants: true });
    expect(await aliveOf(manager)).toEqual([]);
  });

  it("walks a wide and deep tree page by page", async () => {
    const { manager, store } = createManager();
    const root = await manager.create(INPUT);
    for (let index = 0; index < 250; index++) await child(manager, root);
    let parent = root;
    for (let depth = 0; depth < 50; depth++) parent = await child(manager, parent);
    const limits = new Set<number>();
    const spied: ManagedKeyStore = {
      ...store,
      list: (query) => {
        limits.add(query.limit);
        return store.list(query);
      },
    };
    await createManager({ store: spied }).manager.revoke(root.key.id, { descendants: true });
    expect(await aliveOf(manager)).toEqual([]);
    expect(Math.max(...limits)).toBeLessThanOrEqual(100);
  });

  it("revokes every other key and names those that cannot be read", async () => {
    const { manager, store } = createManager();
    const root = await manager.create(INPUT);
    const damaged = await child(manager, root);
    const below = await child(manager, damaged);
    const page = async (query: Parameters<typeof store.list>[0]) => {
      const { items, ...rest } = await store.list(query);
      const readable = items.filter(({ id }) => id !== damaged.key.id);
      return {
        ...rest,
        items: readable,
        ...(readable.length < items.length && { damaged: [damaged.key.id] }),
      };
    };
    const other = createManager({ store: { ...store, list: page } }).manager;
    await expect(other.revoke(root.key.id, { descendants: true })).rejects.toThrow(damaged.key.id);
    expect((await manager.get(below.key.id))?.status).toBe("revoked");
  });

  it("checks the key, and rejects unknown keys and other values", async () => {
    const { manager } = createManager();
    const root = await manager.create(INPUT);
    const made = await child(manager, root);
    const check = () => {
      throw new RangeError("not yours");
    };
    await expect(manager.revoke(root.key.id, { descendants: true, check })).rejects.toThrow("not yours");
    await expect(manager.revoke("unknown", { descendants: true })).rejects.toBeInstanceOf(KeyNotFoundError);
    await expect(manager.revoke(root.key.id, { descendants: "yes" as never })).rejects.toThrow(
      "descendants must be true or false",
    );
    await manager.revoke(root.key.id, { descendants: false });
    expect(await aliveOf(manager)).toEqual([made.key.id]);
  });
});

describe("revokeAll", () => {
  it("revokes the keys of an owner and everything they made, and counts them", async () => {
    const { manager } = createManager();
    const root = await manager.create(INPUT);
    const elsewhere = await child(manager, root, { ownerId: "globex" });
    const other = await manager.create({ ...INPUT, ownerId: "globex" });
    await manager.revoke((await manager.create(INPUT)).key.id);
    expect(await manager.revokeAll({ ownerId: "acme" }, { reason: "ended", actor: "ann" })).toEqual({
      revoked: 2,
    });
    expect(await aliveOf(manager)).toEqual([other.key.id]);
    expect((await manager.auditTrail({ keyId: elsewhere.key.id })).items[0]).toMatchObject({
      action: "revoked",
      actor: "ann",
      details: { reason: "ended" },
    });
    expect(await manager.revokeAll({ ownerId: "acme" })).toEqual({ revoked: 0 });
  });

  it("revokes what a key and its rotations made, but not the key", async () => {
    const { manager } = createManager();
    const root = await manager.create(INPUT);
    await child(manager, await child(manager, root));
    const next = await manager.rotate(root.key.id, { overlap: "1h" });
    await child(manager, next);
    expect(await manager.revokeAll({ createdByKey: next.key.id })).toEqual({ revoked: 3 });
    expect(await aliveOf(manager)).toEqual([next.key.id, root.key.id].sort().reverse());
    expect(await manager.revokeAll({ createdByKey: "unknown" })).toEqual({ revoked: 0 });
  });

  it("rejects any other filter, so that a missing value does not revoke everything", async () => {
    const { manager } = createManager();
    await manager.create(INPUT);
    for (const filter of [
      {},
      undefined,
      { ownerId: undefined },
      { ownerId: "" },
      { ownerId: "acme", createdByKey: "x" },
      { environment: "live" },
    ]) {
      await expect(manager.revokeAll(filter as never)).rejects.toBeInstanceOf(KeyInputError);
    }
    await expect(manager.revokeAll({ ownerId: "acme" }, { why: "x" } as never)).rejects.toThrow("why");
    expect(await aliveOf(manager)).toHaveLength(1);
  });
});

describe("a key that the operator disabled", () => {
  it("cannot be enabled by its owner, also not after the owner disabled it first", async () => {
    const { manager } = createManager();
    const { key } = await manager.create(INPUT);
    expect(await manager.disable(key.id, { by: "owner" })).toMatchObject({ disabledBy: "owner" });
    const { disabledAt, disabledBy } = await manager.disable(key.id);
    expect([disabledAt, disabledBy]).toEqual([expect.any(Date), "operator"]);
    await manager.disable(key.id, { by: "owner" });
    await expect(manager.enable(key.id, { by: "owner" })).rejects.toThrow("only the operator can enable it");
    const { key: successor } = await manager.rotate(key.id);
    expect(successor).toMatchObject({ status: "disabled", disabledBy: "operator" });
    await expect(manager.enable(successor.id, { by: "owner" })).rejects.toBeInstanceOf(KeyStateError);
    expect(await manager.enable(successor.id)).toMatchObject({ disabledAt: null, disabledBy: null });
    expect(
      (await manager.auditTrail({ keyId: key.id })).items.map(({ action, details }) => [action, details.by]),
    ).toEqual([
      ["rotated", undefined],
      ["disabled", "operator"],
      ["disabled", "owner"],
      ["created", undefined],
    ]);
  });

  it("counts as disabled by the operator if the record does not say", async () => {
    const { manager, store } = createManager();
    const { key } = await manager.create(INPUT);
    await manager.disable(key.id);
    const record = await store.findById(key.id);
    for (const disabledBy of [null, undefined, "OWNER"]) {
      const old = { ...store, findById: () => ({ ...record, disabledBy }) } as unknown as ManagedKeyStore;
      const other = createManager({ store: old }).manager;
      await expect(other.enable(key.id, { by: "owner" })).rejects.toBeInstanceOf(KeyStateError);
    }
    await expect(manager.enable(key.id, { by: "admin" as never })).rejects.toThrow(
      'by must be "owner" or "operator"',
    );
  });

  it("can be enabled by its owner if the owner disabled it", async () => {
    const { manager } = createManager();
    const { key } = await manager.create(INPUT);
    await manager.disable(key.id, { by: "owner" });
    expect(await manager.enable(key.id, { by: "owner" })).toMatchObject({ status: "active" });
  });
});
