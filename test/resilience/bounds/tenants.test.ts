import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it } from "vitest";
import { cachedStore } from "../../../src/cache/index.js";
import type { KeyHash, KeyRecord, KeyStore } from "../../../src/index.js";
import { compileCidrs } from "../../../src/kit.js";
import { createRecordDecoder, encodeKey } from "../../../src/stores/json-codec.js";
import { sampleKey } from "../../../src/testing/fixtures.js";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Networks that differ from those of every other key. */
const networksOf = (key: number) =>
  Array.from({ length: 1_000 }, (_, index) => `2001:${key.toString(16)}:${(index * 2).toString(16)}::/48`);

const memory = () => {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

describe("one tenant", () => {
  it("keeps less than 100 bytes for each compiled network", () => {
    compileCidrs(networksOf(0));
    const before = memory();
    const lists = Array.from({ length: 50 }, (_, key) => compileCidrs(networksOf(key)));
    expect((memory() - before) / 50_000).toBeLessThan(100);
    expect(lists).toHaveLength(50);
  });

  it("with 1,000 keys of 1,000 networks each keeps less than 40 MB, and takes no list from another", () => {
    const decode = createRecordDecoder();
    const other = encodeKey(sampleKey({ ownerId: "other", ipAllowlist: ["203.0.113.0/24"] }));
    const before = memory();
    const list = decode(other).ipAllowlist;
    for (let key = 0; key < 1_000; key++) {
      decode(encodeKey(sampleKey({ ownerId: "greedy", ipAllowlist: networksOf(key) })));
    }
    expect(decode(other).ipAllowlist).toBe(list);
    expect(memory() - before).toBeLessThan(40e6);
  });

  let close = async () => {};
  afterEach(() => close());

  it("with more keys than a cache holds takes no cached key from another", async () => {
    const lookups = new Map<string, number>();
    const records = new Map<KeyHash, KeyRecord>();
    const keyOf = (ownerId: string) => {
      const record = sampleKey({ ownerId, expiresAt: null });
      records.set(record.hash, record);
      return record.hash;
    };
    const slow: KeyStore = {
      findByHash(hash) {
        const record = records.get(hash);
        if (record) lookups.set(record.ownerId, (lookups.get(record.ownerId) ?? 0) + 1);
        return record;
      },
    };
    const store = cachedStore(slow, { max: 100, ttl: "1m" });
    close = store.close;
    const others = Array.from({ length: 5 }, () => keyOf("other"));
    const greedy = Array.from({ length: 1_000 }, () => keyOf("greedy"));
    for (let round = 0; round < 3; round++) {
      for (const hash of others) await store.findByHash(hash);
      for (const hash of greedy) await store.findByHash(hash);
    }
    expect(lookups.get("other")).toBe(5);
    expect(lookups.get("greedy")).toBeGreaterThan(1_000);
  });

  it("counts large keys several times in a cache", async () => {
    let lookups = 0;
    const records = Array.from({ length: 100 }, (_, key) => sampleKey({ ipAllowlist: networksOf(key) }));
    const slow: KeyStore = {
      findByHash(hash) {
        lookups += 1;
        return records.find((record) => record.hash === hash);
      },
    };
    const store = cachedStore(slow, { max: 100, ttl: "1m" });
    close = store.close;
    for (const { hash } of [...records, ...records.slice(-10)]) await store.findByHash(hash);
    expect(lookups).toBeGreaterThan(105); // 1,000 networks are about 20 KiB
  });
});
