import { describe, expect, it } from "vitest";
import { createKeyManager, type IssuedKey, type KeyManager, StoreError } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { format, scopes, service, thrownBy } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

type Issue = (manager: KeyManager, options: object) => Promise<IssuedKey>;

const METHODS: [string, Issue][] = [
  ["create", (manager, options) => manager.create(INPUT, options)],
  [
    "rotate",
    async (manager, options) => {
      const { items } = await manager.list();
      const { id } = items[0] ?? (await manager.create(INPUT)).key;
      return manager.rotate(id, options);
    },
  ],
];

describe.each(METHODS)("beforeCommit of %s", (_, issue) => {
  it("receives the key that is returned, before the store has it", async () => {
    const { manager, store } = service();
    const seen: [IssuedKey, unknown][] = [];
    const beforeCommit = async (issued: IssuedKey) => {
      seen.push([issued, await store.findById(issued.key.id)]);
    };
    const issued = await issue(manager, { beforeCommit, actor: "ann" });
    expect(seen).toEqual([[issued, undefined]]);
    expect(await manager.get(issued.key.id)).toEqual(issued.key);
    expect((await manager.auditTrail()).items[0]?.actor).toBe("ann");
  });

  it.each([
    [
      "throws",
      () => {
        throw new RangeError("no");
      },
    ],
    ["rejects", () => Promise.reject(new RangeError("no"))],
  ])("prevents the write if it %s", async (_name, beforeCommit) => {
    const { manager } = service();
    await manager.create(INPUT);
    const before = await manager.list();
    expect(await thrownBy(() => issue(manager, { beforeCommit }))).toEqual(new RangeError("no"));
    expect(await manager.list()).toEqual(before);
  });

  it("must be a function", async () => {
    const { manager } = service();
    for (const beforeCommit of [undefined, null, {}]) {
      const error = await thrownBy(() => issue(manager, { beforeCommit }));
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).toContain('"beforeCommit" must be a function');
    }
  });
});

it("calls beforeCommit of a rotation again after a conflict, with the key that is then stored", async () => {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format });
  const { key } = await manager.create(INPUT);
  const seen: string[] = [];
  const { key: next } = await manager.rotate(key.id, {
    beforeCommit: async (issued) => {
      seen.push(issued.key.id);
      if (seen.length === 1) await manager.update(key.id, { name: "meanwhile" });
    },
  });
  expect(seen).toEqual([expect.not.stringMatching(next.id), next.id]);
  expect(next.name).toBe("meanwhile");
});

it("calls beforeCommit before a write whose outcome is unknown", async () => {
  const store = memoryStore();
  const insert: typeof store.insert = async (...parameters) => {
    await store.insert(...parameters);
    throw new Error("connection lost");
  };
  const manager = createKeyManager({ store: { ...store, insert }, scopes, format });
  let saved: IssuedKey | undefined;
  const beforeCommit = (issued: IssuedKey) => {
    saved = issued;
  };
  expect(await thrownBy(() => manager.create(INPUT, { beforeCommit }))).toBeInstanceOf(StoreError);
  expect(await manager.get(saved?.key.id ?? "")).toEqual(saved?.key);
});
