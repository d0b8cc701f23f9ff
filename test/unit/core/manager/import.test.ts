import { describe, expect, test, vi } from "vitest";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  KeyConflictError,
  KeyInputError,
  type KeyManagerOptions,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import {
  allowed,
  bearer,
  type FleetScope,
  format,
  refused,
  START,
  scopes,
  service,
  stoppedClock,
  thrownBy,
} from "../fixtures.js";

const SECRET = "0123456789abcdef0123456789abcdef";
const HASH = hashSecret(SECRET);
const INPUT = { ownerId: "acme", scopes: ["vehicles:read"] } as const;
const bare = { parse: (secret: string) => (/^[0-9a-f]{32}$/.test(secret) ? {} : undefined) };

function managing(more: Partial<KeyManagerOptions<FleetScope>> = {}) {
  const store = more.store ?? memoryStore();
  const clock = stoppedClock();
  const manager = createKeyManager({ store, scopes, format, clock: clock.now, ...more });
  const verifier = createVerifier({ store, scopes, format: [format, bare], clock: clock.now });
  return { store, manager, verify: (secret: string) => verifier.verify(bearer(secret)) };
}

describe("import", () => {
  test("by its secret, which works from then on and is answered to nobody", async () => {
    const { manager, store, verify } = managing();
    const key = await manager.import({ secret: SECRET, ...INPUT }, "ann");
    expect(key).toMatchObject({ ownerId: "acme", status: "active", start: "", environment: null });
    expect(allowed(await verify(SECRET)).id).toBe(key.id);
    expect(store.findByHash(HASH)).toMatchObject({ id: key.id, version: 1 });
    const { items } = await manager.auditTrail();
    const details = { scopes: ["vehicles:read"], hash: "plain SHA-256" };
    expect(items).toMatchObject([{ action: "imported", keyId: key.id, actor: "ann", details }]);
    expect(key.id).toMatch(/^key_[0-9a-f]{32}$/);
    expect(JSON.stringify([key, items])).not.toContain(SECRET);
    expect(JSON.stringify([key, items])).not.toContain(HASH);
  });

  test("by the hash of its secret, in any case of letters", async () => {
    for (const hash of [HASH, HASH.toUpperCase()]) {
      const { manager, verify } = managing();
      const key = await manager.import({ hash, ...INPUT });
      expect(allowed(await verify(SECRET)).id).toBe(key.id);
    }
  });

  test("with everything that it had", async () => {
    const { manager, store } = managing();
    const key = await manager.import({
      ...INPUT,
      hash: HASH,
      id: "legacy/17",
      start: "0123",
      name: "Importer",
      environment: "live",
      ipAllowlist: ["10.0.0.0/8"],
      createdAt: "2020-02-29T12:00:00+01:00",
      lastUsedAt: new Date(0),
      expiresAt: "2031-01-01T00:00:00Z",
      disabled: true,
      metadata: { plan: "pro" },
      rateLimit: { limit: 5, windowSeconds: 60 },
    });
    expect(key).toEqual({
      id: "legacy/17",
      ownerId: "acme",
      name: "Importer",
      start: "0123",
      environment: "live",
      status: "disabled",
      scopes: ["vehicles:read"],
      ipAllowlist: ["10.0.0.0/8"],
      rateLimit: { limit: 5, windowSeconds: 60 },
      metadata: { plan: "pro" },
      createdAt: new Date("2020-02-29T11:00:00Z"),
      updatedAt: START,
      expiresAt: new Date("2031-01-01T00:00:00Z"),
      lastUsedAt: new Date(0),
      disabledAt: START,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
    });
    expect((await manager.get("legacy/17"))?.name).toBe("Importer");
    expect((await store.findByHash(HASH))?.hash).toBe(HASH);
  });

  test("of a secret of the own format takes its environment and start from it", async () => {
    const { manager, verify } = managing();
    const secret = format.generate("test");
    const key = await manager.import({ secret, ...INPUT });
    expect(key).toMatchObject({ environment: "test", start: secret.slice(0, 13) });
    expect((await verify(secret)).ok).toBe(true);
    const named = await manager.import({ secret: format.generate("test"), environment: "test", ...INPUT });
    expect(named.environment).toBe("test");
  });

  test("twice, by secret, hash or id, is a conflict that writes nothing", async () => {
    const { manager } = managing();
    await manager.import({ secret: SECRET, id: "legacy", ...INPUT });
    for (const [again, what] of [
      [{ secret: SECRET, ...INPUT }, "secret"],
      [{ hash: HASH, ...INPUT }, "secret"],
      [{ secret: `${SECRET}0`, id: "legacy", ...INPUT }, "id"],
    ] as const) {
      expect(await thrownBy(() => manager.import(again))).toEqual(
        new KeyConflictError(`A key of this ${what} exists`),
      );
    }
    expect((await manager.list()).items).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  test("of a key that acts for another owner is told by its member, and is no key that is there", async () => {
    const { manager, verify } = managing();
    await manager.import({ secret: SECRET, id: "legacy", ...INPUT });
    const evil = { ...INPUT, ownerId: "evil" };
    const outcomes = [
      await thrownBy(() => manager.import({ secret: SECRET, ...evil })),
      await thrownBy(() => manager.import({ hash: HASH, ...evil })),
      await thrownBy(() => manager.import({ hash: hashSecret("another"), id: "legacy", ...evil })),
    ];
    expect(outcomes).toEqual(Array(3).fill(expect.any(KeyInputError)));
    const problem = "is that of a key of another owner";
    expect(outcomes).toMatchObject(["secret", "hash", "id"].map((path) => ({ path, problem })));
    expect(allowed(await verify(SECRET)).ownerId).toBe("acme");
    expect(await manager.list()).toMatchObject({ items: [{ id: "legacy" }] });
  });

  test("of one secret for two owners at once makes one key, and the other is told whose it is", async () => {
    const { manager } = managing();
    const outcomes = await Promise.allSettled(
      ["acme", "evil"].map((ownerId) => manager.import({ secret: SECRET, ...INPUT, ownerId })),
    );
    expect(outcomes).toMatchObject([
      { status: "fulfilled" },
      { reason: { path: "secret", problem: "is that of a key of another owner" } },
    ]);
  });

  test("of one secret many times at once makes one key", async () => {
    const { manager } = managing();
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => manager.import({ secret: SECRET, ...INPUT })),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await manager.list()).items).toHaveLength(1);
  });

  test("with a pepper, hashes secrets with it and takes hashes of its versions", async () => {
    const pepper = { current: "v2", keys: { v1: "the first pepper of all", v2: "the second pepper of all" } };
    const { manager, store } = managing({ pepper });
    await manager.import({ secret: SECRET, ...INPUT });
    expect(store.findByHash(hashSecret(SECRET, pepper))).toBeDefined();
    const old = hashSecret(`${SECRET}1`, { current: "v1", keys: pepper.keys });
    await manager.import({ hash: old, ...INPUT });
    expect(store.findByHash(old)).toBeDefined();
    for (const hash of [hashSecret("x"), `v3:${HASH}`]) {
      expect(await thrownBy(() => manager.import({ hash, ...INPUT }))).toMatchObject({ path: "hash" });
    }
    const { manager: both } = managing({ pepper: { ...pepper, unpeppered: true } });
    await both.import({ hash: HASH, ...INPUT });
  });

  test("keeps to the longest life, counted from its creation", async () => {
    const { manager } = managing({ maxLifetime: "90d" });
    const day = 86_400_000;
    const createdAt = new Date(START.getTime() - 60 * day);
    const key = await manager.import({ secret: SECRET, createdAt, ...INPUT });
    expect(key.expiresAt).toEqual(new Date(START.getTime() + 30 * day));
    const ancient = new Date(START.getTime() - 91 * day);
    const error = await thrownBy(() =>
      manager.import({ secret: `${SECRET}1`, createdAt: ancient, ...INPUT }),
    );
    expect(error).toMatchObject({ path: "expiresAt" });
  });

  const SECRET_FORM = "secret must be 16 to 512 of A-Z a-z 0-9 . _ ~ + / -, and = at its end";
  const HASH_FORM = "hash must be 64 hex digits of SHA-256, unless hashedBy says how it was made";
  const LEGACY_FORM = "hash must be 1 to 190 printable characters of ASCII, without spaces";
  const LEGACY_NAME = 'hashedBy must be the name of one of the manager\'s "legacyHashes"';

  test.each<[string, object, string, string]>([
    ["neither a secret nor a hash", {}, "import", "import needs either a secret or a hash"],
    ["both", { secret: SECRET, hash: HASH }, "import", "import needs either a secret or a hash"],
    ["a short secret", { secret: "0123456789abcde" }, "secret", SECRET_FORM],
    ["a secret with a space", { secret: `${SECRET} a` }, "secret", SECRET_FORM],
    ["a secret that is too long", { secret: "a".repeat(513) }, "secret", SECRET_FORM],
    ["a secret that is no text", { secret: 1_234_567_890_123_456 }, "secret", SECRET_FORM],
    [
      "a secret with hashedBy",
      { secret: SECRET, hashedBy: "old" },
      "hashedBy",
      "hashedBy belongs to a hash, not to a secret",
    ],
    ["a hash that is none", { hash: "abc" }, "hash", HASH_FORM],
    ["a hash of 65 digits", { hash: `${HASH}0` }, "hash", HASH_FORM],
    ["a hash in a list", { hash: [HASH] }, "hash", HASH_FORM],
    [
      "a hash with a pepper that nobody has",
      { hash: `v1:${HASH}` },
      "hash",
      "hash is of a kind that nobody would look for; see pepper and its unpeppered",
    ],
    ["a hash of nobody", { hash: HASH, hashedBy: "new" }, "hashedBy", LEGACY_NAME],
    ["a hash of a list of names", { hash: HASH, hashedBy: ["old"] }, "hashedBy", LEGACY_NAME],
    ["a legacy hash with spaces", { hash: "a b", hashedBy: "old" }, "hash", LEGACY_FORM],
    ["a legacy hash that is empty", { hash: "", hashedBy: "old" }, "hash", LEGACY_FORM],
    ["an unknown member", { hash: HASH, revoked: true }, "revoked", "revoked "],
    ["an empty id", { hash: HASH, id: "" }, "id", "id "],
    ["an id with a line end", { hash: HASH, id: "a\nb" }, "id", "id "],
    ["an owner that is empty", { hash: HASH, ownerId: "" }, "ownerId", "ownerId "],
    ["a name that is a number", { hash: HASH, name: 7 }, "name", "name "],
    ["an allowlist that is a text", { hash: HASH, ipAllowlist: "10.0.0.1" }, "ipAllowlist", "ipAllowlist "],
    [
      "metadata that is a list",
      { hash: HASH, metadata: [] },
      "metadata",
      "metadata must be an object, got an array",
    ],
    ["a limit that is a number", { hash: HASH, rateLimit: 7 }, "rateLimit", "rateLimit "],
    ["a start that is a number", { hash: HASH, start: 7 }, "start", "start "],
    [
      "a start that is long",
      { hash: HASH, start: "a".repeat(17) },
      "start",
      "start must have at most 16 characters",
    ],
    [
      "a start that tells the secret",
      { secret: SECRET.slice(0, 20), start: SECRET.slice(0, 9) },
      "start",
      "start must leave at least 12 characters of the secret out",
    ],
    [
      "a start from elsewhere in the secret",
      { secret: SECRET, start: SECRET.slice(1, 9) },
      "start",
      "start must be how the secret begins",
    ],
    [
      "a start from the end of the secret",
      { secret: `${SECRET}01ab`, start: "01ab" },
      "start",
      "start must be how the secret begins",
    ],
    [
      "a start that is the secret",
      { hash: hashSecret("0123456789abcdef"), start: "0123456789abcdef" },
      "start",
      "start is the whole secret",
    ],
    [
      "a start that is the secret of the other system",
      { hash: "hunter22", hashedBy: "old", start: "hunter22" },
      "start",
      "start is the whole secret",
    ],
    [
      "an environment beside that of the secret",
      { secret: format.generate("test"), environment: "live" },
      "environment",
      "environment must be the one that the secret names",
    ],
    [
      "a creation in the future",
      { hash: HASH, createdAt: "2030-01-01T00:00:00.001Z" },
      "createdAt",
      "createdAt ",
    ],
    [
      "a creation that is no date",
      { hash: HASH, createdAt: "2021-02-29T00:00:00Z" },
      "createdAt",
      "createdAt ",
    ],
    ["a creation before 1970", { hash: HASH, createdAt: "1969-12-31T23:59:59Z" }, "createdAt", "createdAt "],
    [
      "a use in the future",
      { hash: HASH, lastUsedAt: new Date("2030-01-01T00:00:00.001Z") },
      "lastUsedAt",
      "lastUsedAt ",
    ],
    ["an expiry in the past", { hash: HASH, expiresAt: START }, "expiresAt", "expiresAt "],
    ["a scope of nobody", { hash: HASH, scopes: ["trucks:read"] }, "scopes[0]", "scopes[0] "],
    ["an environment of nobody", { hash: HASH, environment: "prod" }, "environment", "environment must "],
    [
      "disabled that is a text",
      { hash: HASH, disabled: "yes" },
      "disabled",
      "disabled must be true or false",
    ],
  ])("refuses %s, and writes nothing", async (_, input, path, beginning) => {
    const { manager } = managing({ legacyHashes: [{ name: "old", hash: (secret) => secret }] });
    const error = await thrownBy(() => manager.import({ ...INPUT, ...input } as never));
    expect(error).toBeInstanceOf(KeyInputError);
    expect(error).toMatchObject({ path });
    const { message } = error as Error;
    expect(message.slice(0, beginning.length)).toBe(beginning);
    expect(message).not.toContain(SECRET.slice(0, 15));
    expect((await manager.list()).items).toEqual([]);
  });

  test("needs an object, and an actor", async () => {
    const { manager } = managing();
    for (const input of [undefined, null, [], "secret"]) {
      expect(await thrownBy(() => manager.import(input as never))).toMatchObject({ path: "import" });
    }
    const error = await thrownBy(() => manager.import({ hash: HASH, ...INPUT }, null as never));
    expect(error).toMatchObject({ name: "KeyInputError", path: "import" });
  });

  test("waits for a legacy hash no longer than for the store", async () => {
    const legacyHashes = [{ name: "old", hash: () => new Promise<string>(() => {}) }];
    const { manager } = managing({ legacyHashes, storeTimeout: "1ms" });
    expect(await thrownBy(() => manager.import({ secret: SECRET, ...INPUT }))).toEqual(
      new StoreError("A legacy hash did not answer within 1 ms"),
    );
  });

  test("shows as much of a secret as may be shown", async () => {
    const { manager } = managing();
    const most = { hash: HASH, start: "0123456789abcdef" };
    expect((await manager.import({ ...most, ...INPUT })).start).toBe("0123456789abcdef");
    const least = { secret: "0123456789abcdef", start: "0123" };
    expect((await manager.import({ ...least, ...INPUT })).start).toBe("0123");
    const none = { secret: format.generate("live"), start: null as never };
    expect((await manager.import({ ...none, ...INPUT })).start).toBe("");
  });

  test("looks for a secret under each hash that it can have, and no other", async () => {
    const inner = memoryStore();
    const findByHash = vi.fn(inner.findByHash);
    const legacyHashes = [
      { name: "old", hash: () => undefined },
      { name: "older", hash: async () => "0" },
    ];
    const { manager } = managing({ store: { ...inner, findByHash }, legacyHashes });
    await manager.import({ secret: SECRET, ...INPUT });
    expect(findByHash.mock.calls).toEqual([[HASH], ["older:0"]]);
  });

  test("a store that fails is a StoreError", async () => {
    const store = {
      ...memoryStore(),
      insert: () => {
        throw new Error(`insert into keys values ('${HASH}')`);
      },
    };
    const error = await thrownBy(() => managing({ store }).manager.import({ hash: HASH, ...INPUT }));
    expect(error).toBeInstanceOf(StoreError);
    expect(String(error)).not.toContain(HASH);
  });
});

describe("a secret that was revoked", () => {
  const keys = { v1: "the first pepper of all", v2: "the second pepper of all" };

  test("cannot come back under another pepper, or before one", async () => {
    const store = memoryStore();
    for (const old of [{ current: "v1", keys }, undefined]) {
      const { manager } = managing({ store, ...(old && { pepper: old }) });
      const secret = format.generate("live");
      await manager.revoke((await manager.import({ secret, ...INPUT })).id);
      const next = managing({ store, pepper: { current: "v2", keys, unpeppered: true } });
      expect(await thrownBy(() => next.manager.import({ secret, ...INPUT }))).toBeInstanceOf(
        KeyConflictError,
      );
    }
  });

  test("cannot come back by an import that runs again after its key has moved", async () => {
    const store = memoryStore();
    const legacyHashes = [
      { name: "old", hash: (secret: string) => `${secret.length}/${hashSecret(secret)}` },
    ];
    const { manager } = managing({ store, legacyHashes });
    const hash = legacyHashes[0]?.hash(SECRET) as string;
    const key = await manager.import({ hash, hashedBy: "old", ...INPUT });
    const verifier = createVerifier({ store, scopes, format: bare, legacyHashes });
    expect((await verifier.verify(bearer(SECRET))).ok).toBe(true);
    await vi.waitFor(() => expect(store.findByHash(HASH)).toBeDefined(), 60_000);
    await manager.revoke(key.id);
    const again = await thrownBy(() => manager.import({ hash, hashedBy: "old", ...INPUT }));
    expect(again).toBeInstanceOf(KeyConflictError);
    const input = { hash, hashedBy: "old", ...INPUT, ownerId: "evil" };
    const another = await thrownBy(() => manager.import(input));
    expect(another).toMatchObject({ path: "hash", problem: "is that of a key of another owner" });
    expect((await verifier.verify(bearer(SECRET))).ok).toBe(false);
  });
});

test("a key without an environment is rotated into one that has", async () => {
  const { manager, verify } = managing();
  const { id } = await manager.import({ secret: SECRET, ...INPUT });
  expect(await thrownBy(() => manager.rotate(id))).toMatchObject({ path: "environment" });
  const { secret, key } = await manager.rotate(id, { environment: "live" });
  expect(key.environment).toBe("live");
  expect((await verify(secret)).ok).toBe(true);
  expect(await thrownBy(() => manager.rotate(key.id, { environment: "test" }))).toMatchObject({
    path: "environment",
  });
});

test("a disabled import does not work until it is enabled", async () => {
  const { manager, verifier } = service();
  const secret = format.generate("live");
  const key = await manager.import({ secret, disabled: true, ...INPUT });
  expect(refused(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
  await manager.enable(key.id);
  expect((await verifier.verify(bearer(secret))).ok).toBe(true);
});
