import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLookup } from "../../../../src/core/verifier/lookup.js";
import {
  createVerifier,
  hashSecret,
  type KeyHash,
  type KeyStore,
  StoreError,
  type VerifiableRecord,
} from "../../../../src/index.js";
import { bearer, errorOf, format, recordOf, scopes, service, sleep, storeOf, thrownBy } from "../fixtures.js";

const HASH = hashSecret("abc");
/** A time limit that no test reaches. */
const LONG_MS = 60_000;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);

beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});

afterEach(async () => {
  vi.useRealTimers();
  await sleep(5);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

/** Advances fake timers. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

/** A store with calls that a test settles. */
function manual() {
  const calls: {
    hash: KeyHash;
    resolve: (record?: VerifiableRecord) => void;
    reject: (error: unknown) => void;
  }[] = [];
  const store = storeOf((hash) => new Promise((resolve, reject) => calls.push({ hash, resolve, reject })));
  return { calls, store };
}

describe("single-flight lookups", () => {
  it("make two calls for 1,000 concurrent requests", async () => {
    let calls = 0;
    const lookup = createLookup(
      storeOf(async (hash) => {
        calls++;
        await sleep(5);
        return recordOf(hash);
      }),
      LONG_MS,
    );
    const results = await Promise.all(Array.from({ length: 1_000 }, () => lookup(HASH)));
    expect(calls).toBe(2);
    expect(results).toHaveLength(1_000);
    expect(results.every((found) => found?.hash === HASH)).toBe(true);
    await lookup(HASH);
    expect(calls).toBe(3);
  });

  it("make two calls for each key of a verifier", async () => {
    const calls = new Map<KeyHash, number>();
    const store = storeOf(async (hash) => {
      calls.set(hash, (calls.get(hash) ?? 0) + 1);
      await sleep(5);
      return recordOf(hash);
    });
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${LONG_MS}ms` });
    const secrets = Array.from({ length: 5 }, () => format.generate("live"));
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => verifier.verify(bearer(secrets[i % 5] as string))),
    );
    expect(results.every((result) => result.ok)).toBe(true);
    expect([...calls.values()]).toEqual([2, 2, 2, 2, 2]);
  });

  it("are not shared with requests that arrive after a revocation", async () => {
    const { calls, store } = manual();
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${LONG_MS}ms` });
    const secret = format.generate("live");
    const hash = hashSecret(secret);
    let record = recordOf(hash);

    const before = verifier.verify(bearer(secret));
    const read = record; // the store reads the row before the revocation
    record = recordOf(hash, { revokedAt: new Date() }); // the revocation is committed and returned
    const after = verifier.verify(bearer(secret));
    expect(calls).toHaveLength(1);
    calls[0]?.resolve(read);
    expect((await before).ok).toBe(true);
    await sleep(1);
    calls[1]?.resolve(record);
    expect(errorOf(await after).code).toBe("invalid_key");
  });

  it("are not shared with requests that arrive during the second call", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, LONG_MS);
    const results = [lookup(HASH), lookup(HASH)];
    calls[0]?.resolve(recordOf(HASH, { name: "first" }));
    await sleep(1);
    expect(calls).toHaveLength(2);
    results.push(lookup(HASH)); // the second call may already have read the row
    await sleep(1);
    expect(calls).toHaveLength(2);
    calls[1]?.resolve(recordOf(HASH, { name: "second" }));
    await sleep(1);
    expect(calls).toHaveLength(3);
    calls[2]?.resolve(recordOf(HASH, { name: "third" }));
    const names = (await Promise.all(results)).map((found) => found?.name);
    expect(names).toEqual(["first", "second", "third"]);
  });

  it("return what was read after the request arrived, at random times", async () => {
    let tick = 0;
    const random = mulberry(7);
    const lookup = createLookup(
      storeOf(async (hash) => {
        await sleep(random() * 4);
        const at = ++tick;
        await sleep(random() * 4);
        return recordOf(hash, { version: at });
      }),
      LONG_MS,
    );
    await Promise.all(
      Array.from({ length: 300 }, async () => {
        await sleep(random() * 60);
        const arrivedAt = tick;
        const found = await lookup(HASH);
        expect(found?.version).toBeGreaterThan(arrivedAt);
      }),
    );
  });

  it("share a failure, but do not cache it", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, LONG_MS);
    const results = [0, 1, 2].map(() => thrownBy(() => lookup(HASH)));
    calls[0]?.reject(new Error("down"));
    await sleep(1);
    calls[1]?.reject(new Error("down"));
    for (const error of await Promise.all(results)) expect(error).toBeInstanceOf(StoreError);
    const again = lookup(HASH);
    calls[2]?.resolve(recordOf(HASH));
    expect((await again)?.hash).toBe(HASH);
  });

  it("are synchronous with a synchronous store", () => {
    const lookup = createLookup(
      storeOf((hash) => recordOf(hash)),
      10,
    );
    expect(lookup(HASH)).toEqual(recordOf(HASH));
    const broken = createLookup(
      storeOf(() => {
        throw new Error("closed");
      }),
      10,
    );
    expect(() => broken(HASH)).toThrow(StoreError);
  });
});

describe("a store that hangs once and is synchronous afterwards", () => {
  beforeEach(() => void vi.useFakeTimers());

  /** The first call hangs; the others are synchronous. */
  function hangsOnce(find: (hash: KeyHash) => VerifiableRecord | undefined) {
    let calls = 0;
    const store = storeOf((hash) => (calls++ === 0 ? new Promise(() => {}) : find(hash)));
    return { store, calls: () => calls };
  }

  it("shares no settled result with later requests", async () => {
    let version = 1;
    const { store, calls } = hangsOnce((hash) => recordOf(hash, { version }));
    const lookup = createLookup(store, 200);
    const stuck = thrownBy(() => lookup(HASH));
    const waiting = Promise.all([lookup(HASH), lookup(HASH)]);
    await pass(20);
    expect(await waiting).toMatchObject([{ version: 1 }, { version: 1 }]);
    expect(calls()).toBe(2);
    for (version = 2; version < 5; version++) expect((await lookup(HASH))?.version).toBe(version);
    await pass(180);
    expect(await stuck).toBeInstanceOf(StoreError);
    version = 9;
    expect(lookup(HASH)).toMatchObject({ version: 9 });
  });

  it("shows a revocation to the next request", async () => {
    let revokedAt: Date | null = null;
    const { store } = hangsOnce((hash) => recordOf(hash, { revokedAt }));
    const verifier = createVerifier({ store, scopes, format, storeTimeout: "200ms" });
    const secret = format.generate("live");
    const stuck = thrownBy(() => verifier.verify(bearer(secret)));
    const waiting = verifier.verify(bearer(secret));
    await pass(20);
    expect((await waiting).ok).toBe(true);
    revokedAt = new Date();
    expect(errorOf(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
    await pass(180);
    await stuck;
    expect(errorOf(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
  });

  it("throws an exception only to the requests that waited for it", async () => {
    let broken = true;
    const { store } = hangsOnce((hash) => {
      if (broken) throw new Error("closed");
      return recordOf(hash);
    });
    const lookup = createLookup(store, 200);
    const stuck = thrownBy(() => lookup(HASH));
    const failing = Promise.all([0, 1].map(() => thrownBy(() => lookup(HASH))));
    await pass(20);
    for (const error of await failing) {
      expect(error).toEqual(new StoreError("The key store failed (Error)"));
    }
    broken = false;
    expect((await lookup(HASH))?.hash).toBe(HASH);
    await pass(180);
    await stuck;
    expect((await lookup(HASH))?.hash).toBe(HASH);
  });

  it("may alternate between promises and values", async () => {
    let version = 0;
    const lookup = createLookup(
      storeOf((hash) => {
        const record = recordOf(hash, { version: ++version });
        return version % 3 === 0 ? record : sleep(1).then(() => record);
      }),
      LONG_MS,
    );
    for (let round = 0; round < 20; round++) {
      const before = version;
      const looking = Promise.all([lookup(HASH), lookup(HASH), lookup(HASH)]);
      await pass(10);
      for (const found of await looking) expect(found?.version).toBeGreaterThan(before);
    }
  });
});

describe("the time limit", () => {
  it("applies to a hung call and to the requests that wait for it", async () => {
    const lookup = createLookup(
      storeOf(() => new Promise(() => {})),
      400,
    );
    vi.useFakeTimers();
    const waits = [0, 60, 200].map(async (delay) => {
      await sleep(delay);
      const startedAt = performance.now();
      expect(await thrownBy(() => lookup(HASH))).toBeInstanceOf(StoreError);
      return performance.now() - startedAt;
    });
    await pass(1_000);
    expect(await Promise.all(waits)).toEqual([400, 400, 400]);
  });

  it("is long enough for a call that takes most of it", async () => {
    vi.useFakeTimers();
    const lookup = createLookup(
      storeOf(async (hash) => {
        await sleep(600);
        return recordOf(hash);
      }),
      1_000,
    );
    const looking = Promise.all([lookup(HASH), lookup(HASH), lookup(HASH)]);
    await pass(1_000);
    expect((await looking).map((found) => found?.hash)).toEqual([HASH, HASH, HASH]);
  });

  it("does not let the late end of a hung call affect the next one", async () => {
    vi.useFakeTimers();
    const { calls, store } = manual();
    const lookup = createLookup(store, 600);
    const results = [lookup(HASH), lookup(HASH)];
    await pass(60);
    expect(calls).toHaveLength(2);
    calls[0]?.resolve(recordOf(HASH));
    await pass(1);
    results.push(lookup(HASH), lookup(HASH));
    await pass(1);
    expect(calls).toHaveLength(2); // they wait for the second call to end
    calls[1]?.resolve(recordOf(HASH));
    await pass(1);
    expect(calls).toHaveLength(3);
    calls[2]?.resolve(recordOf(HASH));
    expect((await Promise.all(results)).map((found) => found?.hash)).toEqual([HASH, HASH, HASH, HASH]);
  });

  it("is not spent by later requests on a call that hangs", async () => {
    vi.useFakeTimers();
    const { calls, store } = manual();
    const lookup = createLookup(store, 600);
    const stuck = thrownBy(() => lookup(HASH));
    const second = lookup(HASH);
    await pass(60);
    expect(calls).toHaveLength(2);
    calls[1]?.resolve(recordOf(HASH));
    expect((await second)?.hash).toBe(HASH);
    const third = lookup(HASH);
    calls[2]?.resolve(recordOf(HASH));
    expect((await third)?.hash).toBe(HASH);
    await pass(540);
    expect(await stuck).toBeInstanceOf(StoreError);
  });

  it("leaves no timer, whether the store responds, fails or hangs", async () => {
    const before = timers();
    const each = [...new Array(20).keys()].map((i) => hashSecret(`secret ${i}`));
    const twice = [...each, ...each];
    const working = createLookup(
      storeOf(async (hash) => recordOf(hash)),
      60_000,
    );
    await Promise.all(twice.map((hash) => working(hash)));
    const failing = createLookup(
      storeOf(() => Promise.reject(new Error("down"))),
      60_000,
    );
    await Promise.all(twice.map((hash) => thrownBy(() => failing(hash))));
    const hanging = createLookup(
      storeOf(() => new Promise(() => {})),
      20,
    );
    await Promise.all(twice.map((hash) => thrownBy(() => hanging(hash))));
    await sleep(30);
    expect(timers() - before).toBeLessThan(5); // some belong to the test runner
  });

  it("makes late results and failures harmless", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, 10);
    expect(await thrownBy(() => lookup(HASH))).toBeInstanceOf(StoreError);
    const again = lookup(HASH);
    calls[0]?.reject(new Error("late"));
    calls[1]?.resolve(recordOf(HASH));
    expect((await again)?.hash).toBe(HASH);
  });

  it("is in the message", async () => {
    const lookup = createLookup(
      storeOf(() => new Promise(() => {})),
      10,
    );
    expect(await thrownBy(() => lookup(HASH))).toEqual(
      new StoreError("The key store did not respond within 10 ms"),
    );
  });
});

describe("batched lookups", () => {
  const hashes = Array.from({ length: 100 }, (_, i) => hashSecret(`secret ${i}`));
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  type FindMany = (hashes: readonly KeyHash[]) => ReturnType<NonNullable<KeyStore["findManyByHash"]>>;

  function batching(findMany: FindMany = async (wanted) => wanted.map((hash) => recordOf(hash))) {
    const calls: (readonly KeyHash[])[] = [];
    const store: KeyStore = {
      async findByHash(hash) {
        calls.push([hash]);
        return recordOf(hash);
      },
      findManyByHash(wanted) {
        calls.push([...wanted]);
        return findMany(wanted);
      },
    };
    return { calls, lookup: createLookup(store, LONG_MS) };
  }

  it("start the first lookup at once, and send those that wait in one call", async () => {
    const { calls, lookup } = batching();
    const looking = hashes.slice(0, 20).map((hash) => lookup(hash));
    expect(calls).toEqual([[hashes[0]]]);
    const results = await Promise.all(looking);
    expect(calls).toEqual([[hashes[0]], hashes.slice(1, 20)]);
    expect(results.map((found) => found?.hash)).toEqual(hashes.slice(0, 20));
    const next = lookup(HASH);
    expect(calls[2]).toEqual([HASH]);
    expect((await next)?.hash).toBe(HASH);
  });

  it("look up a single hash that waits with findByHash", async () => {
    const { calls, lookup } = batching(() => expect.unreachable());
    const results = await Promise.all([lookup(HASH), lookup(hashes[0] as KeyHash)]);
    expect(calls).toEqual([[HASH], [hashes[0]]]);
    expect(results.map((found) => found?.hash)).toEqual([HASH, hashes[0]]);
  });

  it("are synchronous while findByHash is", () => {
    const store = { findByHash: (hash: KeyHash) => recordOf(hash), findManyByHash: () => [] };
    const lookup = createLookup(store, LONG_MS);
    expect([lookup(HASH), lookup(HASH)]).toEqual([recordOf(HASH), recordOf(HASH)]);
  });

  it("include those after a few microtasks", async () => {
    const { calls, lookup } = batching();
    await Promise.all(
      hashes.slice(0, 5).map(async (hash, i) => {
        for (let n = 1; n < i; n++) await null;
        return lookup(hash);
      }),
    );
    expect(calls).toHaveLength(2);
  });

  it("have at most 32 hashes", async () => {
    const { calls, lookup } = batching();
    const results = await Promise.all(hashes.map((hash) => lookup(hash)));
    expect(calls.map((call) => call.length)).toEqual([1, 32, 32, 32, 3]);
    expect(results.map((found) => found?.hash)).toEqual(hashes);
  });

  it("have each hash once, with a result for every request", async () => {
    const { calls, lookup } = batching();
    const wanted = [HASH, HASH, hashes[0], HASH, hashes[0]] as KeyHash[];
    const results = await Promise.all(wanted.map((hash) => lookup(hash)));
    expect(calls).toEqual([[HASH], [HASH, hashes[0]]]);
    expect(results.map((found) => found?.hash)).toEqual(wanted);
  });

  it("accept a hash that they already have when they are full", async () => {
    const { calls, lookup } = batching();
    const wanted = hashes.slice(0, 32);
    const results = await Promise.all([HASH, ...wanted, ...wanted].map((hash) => lookup(hash)));
    expect(calls.map((call) => call.length)).toEqual([1, 32]);
    expect(results.map((found) => found?.hash)).toEqual([HASH, ...wanted, ...wanted]);
  });

  it("are not shared with requests that arrive during the call", async () => {
    const ends: (() => void)[] = [];
    const versions: number[] = [];
    const read = async (hash: KeyHash) => {
      const version = ends.length + 1;
      await new Promise<void>((resolve) => ends.push(resolve));
      versions.push(version);
      return recordOf(hash, { version });
    };
    const store: KeyStore = {
      findByHash: read,
      findManyByHash: async ([first, ...others]) => {
        const found = await read(first as KeyHash);
        return [found, ...others.map((hash) => recordOf(hash, { version: found.version }))];
      },
    };
    const lookup = createLookup(store, LONG_MS);
    const results = [lookup(HASH), lookup(HASH), lookup(hashes[0] as KeyHash)];
    await turn();
    results.push(lookup(HASH));
    await turn();
    expect(ends).toHaveLength(3);
    for (const end of ends.reverse()) end();
    expect((await Promise.all(results)).map((found) => found?.version)).toEqual([1, 2, 2, 3]);
  });

  it("start at once again after a failure, and after a call whose time is over", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    let calls = 0;
    const store: KeyStore = {
      findByHash: () => {
        calls += 1;
        return calls === 1 ? Promise.reject(new Error("down")) : new Promise(() => {});
      },
      findManyByHash: () => new Promise(() => {}),
    };
    const lookup = createLookup(store, 200);
    expect(await thrownBy(() => lookup(HASH))).toBeInstanceOf(StoreError);
    for (const expected of [2, 3]) {
      const hanging = hashes.slice(0, 3).map((hash) => thrownBy(() => lookup(hash)));
      expect(calls).toBe(expected);
      await turn(); // the other two are sent as a batch
      await pass(200);
      for (const error of await Promise.all(hanging)) expect(error).toBeInstanceOf(StoreError);
    }
  });

  it("accept missing results, and an array that is not a promise", async () => {
    const { lookup } = batching((hashes) => hashes.map((hash, i) => (i % 2 ? undefined : recordOf(hash))));
    const results = await Promise.all(hashes.slice(0, 4).map((hash) => lookup(hash)));
    expect(results.map((found) => found?.hash)).toEqual([hashes[0], hashes[1], undefined, hashes[3]]);
  });

  it.each<[string, (hashes: readonly KeyHash[]) => unknown]>([
    ["one result too few", (hashes) => hashes.slice(1).map((hash) => recordOf(hash))],
    ["one result too many", (hashes) => [...hashes, HASH].map((hash) => recordOf(hash))],
    ["undefined", () => undefined],
    ["an object", () => ({ length: 3 })],
    ["a rejection", () => Promise.reject(new Error("select secret"))],
    [
      "an exception",
      () => {
        throw new Error("select secret");
      },
    ],
  ])("reject every request of a batch after %s", async (kind, findMany) => {
    const { lookup } = batching(findMany as never);
    const first = lookup(HASH); // not in the batch
    const errors = await Promise.all(hashes.slice(0, 3).map((hash) => thrownBy(() => lookup(hash))));
    expect((await first)?.hash).toBe(HASH);
    const failure = ["a rejection", "an exception"].includes(kind);
    for (const error of errors) {
      expect(error).toEqual(
        new StoreError(
          failure
            ? "The key store failed (Error)"
            : "The key store did not return one result for each of 3 hashes",
        ),
      );
    }
  });

  it("reject results in another order", async () => {
    const secrets = Array.from({ length: 3 }, () => format.generate("live"));
    const store: KeyStore = {
      findByHash: async (hash) => recordOf(hash),
      findManyByHash: async (hashes) => [...hashes].reverse().map((hash) => recordOf(hash)),
    };
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${LONG_MS}ms` });
    const [first, ...others] = secrets.map((secret) => verifier.verify(bearer(secret)));
    const errors = await Promise.all(others.map((result) => thrownBy(() => result)));
    for (const error of errors) {
      expect(error).toEqual(new StoreError("The key store returned the record of another hash"));
    }
    expect((await first)?.ok).toBe(true);
  });
});

it("an error that throws when it is read becomes a StoreError", async () => {
  const hostile = {
    get code() {
      throw new Error("no code");
    },
  };
  const opaque = new Proxy(hostile, { getPrototypeOf: () => expect.unreachable() });
  for (const store of [
    storeOf(() => Promise.reject(hostile)),
    storeOf(() => Promise.reject(opaque)),
    { findByHash: () => Promise.reject(hostile), findManyByHash: () => [] },
  ]) {
    expect(await thrownBy(() => createLookup(store, LONG_MS)(HASH))).toEqual(
      new StoreError("The key store failed"),
    );
  }
});

describe("the message for a driver error", () => {
  const messageFor = async (error: object) => {
    const store = storeOf(() => Promise.reject(Object.assign(new Error("secret"), error)));
    const { message } = (await thrownBy(() => createLookup(store, LONG_MS)(HASH))) as StoreError;
    return message;
  };

  it.each([
    [{ name: "E", code: "A" }, "E A"],
    [{ name: "Postgres_Error", code: "ER_DUP_ENTRY" }, "Postgres_Error ER_DUP_ENTRY"],
    [{ name: "N".repeat(40), code: "C".repeat(40) }, `${"N".repeat(40)} ${"C".repeat(40)}`],
    [{ name: "", code: "23505" }, "23505"],
    [{ name: "", code: "42P01" }, "42P01"],
    [{ name: "QueryError", code: "" }, "QueryError"],
  ])("for %j names %s", async (error, kind) => {
    expect(await messageFor(error)).toBe(`The key store failed (${kind})`);
  });

  it.each(["error", "xError", " Error", "Error x", "Error2", "N".repeat(41), ["Error"], 7])(
    "does not have a name such as %j",
    async (name) => {
      expect(await messageFor({ name })).toBe("The key store failed");
    },
  );

  it.each([
    "a",
    "aB",
    "xECONN",
    "ECONN x",
    "E-CONN",
    "2350",
    "235050",
    "-",
    "-----",
    "C".repeat(41),
    ["23505"],
    23505,
  ])("does not have a code such as %j", async (code) => {
    expect(await messageFor({ name: "", code })).toBe("The key store failed");
  });

  it("does not have a code that could be a secret or a hash", async () => {
    for (const code of [HASH, "0123456789abcdef0123456789abcdef", "ezt_live_abc"]) {
      const store = storeOf(() => Promise.reject(Object.assign(new Error("no"), { code, name: code })));
      expect(String(await thrownBy(() => createLookup(store, LONG_MS)(HASH)))).not.toContain(code);
    }
  });
});

it("a thenable that throws in then becomes a StoreError, and leaves no timer", async () => {
  const before = timers();
  const lazy: PromiseLike<undefined> = {
    // biome-ignore lint/suspicious/noThenProperty: a query builder that runs in then()
    then: () => {
      throw new Error("secret");
    },
  };
  const error = await thrownBy(() =>
    createLookup(
      storeOf(() => lazy),
      LONG_MS,
    )(HASH),
  );
  expect(error).toEqual(new StoreError("The key store failed (Error)"));
  expect(timers() - before).toBeLessThan(2);
});

it("the next request sees a revocation, whatever is in flight", async () => {
  const { manager, store, verifier } = service();
  const { secret, key } = await manager.create({
    ownerId: "acme",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  const slow = createVerifier({
    store: storeOf(async (hash) => {
      const record = await store.findByHash(hash);
      await sleep(10);
      return record;
    }),
    scopes,
    format,
    storeTimeout: `${LONG_MS}ms`,
  });
  const early = slow.verify(bearer(secret));
  await sleep(1);
  await manager.revoke(key.id);
  const late = slow.verify(bearer(secret));
  expect((await early).ok).toBe(true);
  expect((await late).ok).toBe(false);
  expect((await verifier.verify(bearer(secret))).ok).toBe(false);
});

/** Pseudo-random numbers from 0 to 1, the same in every run. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
