import { describe, expect, it } from "vitest";
import { cachedStore } from "../../../../src/cache/index.js";
import {
  createVerifier,
  hashSecret,
  type KeyRecord,
  type KeyStore,
  StoreError,
} from "../../../../src/index.js";
import { bearer, format, recordOf, scopes, thrownBy } from "../fixtures.js";

const secret = format.generate("live");
const hash = hashSecret(secret);
const record = recordOf(hash, { environment: "live", scopes: ["vehicles:read"], ipAllowlist: ["0.0.0.0/0"] });
const fail = (): never => {
  throw new TypeError("a getter of the store");
};
const hang = () => {};

/** Returns the record with a getter for one member. */
const withGetter = (member: string, get: () => unknown) =>
  Object.defineProperty({ ...record }, member, { get, enumerable: true });

/** A `then` that is a function from the read of this number on. */
const thenFrom = (number: number) => {
  let reads = 0;
  return () => (++reads >= number ? hang : undefined);
};

const MEMBERS = ["id", "hash", "ownerId", "scopes", "environment", "ipAllowlist", "revokedAt", "expiresAt"];
const VALUES: readonly (readonly [string, () => unknown])[] = [
  ...[...MEMBERS, "createdAt", "rateLimit", "metadata", "then"].map(
    (member) => [`a getter of "${member}" that throws`, () => withGetter(member, fail)] as const,
  ),
  ...[1, 2, 3, 4, 5, 6, 7, 8].flatMap((number) => [
    [`a "then" from read ${number} on`, () => withGetter("then", thenFrom(number))] as const,
    [
      `a proxy with a "then" from read ${number} on`,
      () => {
        const then = thenFrom(number);
        return new Proxy(record, {
          get: (target, name) => (name === "then" ? then() : Reflect.get(target, name)),
        });
      },
    ] as const,
  ]),
  ["a proxy that throws", () => new Proxy(record, { get: fail })],
  ["a revoked proxy", () => revokedProxy({ ...record })],
  ["a function", () => hang],
  ["scopes that throw", () => ({ ...record, scopes: Object.defineProperty([""], 0, { get: fail }) })],
  ["a revoked proxy of an allowlist", () => ({ ...record, ipAllowlist: revokedProxy([]) })],
];

function revokedProxy<T extends object>(target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const STORES: Readonly<Record<string, (value: () => unknown) => KeyStore>> = {
  synchronous: (value) => ({ findByHash: (asked) => (asked === hash ? value() : undefined) as KeyRecord }),
  asynchronous: (value) => ({
    findByHash: async (asked) => (asked === hash ? value() : undefined) as KeyRecord,
  }),
  "with batches": (value) => ({
    findByHash: async () => undefined,
    findManyByHash: async (hashes) =>
      hashes.map((asked) => (asked === hash ? value() : undefined) as KeyRecord),
  }),
  cached: (value) => cachedStore({ findByHash: async () => value() as KeyRecord }),
};

/** The hash is the current one, or one of an older pepper. */
const PEPPERS = [
  undefined,
  { current: "v1", keys: { v1: "a pepper of 32 characters, at least" }, unpeppered: true },
];

describe.each(Object.entries(STORES))("a %s store", (_, storeOf) => {
  describe.each(PEPPERS)("with the pepper %o", (pepper) => {
    it.each(VALUES)("that returns %s causes a result or a StoreError, in time", async (_, value) => {
      const verifier = createVerifier({
        store: storeOf(value),
        scopes,
        format,
        storeTimeout: "50ms",
        ...(pepper && { pepper }),
      });
      // Two at once, so that the second one waits for the first one or is in its batch.
      const verify = async () => {
        const result = await verifier.verify(bearer(secret, { remoteAddress: "192.0.2.7" }), "vehicles:read");
        return result.ok ? result.principal.key : result;
      };
      for (const outcome of await Promise.allSettled([verify(), verify(), verify()])) {
        if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(StoreError);
      }
    });
  });
});

it("a key whose metadata cannot be copied is a StoreError without the text of the metadata", async () => {
  const store: KeyStore = { findByHash: () => ({ ...record, metadata: { f: () => "private" } }) };
  const verifier = createVerifier({ store, scopes, format });
  const result = await verifier.verify(bearer(secret, { remoteAddress: "192.0.2.7" }));
  const error = await thrownBy(async () => result.ok && result.principal.key);
  expect(error).toBeInstanceOf(StoreError);
  expect(String(error)).not.toContain("private");
});
