import { decodeProtectedHeader } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SigningKey, SigningKeyStore, TokenServiceOptions } from "../../../src/oauth/index.js";
import { allowed, bearer, errorOf, type FleetScope, thrownBy } from "../core/fixtures.js";
import { ecKey, exchanger, post } from "./fixtures.js";

const [one, two, three] = ["1", "2", "3"].map((kid) => ({ key: ecKey(), kid })) as [
  SigningKey,
  SigningKey,
  SigningKey,
];
const ALL = [one, two, three];

afterEach(() => void vi.useRealTimers());

/** A store in memory, which can fail, and counts its readings. */
function memoryKeyStore() {
  const store = {
    text: undefined as string | undefined,
    reads: 0,
    failure: undefined as Error | undefined,
    read: () => {
      store.reads++;
      return store.failure === undefined ? Promise.resolve(store.text) : Promise.reject(store.failure);
    },
    replace: async (expected: string | undefined, next: string) => {
      if (store.failure !== undefined) throw store.failure;
      if (store.text !== expected) return false;
      store.text = next;
      return true;
    },
  };
  return store satisfies SigningKeyStore;
}

/** Creates a token service, a process of those that share `signingKeyStore`. */
async function processOf(
  signingKeyStore: SigningKeyStore,
  more: Partial<TokenServiceOptions<FleetScope>> = {},
) {
  const base = exchanger({ signingKey: ALL, signingKeyStore, ...more });
  const { secret } = await base.issue();
  return {
    ...base,
    issueToken: () => base.tokenOf(secret),
    verify: (token: string) => base.tokens.verifier.verify(bearer(token)),
    kids: async () => {
      const { body } = await post(base.tokens, "/.well-known/jwks.json", { method: "GET" });
      return (body.keys as { kid: string }[] | undefined)?.map(({ kid }) => kid);
    },
  };
}

const kidOf = (token: string) => decodeProtectedHeader(token).kid;

describe("signingKeyStore", () => {
  it("is not needed to be written before the first rotation: the first key signs", async () => {
    const store = memoryKeyStore();
    const { issueToken, verify, kids } = await processOf(store);
    const token = await issueToken();
    expect(kidOf(token)).toBe("1");
    allowed(await verify(token));
    expect(await kids()).toEqual(["1", "2", "3"]);
    expect(store.text).toBeUndefined();
  });

  it("contains kids and times, and no key", async () => {
    const store = memoryKeyStore();
    const { tokens, clock } = await processOf(store);
    await tokens.rotateSigningKey(two);
    await tokens.retireSigningKey("3");
    const until = clock.now().getTime() + 900_000;
    expect(JSON.parse(store.text ?? "")).toEqual({
      signing: "2",
      retired: [
        ["1", until],
        ["3", 0],
      ],
    });
  });

  it("is in force in this process at once, and in others when they read it", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const store = memoryKeyStore();
    const [here, there] = [await processOf(store), await processOf(store)];
    const token = await here.issueToken();
    const theirs = await there.issueToken();
    await here.tokens.rotateSigningKey(two, { overlap: "0s" });
    errorOf(await here.verify(token));
    allowed(await there.verify(theirs));
    vi.advanceTimersByTime(5_000);
    errorOf(await there.verify(theirs));
    expect(kidOf(await there.issueToken())).toBe("2");
    expect(await there.kids()).toEqual(["2", "3"]);
  });

  it("is read once in a heartbeat, in the background after half of it", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const store = memoryKeyStore();
    const { issueToken, verify } = await processOf(store);
    const token = await issueToken();
    allowed(await verify(token));
    expect(store.reads).toBe(1);
    vi.advanceTimersByTime(2_499);
    await Promise.all([verify(token), verify(token), verify(token)]);
    expect(store.reads).toBe(1);
    vi.advanceTimersByTime(1);
    store.read = vi.fn(() => new Promise<never>(() => {})); // does not delay the request
    await Promise.all([verify(token), verify(token), verify(token)]).then((results) => results.map(allowed));
    expect(store.read).toHaveBeenCalledTimes(1);
  });

  it.each<[string, Partial<SigningKeyStore>]>([
    ["rejects", { read: () => Promise.reject(new Error("secret")) }],
    [
      "throws",
      {
        read: () => {
          throw new Error("secret");
        },
      },
    ],
    ["hangs", { read: () => new Promise(() => {}) }],
    ["returns no JSON", { read: () => "secret" }],
    ["returns another type", { read: () => ({ signing: "1", retired: [] }) as never }],
    ["returns no signing key", { read: () => '{"retired":[]}' }],
    ["returns no retired keys", { read: () => '{"signing":"1"}' }],
    ["returns a damaged entry", { read: () => '{"signing":"1","retired":[["2",null]]}' }],
    ["returns a list", { read: () => "[]" }],
    ["returns null in JSON", { read: () => "null" }],
  ])("fails closed if it %s", async (_, broken) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const store = memoryKeyStore();
    const onError = vi.fn();
    const { tokens, issueToken, verify, kids, events } = await processOf(store, { onError });
    const token = await issueToken();
    allowed(await verify(token));
    Object.assign(store, broken);
    vi.advanceTimersByTime(4_999);
    allowed(await verify(token)); // within the heartbeat
    vi.advanceTimersByTime(1);
    events.length = 0;
    const error = await thrownBy(() => verify(token));
    expect(error).toMatchObject({
      name: "StoreError",
      message: expect.stringContaining("The store of signing keys"),
    });
    expect(String(error)).not.toContain("secret");
    expect(events.map(({ type }) => type)).toEqual(["auth.failed"]);
    expect(await thrownBy(() => issueToken())).toMatchObject({ message: expect.stringMatching(/^503 /) });
    expect(await kids()).toBeUndefined();
    expect(() => tokens.jwks()).toThrow("was not read within the heartbeat");
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const retiring = thrownBy(() => tokens.retireSigningKey("3"));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await retiring).toMatchObject({ name: "StoreError" });
  });

  it("issues nothing if the key that signs is not configured here, and still verifies", async () => {
    const store = memoryKeyStore();
    const behind = await processOf(store, { signingKey: [one, two] });
    const token = await behind.issueToken();
    await (await processOf(store)).tokens.rotateSigningKey(three);
    const { issueToken, verify, kids } = await processOf(store, { signingKey: [one, two] });
    expect(await thrownBy(() => issueToken())).toMatchObject({ message: expect.stringMatching(/^503 /) });
    expect(await kids()).toEqual(["1", "2"]);
    allowed(await behind.verify(token));
    errorOf(await verify(await (await processOf(store)).issueToken()));
  });

  it("makes concurrent changes one after the other, and gives up after ten conflicts", async () => {
    const store = memoryKeyStore();
    const processes = await Promise.all(Array.from({ length: 5 }, () => processOf(store)));
    await processes[0]?.tokens.rotateSigningKey(two, { overlap: "0s" });
    await Promise.all(processes.map(({ tokens }) => tokens.retireSigningKey("3")));
    expect(JSON.parse(store.text ?? "").signing).toBe("2");
    store.replace = async () => false;
    expect(await thrownBy(() => processes[0]?.tokens.retireSigningKey("1"))).toMatchObject({
      name: "StoreError",
      message: "The store of signing keys kept changing concurrently",
    });
    store.replace = (async () => 1) as never;
    expect(await thrownBy(() => processes[0]?.tokens.retireSigningKey("1"))).toMatchObject({
      name: "StoreError",
    });
  });

  it("does not take back a change of this process if a reading began before it was written", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const store = memoryKeyStore();
    const { tokens, issueToken, verify } = await processOf(store);
    const token = await issueToken();
    allowed(await verify(token));
    let finish = (_: boolean): void => {};
    let respond = (_: string | undefined): void => {};
    store.replace = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const rotation = tokens.rotateSigningKey(two, { overlap: "0s" });
    await turn();
    store.read = () =>
      new Promise((resolve) => {
        respond = resolve;
      });
    vi.advanceTimersByTime(2_500);
    allowed(await verify(token)); // begins a reading in the background
    finish(true);
    await rotation;
    respond(undefined);
    await turn();
    errorOf(await verify(token));
  });

  it("rejects mistakes, and changes nothing", async () => {
    const store = memoryKeyStore();
    const { tokens } = await processOf(store);
    await tokens.rotateSigningKey(two, { overlap: "0s" });
    const before = store.text;
    for (const mistake of [
      () => tokens.rotateSigningKey(two), // signs
      () => tokens.rotateSigningKey(one), // is retired
      () => tokens.rotateSigningKey({ key: ecKey(), kid: "4" }), // is not configured
      () => tokens.rotateSigningKey({ key: ecKey(), kid: "3" }), // is another key
      () => tokens.retireSigningKey("2"), // signs
      () => tokens.retireSigningKey("4"), // is not configured
    ]) {
      expect(await thrownBy(mistake)).toBeInstanceOf(TypeError);
    }
    expect(store.text).toBe(before);
  });

  it("rotates back to a key during its overlap, and never after it", async () => {
    const { tokens, clock, kids } = await processOf(memoryKeyStore());
    await tokens.rotateSigningKey(two);
    await tokens.rotateSigningKey(one);
    expect(await kids()).toEqual(["1", "2", "3"]);
    clock.set(clock.now().getTime() + 900_000);
    expect(await kids()).toEqual(["1", "3"]);
    expect(await thrownBy(() => tokens.rotateSigningKey(two))).toMatchObject({
      message: "rotateSigningKey: the key is retired",
    });
  });

  it.each<[object, string]>([
    [{ signingKeyStore: {} }, '"signingKeyStore" must have a method read()'],
    [{ signingKeyStore: { read() {} } }, '"signingKeyStore" must have a method replace()'],
    [{ signingKeyStore: undefined }, '"signingKeyStore" is undefined'],
    [{ signingKeyHeartbeat: "5s" }, '"signingKeyHeartbeat" has no effect without "signingKeyStore"'],
    [{ signingKeyStore: memoryKeyStore(), signingKeyHeartbeat: "2m" }, '"signingKeyHeartbeat"'],
    [{ signingKeyStore: memoryKeyStore(), signingKeyHeartbeat: "999ms" }, '"signingKeyHeartbeat"'],
  ])("rejects %j", (options, message) => {
    expect(() => exchanger(options)).toThrow(message);
  });
});

describe("retireSigningKey", () => {
  it("rejects a key and its cached tokens in this process, also when the clock is set back", async () => {
    const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: ALL });
    const { secret } = await issue();
    const token = await tokenOf(secret);
    await tokens.rotateSigningKey(two);
    allowed(await tokens.verifier.verify(bearer(token)));
    await tokens.retireSigningKey("1");
    clock.set(clock.now().getTime() - 60_000);
    errorOf(await tokens.verifier.verify(bearer(token)));
    expect(tokens.jwks().keys.map(({ kid }) => kid)).toEqual(["2", "3"]);
  });
});

it("rotateSigningKey without an overlap is not undone when the clock is set back", async () => {
  const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: ALL });
  const { secret } = await issue();
  const token = await tokenOf(secret);
  await tokens.rotateSigningKey(two, { overlap: "0s" });
  clock.set(clock.now().getTime() - 60_000);
  errorOf(await tokens.verifier.verify(bearer(token)));
});
