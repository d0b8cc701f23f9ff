import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../../../src/index.js";
import { added, entryOf, freshStore, NOON, newKey } from "../../unit/stores/fixtures.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe("large memory stores", () => {
  test("lists 70,000 keys inserted in random order without skipping or repeating one", () => {
    const store = freshStore();
    const total = 70_000;
    const expected: KeyRecord[] = [];
    for (let index = 0; index < total; index++) {
      const scattered = (index * 48_271) % total;
      expected.push(
        added(store, newKey({ createdAt: new Date(1.9e12 + Math.floor(scattered / 500) * 3_600_000_000) })),
      );
    }
    const seen: KeyRecord[] = [];
    let cursor: string | undefined;
    do {
      const page = store.list({ now: NOON, limit: 1_000, cursor }) as {
        items: KeyRecord[];
        nextCursor?: string;
      };
      seen.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expected.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1));
    expect(seen.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
  });

  test("lists the remaining keys of each owner after most keys were removed", () => {
    const store = freshStore();
    const keys = Array.from({ length: 6_000 }, (_, index) => {
      const createdAt = new Date(1.9e12 + ((index * 48_271) % 6_000));
      return added(store, newKey({ ownerId: `owner ${index % 3}`, createdAt }));
    });
    const isKept = (_: KeyRecord, index: number) => index % 500 === 0;
    for (const [index, key] of keys.entries()) {
      if (!isKept(key, index)) expect(store.remove(key.id, 1, entryOf(key))).toBe(true);
    }
    const kept = keys.filter(isKept).sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
    const listed = (query: object) =>
      (store.list({ now: NOON, limit: 1_000, ...query }) as { items: KeyRecord[] }).items;
    expect(listed({})).toEqual(kept);
    for (const ownerId of ["owner 0", "owner 1", "owner 2"]) {
      expect(listed({ ownerId })).toEqual(kept.filter((key) => key.ownerId === ownerId));
    }
  });
});

describe("memory use of memoryStore", () => {
  function growth(work: () => unknown): number {
    const used = () => {
      for (let round = 0; round < 3; round++) collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    const kept = work();
    const after = used();
    expect(kept).toBeDefined();
    return after - before;
  }

  test("does not keep the string that a member is a slice of, such as the secret of a start", () => {
    const store = freshStore();
    const cut = (length: number) => `${"x".repeat(1_000_000)}${"0123456789abcdef".repeat(8)}`.slice(-length);
    const grown = growth(() => {
      for (let index = 0; index < 200; index++) {
        const own = (length: number) => `${cut(length)}${index}`.slice(index % 10);
        const key = newKey({
          id: own(20),
          hash: own(70) as KeyRecord["hash"],
          ownerId: own(30),
          environment: cut(30),
          start: own(20),
          name: own(40),
          scopes: [own(40)],
          ipAllowlist: [own(40)],
          metadata: { [own(40)]: own(40) },
          revokedReason: own(40),
          replacedBy: own(40),
        });
        const entry = { ...entryOf(key), id: own(50), actor: own(40), details: { [own(40)]: [own(40)] } };
        store.insert({ ...key, start: cut(20 + (index % 10)) }, entry);
      }
      return store;
    });
    expect(grown).toBeLessThan(5_000_000);
  });

  test("keeps only audit entries of keys that were removed", () => {
    const store = freshStore();
    const turns = (from: number, to: number) => {
      for (let turn = from; turn < to; turn++) {
        const key = newKey({
          id: `key ${turn}`,
          hash: `hash ${turn}` as KeyRecord["hash"],
          ownerId: `owner ${turn}`,
          environment: `environment ${turn}`,
          start: `prefix_${turn}_ab12`,
          name: `name ${turn}`,
          scopes: [`scope:${turn}`],
          ipAllowlist: [`192.0.2.${turn}`],
        });
        const written = { ...key, id: "key", ownerId: "acme" };
        store.insert(key, entryOf(written));
        store.findByHash(key.hash);
        store.findByHash(key.hash);
        store.remove(key.id, 1, entryOf(written));
      }
      return store;
    };
    turns(0, 2_000);
    // Two audit entries take about 740 bytes. A key and its strings would take 900 more.
    expect(growth(() => turns(2_000, 22_000)) / 20_000).toBeLessThan(1_100);
  });

  test("is at most 700 bytes per key, audit entries not counted", async () => {
    const bench = fileURLToPath(new URL("../../../bench/memory.ts", import.meta.url));
    const part = "memoryStore, keys without audit entries";
    const args = ["--expose-gc", "--import", "tsx", bench, "120000", part];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const { bytesPerKey } = JSON.parse(stdout) as { bytesPerKey: number };
    expect(bytesPerKey).toBeGreaterThan(400); // below this, the benchmark measured something else
    expect(bytesPerKey).toBeLessThan(700);
  });
});
