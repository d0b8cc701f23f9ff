import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createHashers } from "../../../../src/core/keys/hash.js";
import { createFinder, createLookup } from "../../../../src/core/verifier/lookup.js";
import {
  createVerifier,
  hashSecret,
  type KeyHash,
  type KeyStore,
  StoreError,
  type VerifiableRecord,
} from "../../../../src/index.js";
import { withTimeout } from "../../../../src/internal/timeout.js";
import { bearer, format, recordOf, refused, scopes, service, sleep, storeOf, thrownBy } from "../fixtures.js";

const HASH = hashSecret("abc");
/** A time limit that is not what a test is about, and that no busy machine reaches. */
const PATIENCE_MS = 60_000;
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

/** Moves faked timers on. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

/** A store whose answers are given by hand. */
function manual() {
  const calls: {
    hash: KeyHash;
    answer: (record?: VerifiableRecord) => void;
    fail: (error: unknown) => void;
  }[] = [];
  const store = storeOf(
    (hash) => new Promise((answer, fail) => calls.push({ hash, answer: (record) => answer(record), fail })),
  );
  return { calls, store };
}

describe("sharing", () => {
  test("1,000 concurrent first lookups are at most two calls", async () => {
    let calls = 0;
    const lookup = createLookup(
      storeOf(async (hash) => {
        calls++;
        await sleep(5);
        return recordOf(hash);
      }),
      PATIENCE_MS,
    );
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => lookup(HASH)));
    expect(calls).toBe(2);
    expect(answers).toHaveLength(1_000);
    expect(answers.every((answer) => answer?.hash === HASH)).toBe(true);
    await lookup(HASH);
    expect(calls).toBe(3);
  });

  test("through a verifier, with other keys among them", async () => {
    const calls = new Map<KeyHash, number>();
    const store = storeOf(async (hash) => {
      calls.set(hash, (calls.get(hash) ?? 0) + 1);
      await sleep(5);
      return recordOf(hash);
    });
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${PATIENCE_MS}ms` });
    const secrets = Array.from({ length: 5 }, () => format.generate("live"));
    const results = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => verifier.verify(bearer(secrets[i % 5] as string))),
    );
    expect(results.every((result) => result.ok)).toBe(true);
    expect([...calls.values()]).toEqual([2, 2, 2, 2, 2]);
  });

  test("a request that comes after a revocation never shares a lookup begun before it", async () => {
    const { calls, store } = manual();
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${PATIENCE_MS}ms` });
    const secret = format.generate("live");
    const hash = hashSecret(secret);
    let record = recordOf(hash);

    const before = verifier.verify(bearer(secret));
    const read = record; // the store reads the row before the revocation
    record = recordOf(hash, { revokedAt: new Date() }); // the revocation is committed and returned
    const after = verifier.verify(bearer(secret));
    expect(calls).toHaveLength(1);
    calls[0]?.answer(read);
    expect((await before).ok).toBe(true);
    await sleep(1);
    calls[1]?.answer(record);
    expect(refused(await after).code).toBe("invalid_key");
  });

  test("nor does one that joins while the second call is under way", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, PATIENCE_MS);
    const answers = [lookup(HASH), lookup(HASH)];
    calls[0]?.answer(recordOf(HASH, { name: "first" }));
    await sleep(1);
    expect(calls).toHaveLength(2);
    answers.push(lookup(HASH)); // the second call may have read the row already
    await sleep(1);
    expect(calls).toHaveLength(2);
    calls[1]?.answer(recordOf(HASH, { name: "second" }));
    await sleep(1);
    expect(calls).toHaveLength(3);
    calls[2]?.answer(recordOf(HASH, { name: "third" }));
    const names = (await Promise.all(answers)).map((answer) => answer?.name);
    expect(names).toEqual(["first", "second", "third"]);
  });

  test("at random times: what a request is answered was read after the request came", async () => {
    let tick = 0;
    const random = mulberry(7);
    const lookup = createLookup(
      storeOf(async (hash) => {
        await sleep(random() * 4);
        const at = ++tick;
        await sleep(random() * 4);
        return recordOf(hash, { version: at });
      }),
      PATIENCE_MS,
    );
    await Promise.all(
      Array.from({ length: 300 }, async () => {
        await sleep(random() * 60);
        const came = tick;
        const answer = await lookup(HASH);
        expect(answer?.version).toBeGreaterThan(came);
      }),
    );
  });

  test("a failure is shared like an answer, and forgotten", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, PATIENCE_MS);
    const answers = [0, 1, 2].map(() => thrownBy(() => lookup(HASH)));
    calls[0]?.fail(new Error("down"));
    await sleep(1);
    calls[1]?.fail(new Error("down"));
    for (const error of await Promise.all(answers)) expect(error).toBeInstanceOf(StoreError);
    const again = lookup(HASH);
    calls[2]?.answer(recordOf(HASH));
    expect((await again)?.hash).toBe(HASH);
  });

  test("a store that answers at once is asked at once, and never awaited", () => {
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

describe("a store that hangs once, and answers at once from then on", () => {
  beforeEach(() => void vi.useFakeTimers());

  /** The first call never ends; the others do what the test says, on the spot. */
  function once(answer: (hash: KeyHash) => VerifiableRecord | undefined) {
    let calls = 0;
    const store = storeOf((hash) => (calls++ === 0 ? new Promise(() => {}) : answer(hash)));
    return { store, calls: () => calls };
  }

  test("its settled answer is nobody's who comes later", async () => {
    let version = 1;
    const { store, calls } = once((hash) => recordOf(hash, { version }));
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

  test("a revocation between two requests is seen by the second", async () => {
    let revokedAt: Date | null = null;
    const { store } = once((hash) => recordOf(hash, { revokedAt }));
    const verifier = createVerifier({ store, scopes, format, storeTimeout: "200ms" });
    const secret = format.generate("live");
    const stuck = thrownBy(() => verifier.verify(bearer(secret)));
    const waiting = verifier.verify(bearer(secret));
    await pass(20);
    expect((await waiting).ok).toBe(true);
    revokedAt = new Date();
    expect(refused(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
    await pass(180);
    await stuck;
    expect(refused(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
  });

  test("an exception on the spot is only theirs who waited for it", async () => {
    let broken = true;
    const { store } = once((hash) => {
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

  test("promises first, plain answers later, and promises again", async () => {
    let version = 0;
    const lookup = createLookup(
      storeOf((hash) => {
        const record = recordOf(hash, { version: ++version });
        return version % 3 === 0 ? record : sleep(1).then(() => record);
      }),
      PATIENCE_MS,
    );
    for (let round = 0; round < 20; round++) {
      const before = version;
      const looking = Promise.all([lookup(HASH), lookup(HASH), lookup(HASH)]);
      await pass(10);
      for (const answer of await looking) expect(answer?.version).toBeGreaterThan(before);
    }
  });
});

describe("time", () => {
  test("a store that hangs is left after the time limit; waiting requests too", async () => {
    const lookup = createLookup(
      storeOf(() => new Promise(() => {})),
      400,
    );
    vi.useFakeTimers();
    const waits = [0, 60, 200].map(async (delay) => {
      await sleep(delay);
      const came = performance.now();
      expect(await thrownBy(() => lookup(HASH))).toBeInstanceOf(StoreError);
      return performance.now() - came;
    });
    await pass(1_000);
    expect(await Promise.all(waits)).toEqual([400, 400, 400]);
  });

  test("a store that takes most of its time answers everybody", async () => {
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
    expect((await looking).map((answer) => answer?.hash)).toEqual([HASH, HASH, HASH]);
  });

  test("a call that hung, and ends after all, does not end the sharing of the next one", async () => {
    vi.useFakeTimers();
    const { calls, store } = manual();
    const lookup = createLookup(store, 600);
    const answers = [lookup(HASH), lookup(HASH)];
    await pass(60);
    expect(calls).toHaveLength(2);
    calls[0]?.answer(recordOf(HASH));
    await pass(1);
    answers.push(lookup(HASH), lookup(HASH));
    await pass(1);
    expect(calls).toHaveLength(2); // they wait for the second call to end, for a while
    calls[1]?.answer(recordOf(HASH));
    await pass(1);
    expect(calls).toHaveLength(3);
    calls[2]?.answer(recordOf(HASH));
    expect((await Promise.all(answers)).map((answer) => answer?.hash)).toEqual([HASH, HASH, HASH, HASH]);
  });

  test("one call that hangs holds up nobody who comes after it", async () => {
    vi.useFakeTimers();
    const { calls, store } = manual();
    const lookup = createLookup(store, 600);
    const stuck = thrownBy(() => lookup(HASH));
    const second = lookup(HASH);
    await pass(60);
    expect(calls).toHaveLength(2);
    calls[1]?.answer(recordOf(HASH));
    expect((await second)?.hash).toBe(HASH);
    const third = lookup(HASH);
    calls[2]?.answer(recordOf(HASH));
    expect((await third)?.hash).toBe(HASH);
    await pass(540);
    expect(await stuck).toBeInstanceOf(StoreError);
  });

  test("no timer is left, whether the store answers, fails or hangs", async () => {
    const before = timers();
    const each = [...new Array(20).keys()].map((i) => hashSecret(`secret ${i}`));
    const twice = [...each, ...each];
    const prompt = createLookup(
      storeOf(async (hash) => recordOf(hash)),
      60_000,
    );
    await Promise.all(twice.map((hash) => prompt(hash)));
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
    expect(timers() - before).toBeLessThan(5); // some are the test runner's own
  });

  test("an answer, or a failure, that comes too late harms nobody", async () => {
    const { calls, store } = manual();
    const lookup = createLookup(store, 10);
    expect(await thrownBy(() => lookup(HASH))).toBeInstanceOf(StoreError);
    const again = lookup(HASH);
    calls[0]?.fail(new Error("late"));
    calls[1]?.answer(recordOf(HASH));
    expect((await again)?.hash).toBe(HASH);
  });

  test("the message says how long, and nothing else", async () => {
    const lookup = createLookup(
      storeOf(() => new Promise(() => {})),
      10,
    );
    expect(await thrownBy(() => lookup(HASH))).toEqual(
      new StoreError("The key store did not answer within 10 ms"),
    );
  });
});

describe("findManyByHash", () => {
  const hashes = Array.from({ length: 1_200 }, (_, i) => hashSecret(`secret ${i}`));

  function batching(
    answer?: (asked: readonly KeyHash[]) => ReturnType<NonNullable<KeyStore["findManyByHash"]>>,
  ) {
    const batches: (readonly KeyHash[])[] = [];
    const store: KeyStore = {
      findByHash: () => {
        throw new Error("must not be asked");
      },
      findManyByHash(asked) {
        batches.push([...asked]);
        return answer ? answer(asked) : Promise.resolve(asked.map((hash) => recordOf(hash)));
      },
    };
    return { batches, lookup: createLookup(store, PATIENCE_MS) };
  }

  test("the lookups of one turn travel together, each gets its own answer", async () => {
    const { batches, lookup } = batching();
    const answers = await Promise.all(hashes.slice(0, 50).map((hash) => lookup(hash)));
    expect(batches).toEqual([hashes.slice(0, 50)]);
    expect(answers.map((answer) => answer?.hash)).toEqual(hashes.slice(0, 50));
    await lookup(HASH);
    expect(batches[1]).toEqual([HASH]);
  });

  test("those after a few microtasks belong to the same turn", async () => {
    const { batches, lookup } = batching();
    await Promise.all(
      hashes.slice(0, 5).map(async (hash, i) => {
        for (let n = 0; n < i; n++) await null;
        return lookup(hash);
      }),
    );
    expect(batches).toHaveLength(1);
  });

  test("no more than 500 travel together", async () => {
    const { batches, lookup } = batching();
    const answers = await Promise.all(hashes.map((hash) => lookup(hash)));
    expect(batches.map((batch) => batch.length)).toEqual([500, 500, 200]);
    expect(answers.map((answer) => answer?.hash)).toEqual(hashes);
  });

  test("one hash is asked once in a batch, and everybody is answered", async () => {
    const { batches, lookup } = batching();
    const answers = await Promise.all(Array.from({ length: 10 }, () => lookup(HASH)));
    expect(batches).toEqual([[HASH]]);
    expect(answers.map((answer) => answer?.hash)).toEqual(Array(10).fill(HASH));
    await Promise.all([lookup(HASH), lookup(HASH), lookup(HASH), lookup(hashes[0] as KeyHash)]);
    expect(batches.slice(1)).toEqual([[HASH, hashes[0]]]);
  });

  test("a hash that is there already fits into a batch that is full", async () => {
    const { batches, lookup } = batching();
    const wanted = hashes.slice(0, 500);
    const answers = await Promise.all([...wanted, ...wanted].map((hash) => lookup(hash)));
    expect(batches.map((batch) => batch.length)).toEqual([500]);
    expect(answers.map((answer) => answer?.hash)).toEqual([...wanted, ...wanted]);
  });

  test("a batch that is under way is not shared by those who come later", async () => {
    const ends: (() => void)[] = [];
    const { batches, lookup } = batching(async (asked) => {
      const version = ends.length + 1;
      await new Promise<void>((resolve) => ends.push(resolve));
      return asked.map((hash) => recordOf(hash, { version }));
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const answers = [lookup(HASH)];
    await turn();
    answers.push(lookup(HASH), lookup(hashes[0] as KeyHash));
    await turn();
    answers.push(lookup(HASH));
    await turn();
    expect(batches).toEqual([[HASH], [HASH, hashes[0]], [HASH]]);
    for (const end of ends.reverse()) end();
    expect((await Promise.all(answers)).map((answer) => answer?.version)).toEqual([1, 2, 2, 3]);
  });

  test("answers that are missing, and a list that is not a promise", async () => {
    const { lookup } = batching((asked) => asked.map((hash, i) => (i % 2 ? recordOf(hash) : undefined)));
    const answers = await Promise.all(hashes.slice(0, 4).map((hash) => lookup(hash)));
    expect(answers.map((answer) => answer?.hash)).toEqual([undefined, hashes[1], undefined, hashes[3]]);
  });

  test.each<[string, (asked: readonly KeyHash[]) => unknown]>([
    ["one too few", (asked) => asked.slice(1).map((hash) => recordOf(hash))],
    ["one too many", (asked) => [...asked, HASH].map((hash) => recordOf(hash))],
    ["no list", () => undefined],
    ["an object", () => ({ length: 3 })],
    ["a rejection", () => Promise.reject(new Error("select secret"))],
    [
      "an exception",
      () => {
        throw new Error("select secret");
      },
    ],
  ])("%s: a StoreError for each of the batch", async (kind, answer) => {
    const { lookup } = batching(answer as never);
    const errors = await Promise.all(hashes.slice(0, 3).map((hash) => thrownBy(() => lookup(hash))));
    const failure = ["a rejection", "an exception"].includes(kind);
    for (const error of errors) {
      expect(error).toEqual(
        new StoreError(
          failure
            ? "The key store failed (Error)"
            : "The key store answered another number of records than it was asked for",
        ),
      );
    }
  });

  test("answers in another order let nobody in", async () => {
    const secrets = [format.generate("live"), format.generate("live")];
    const store: KeyStore = {
      findByHash: () => undefined,
      findManyByHash: async (asked) => [...asked].reverse().map((hash) => recordOf(hash)),
    };
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${PATIENCE_MS}ms` });
    for (const error of await Promise.all(
      secrets.map((secret) => thrownBy(() => verifier.verify(bearer(secret)))),
    ))
      expect(error).toEqual(new StoreError("The key store answered the record of another hash"));
  });
});

test("an error that cannot even be looked at is a StoreError in time", async () => {
  const hostile = {
    get code() {
      throw new Error("no code");
    },
  };
  const secretive = new Proxy(hostile, { getPrototypeOf: () => expect.unreachable() });
  for (const store of [
    storeOf(() => Promise.reject(hostile)),
    storeOf(() => Promise.reject(secretive)),
    { findByHash: () => undefined, findManyByHash: () => Promise.reject(hostile) },
  ]) {
    expect(await thrownBy(() => createLookup(store, PATIENCE_MS)(HASH))).toEqual(
      new StoreError("The key store failed"),
    );
  }
});

describe("what is told of an error of a driver", () => {
  const told = async (error: object) => {
    const store = storeOf(() => Promise.reject(Object.assign(new Error("secret"), error)));
    const { message } = (await thrownBy(() => createLookup(store, PATIENCE_MS)(HASH))) as StoreError;
    return message;
  };

  test.each([
    [{ name: "E", code: "A" }, "E A"],
    [{ name: "Postgres_Error", code: "ER_DUP_ENTRY" }, "Postgres_Error ER_DUP_ENTRY"],
    [{ name: "N".repeat(40), code: "C".repeat(40) }, `${"N".repeat(40)} ${"C".repeat(40)}`],
    [{ name: "", code: "23505" }, "23505"],
    [{ name: "", code: "42P01" }, "42P01"],
    [{ name: "QueryError", code: "" }, "QueryError"],
  ])("%j: %s", async (error, kind) => {
    expect(await told(error)).toBe(`The key store failed (${kind})`);
  });

  test.each(["error", "xError", " Error", "Error x", "Error2", "N".repeat(41), ["Error"], 7])(
    "not a name such as %j",
    async (name) => {
      expect(await told({ name })).toBe("The key store failed");
    },
  );

  test.each([
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
  ])("not a code such as %j", async (code) => {
    expect(await told({ name: "", code })).toBe("The key store failed");
  });
});

test("an answer that fails when it is awaited is a StoreError, and leaves no timer", async () => {
  const before = timers();
  const lazy: PromiseLike<undefined> = {
    // biome-ignore lint/suspicious/noThenProperty: a query builder that runs when it is awaited
    then: () => {
      throw new Error("secret");
    },
  };
  const error = await thrownBy(() =>
    createLookup(
      storeOf(() => lazy),
      PATIENCE_MS,
    )(HASH),
  );
  expect(error).toEqual(new StoreError("The key store failed (Error)"));
  expect(timers() - before).toBeLessThan(2);
});

test("what fails in time fails with its own error, unless that is to be explained", async () => {
  const own = new Error("own");
  expect(await thrownBy(() => withTimeout(Promise.reject(own), PATIENCE_MS, "late"))).toBe(own);
  const explained = () => new StoreError("explained");
  expect(await thrownBy(() => withTimeout(Promise.reject(own), PATIENCE_MS, "late", explained))).toEqual(
    new StoreError("explained"),
  );
  expect(await thrownBy(() => withTimeout(new Promise(() => {}), 1, "late"))).toEqual(new StoreError("late"));
});

test("without older hashes a key that is not found is asked for once", async () => {
  for (const none of [undefined, Promise.resolve(undefined)]) {
    let calls = 0;
    const store = storeOf(() => {
      calls += 1;
      return none;
    });
    expect(await createFinder(store, createHashers(undefined), PATIENCE_MS)("abc")).toBeUndefined();
    expect(calls).toBe(1);
  }
});

test("a code that could be a secret or a hash is not told", async () => {
  for (const code of [HASH, "0123456789abcdef0123456789abcdef", "ezt_live_abc"]) {
    const store = storeOf(() => Promise.reject(Object.assign(new Error("no"), { code, name: code })));
    expect(String(await thrownBy(() => createLookup(store, PATIENCE_MS)(HASH)))).not.toContain(code);
  }
});

describe("createFinder", () => {
  const hashers = createHashers({
    current: "v2",
    keys: { v1: "first pepper, long enough", v2: "second pepper, long enough" },
  });
  const [v2, v1] = hashers.map((hasher) => hasher("abc")) as [KeyHash, KeyHash];

  test("asks under the current pepper first, under older ones only when there is no answer", async () => {
    const asked: KeyHash[] = [];
    const only = (known: KeyHash) =>
      createFinder(
        storeOf((hash) => {
          asked.push(hash);
          return Promise.resolve(hash === known ? recordOf(hash) : null);
        }),
        hashers,
        PATIENCE_MS,
      );
    expect((await only(v2)("abc"))?.hash).toBe(v2);
    expect(asked).toEqual([v2]);
    expect((await only(v1)("abc"))?.hash).toBe(v1);
    expect(asked).toEqual([v2, v2, v1]);
    asked.length = 0;
    expect(await only(HASH)("abc")).toBeUndefined();
    expect(asked).toEqual([v2, v1, v2]); // it may have moved while it was looked for
  });

  test("a store that answers at once is not awaited for a key of the current pepper", async () => {
    const find = createFinder(
      storeOf((hash) => (hash === v2 || hash === hashers[1]?.("old") ? recordOf(hash) : undefined)),
      hashers,
      PATIENCE_MS,
    );
    expect(find("abc")).toEqual(recordOf(v2));
    expect(await find("old")).toEqual(recordOf(hashers[1]?.("old") as KeyHash));
    expect(await find("abd")).toBeUndefined();
  });

  test("a key that moves to the current hash between two looks is found", async () => {
    let moved = false;
    const find = createFinder(
      storeOf(async (hash) => {
        if (hash === v1) {
          moved = true; // another request was faster, just before this answer was read
          return undefined;
        }
        return moved && hash === v2 ? recordOf(v2) : undefined;
      }),
      hashers,
      PATIENCE_MS,
    );
    expect(await find("abc")).toEqual(recordOf(v2));
  });

  test("older hashes of one request travel together", async () => {
    const batches: (readonly KeyHash[])[] = [];
    const three = createHashers(
      { current: "v2", keys: { v1: "first pepper, long enough", v2: "second pepper, long enough" } },
      [{ name: "old", hash: (secret) => `${secret}!` }],
    );
    const store: KeyStore = {
      findByHash: () => undefined,
      findManyByHash: async (hashes) => {
        batches.push(hashes);
        return hashes.map((hash) => (hash === "old:abc!" ? recordOf(hash) : undefined));
      },
    };
    expect((await createFinder(store, three, PATIENCE_MS)("abc"))?.hash).toBe("old:abc!");
    expect(batches).toEqual([[v2], [v1, "old:abc!"]]);
  });

  test.each([
    ["the record of another hash", recordOf(HASH)],
    ["the hash in upper case", recordOf(v2.toUpperCase() as KeyHash)],
    ["a record that lacks its scopes", { id: "a", hash: v2, ownerId: "o" }],
    ["a text", "yes"],
    ["true", true],
    ["a list of the record", [recordOf(v2)]],
  ])("%s is a StoreError", async (kind, answer) => {
    const over = (store: KeyStore) => createFinder(store, hashers, PATIENCE_MS);
    expect(() => over(storeOf(() => answer as never))("abc")).toThrow(
      new StoreError(
        kind.includes("hash")
          ? "The key store answered the record of another hash"
          : "The key store answered something that is not a key record",
      ),
    );
    for (const store of [
      storeOf(async () => answer as never),
      { findByHash: () => undefined, findManyByHash: async () => [answer as never] },
    ]) {
      expect(await thrownBy(() => over(store)("abc"))).toBeInstanceOf(StoreError);
    }
  });

  test("the time limit is for all peppers together", async () => {
    const three = createHashers({
      current: "v3",
      keys: { v1: "first pepper, long enough", v2: "second pepper, long enough", v3: "third, long enough" },
    });
    vi.useFakeTimers();
    const slowly = async () => {
      await sleep(200);
      return undefined;
    };
    for (const store of [
      storeOf(slowly),
      { findByHash: slowly, findManyByHash: async () => [await slowly()] },
    ]) {
      const came = performance.now();
      const waiting = thrownBy(() => createFinder(store, three, 250)("abc")).then((error) => ({
        error,
        after: performance.now() - came, // one after another they would take 600
      }));
      await pass(700);
      const error = new StoreError("The key store did not answer within 250 ms");
      expect(await waiting).toEqual({ error, after: 250 });
    }
    await pass(450); // what is left behind must not become an unhandled rejection
  });

  test("no timer is left when there are several peppers", async () => {
    const before = timers();
    const find = createFinder(
      storeOf(async () => undefined),
      hashers,
      60_000,
    );
    await Promise.all(Array.from({ length: 20 }, (_, i) => find(`secret ${i}`)));
    expect(timers() - before).toBeLessThan(5); // some are the test runner's own
  });
});

test("a revocation is seen by the next request, whatever is under way", async () => {
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
    storeTimeout: `${PATIENCE_MS}ms`,
  });
  const early = slow.verify(bearer(secret));
  await sleep(1);
  await manager.revoke(key.id);
  const late = slow.verify(bearer(secret));
  expect((await early).ok).toBe(true);
  expect((await late).ok).toBe(false);
  expect((await verifier.verify(bearer(secret))).ok).toBe(false);
});

/** Small random numbers that are the same in every run. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
