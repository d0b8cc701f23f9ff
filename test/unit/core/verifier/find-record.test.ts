import { afterEach, describe, expect, it, vi } from "vitest";
import { createHashers } from "../../../../src/core/keys/hash.js";
import { createFindRecord } from "../../../../src/core/verifier/find-record.js";
import { hashSecret, type KeyHash, type KeyStore, StoreError } from "../../../../src/index.js";
import { recordOf, sleep, storeOf, thrownBy } from "../fixtures.js";

const HASH = hashSecret("abc");
/** A time limit that no test reaches. */
const LONG_MS = 60_000;

afterEach(() => vi.useRealTimers());

/** Advances fake timers. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

describe("createFindRecord", () => {
  const hashers = createHashers({
    current: "v2",
    keys: { v1: "first pepper, long enough", v2: "second pepper, long enough" },
  });
  const [v2, v1] = hashers.map((hasher) => hasher("abc")) as [KeyHash, KeyHash];

  it("looks up older hashes only if the current one is not found", async () => {
    const lookups: KeyHash[] = [];
    const only = (known: KeyHash) =>
      createFindRecord(
        storeOf((hash) => {
          lookups.push(hash);
          return Promise.resolve(hash === known ? recordOf(hash) : null);
        }),
        hashers,
        LONG_MS,
      );
    expect((await only(v2)("abc"))?.hash).toBe(v2);
    expect(lookups).toEqual([v2]);
    expect((await only(v1)("abc"))?.hash).toBe(v1);
    expect(lookups).toEqual([v2, v2, v1]);
    lookups.length = 0;
    expect(await only(HASH)("abc")).toBeUndefined();
    expect(lookups).toEqual([v2, v1, v2]); // the key may have moved during the lookups
  });

  it("is synchronous for a key under the current hash in a synchronous store", async () => {
    const find = createFindRecord(
      storeOf((hash) => (hash === v2 || hash === hashers[1]?.("old") ? recordOf(hash) : undefined)),
      hashers,
      LONG_MS,
    );
    expect(find("abc")).toEqual(recordOf(v2));
    expect(await find("old")).toEqual(recordOf(hashers[1]?.("old") as KeyHash));
    expect(await find("abd")).toBeUndefined();
  });

  it("finds a key that moves to the current hash between two lookups", async () => {
    let moved = false;
    const find = createFindRecord(
      storeOf(async (hash) => {
        if (hash === v1) {
          moved = true; // another request moved it just before this lookup
          return undefined;
        }
        return moved && hash === v2 ? recordOf(v2) : undefined;
      }),
      hashers,
      LONG_MS,
    );
    expect(await find("abc")).toEqual(recordOf(v2));
  });

  it("looks up the older hashes of a request at the same time", async () => {
    const calls: (readonly KeyHash[])[] = [];
    const four = createHashers(
      { current: "v2", keys: { v1: "first pepper, long enough", v2: "second pepper, long enough" } },
      ["old", "older"].map((name) => ({ name, hash: (secret: string) => `${secret}!` })),
    );
    const find = async (hashes: readonly KeyHash[]) => {
      calls.push(hashes);
      return hashes.map((hash) => (hash === "old:abc!" ? recordOf(hash) : undefined));
    };
    const store: KeyStore = { findByHash: async (hash) => (await find([hash]))[0], findManyByHash: find };
    expect((await createFindRecord(store, four, LONG_MS)("abc"))?.hash).toBe("old:abc!");
    expect(calls).toEqual([[v2], [v1], ["old:abc!", "older:abc!"]]);
  });

  it.each([
    ["the record of another hash", recordOf(HASH)],
    ["the hash in upper case", recordOf(v2.toUpperCase() as KeyHash)],
    ["a record that lacks its scopes", { id: "a", hash: v2, ownerId: "o" }],
    ["a string", "yes"],
    ["true", true],
    ["an array with the record", [recordOf(v2)]],
  ])("throws a StoreError for %s", async (kind, value) => {
    const over = (store: KeyStore) => createFindRecord(store, hashers, LONG_MS);
    expect(() => over(storeOf(() => value as never))("abc")).toThrow(
      new StoreError(
        kind.includes("hash")
          ? "The key store returned the record of another hash"
          : "The key store returned a value that is not a key record",
      ),
    );
    expect(await thrownBy(() => over(storeOf(async () => value as never))("abc"))).toBeInstanceOf(StoreError);
  });

  it("limits the time of all lookups together", async () => {
    const three = createHashers({
      current: "v3",
      keys: { v1: "first pepper, long enough", v2: "second pepper, long enough", v3: "third, long enough" },
    });
    vi.useFakeTimers();
    const slowly = async () => {
      await sleep(200);
      return undefined;
    };
    for (const store of [storeOf(slowly), { findByHash: slowly, findManyByHash: async () => [] }]) {
      const startedAt = performance.now();
      const waiting = thrownBy(() => createFindRecord(store, three, 250)("abc")).then((error) => ({
        error,
        after: performance.now() - startedAt, // 600 ms one after another
      }));
      await pass(700);
      const error = new StoreError("The key store did not respond within 250 ms");
      expect(await waiting).toEqual({ error, after: 250 });
    }
    await pass(450); // late results must not become unhandled rejections
  });

  it("leaves no timer with several peppers", async () => {
    const before = timers();
    const find = createFindRecord(
      storeOf(async () => undefined),
      hashers,
      60_000,
    );
    await Promise.all(Array.from({ length: 20 }, (_, i) => find(`secret ${i}`)));
    expect(timers() - before).toBeLessThan(5); // some belong to the test runner
  });
});

it("looks up an unknown key once without older hashes", async () => {
  for (const none of [undefined, Promise.resolve(undefined)]) {
    let calls = 0;
    const store = storeOf(() => {
      calls += 1;
      return none;
    });
    expect(await createFindRecord(store, createHashers(undefined), LONG_MS)("abc")).toBeUndefined();
    expect(calls).toBe(1);
  }
});
