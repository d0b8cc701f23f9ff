import { describe, expect, it, vi } from "vitest";
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
  errorOf,
  type FleetScope,
  format,
  START,
  scopes,
  service,
  stoppedClock,
  thrownBy,
} from "../fixtures.js";

const SECRET = "0123456789abcdef0123456789abcdef";
const HASH = hashSecret(SECRET);
const INPUT = { ownerId: "acme", scopes: ["vehicles:read"] } as const;
const hexFormat = { parse: (secret: string) => (/^[0-9a-f]{32}$/.test(secret) ? {} : undefined) };

function managing(more: Partial<KeyManagerOptions<FleetScope>> = {}) {
  const store = more.store ?? memoryStore();
  const clock = stoppedClock();
  const manager = createKeyManager({ store, scopes, format, clock: clock.now, ...more });
  const verifier = createVerifier({ store, scopes, format: [format, hexFormat], clock: clock.now });
  return { store, manager, verify: (secret: string) => verifier.verify(bearer(secret)) };
}

describe("import", () => {
  it("imports a key by its secret, and does not return the secret", async () => {
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

  it("imports a key by the hash of its secret, in upper or lower case", async () => {
    for (const hash of [HASH, HASH.toUpperCase()]) {
      const { manager, verify } = managing();
      const key = await manager.import({ hash, ...INPUT });
      expect(allowed(await verify(SECRET)).id).toBe(key.id);
    }
  });

  it("keeps every member of the key", async () => {
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
      version: 1,
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
      suspendedAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
      disabledBy: "operator",
      rotationRoot: null,
      createdBy: null,
      createdByKey: null,
    });
    expect((await manager.get("legacy/17"))?.name).toBe("Importer");
    expect((await store.findByHash(HASH))?.hash).toBe(HASH);
  });

  it("reads the environment and start from a secret of the own format", async () => {
    const { manager, verify } = managing();
    const secret = format.generate("test");
    const key = await manager.import({ secret, ...INPUT });
    expect(key).toMatchObject({ environment: "test", start: secret.slice(0, 13) });
    expect((await verify(secret)).ok).toBe(true);
    const named = await manager.import({ secret: format.generate("test"), environment: "test", ...INPUT });
    expect(named.environment).toBe("test");
  });

  it("rejects a second import of a secret, hash or id, and writes nothing", async () => {
    const { manager } = managing();
    await manager.import({ secret: SECRET, id: "legacy", ...INPUT });
    for (const [again, what] of [
      [{ secret: SECRET, ...INPUT }, "secret"],
      [{ hash: HASH, ...INPUT }, "secret"],
      [{ secret: `${SECRET}0`, id: "legacy", ...INPUT }, "id"],
    ] as const) {
      expect(await thrownBy(() => manager.import(again))).toEqual(
        new KeyConflictError(`A key with this ${what} already exists`),
      );
    }
    expect((await manager.list()).items).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  it("rejects the key of another owner as an input error that names the member", async () => {
    const { manager, verify } = managing();
    await manager.import({ secret: SECRET, id: "legacy", ...INPUT });
    const evil = { ...INPUT, ownerId: "evil" };
    const outcomes = [
      await thrownBy(() => manager.import({ secret: SECRET, ...evil })),
      await thrownBy(() => manager.import({ hash: HASH, ...evil })),
      await thrownBy(() => manager.import({ hash: hashSecret("another"), id: "legacy", ...evil })),
    ];
    expect(outcomes).toEqual(Array(3).fill(expect.any(KeyInputError)));
    const problem = "belongs to a key of another owner";
    expect(outcomes).toMatchObject(["secret", "hash", "id"].map((path) => ({ path, problem })));
    expect(allowed(await verify(SECRET)).ownerId).toBe("acme");
    expect(await manager.list()).toMatchObject({ items: [{ id: "legacy" }] });
  });

  it("creates one key if two owners import a secret concurrently", async () => {
    const { manager } = managing();
    const outcomes = await Promise.allSettled(
      ["acme", "evil"].map((ownerId) => manager.import({ secret: SECRET, ...INPUT, ownerId })),
    );
    expect(outcomes).toMatchObject([
      { status: "fulfilled" },
      { reason: { path: "secret", problem: "belongs to a key of another owner" } },
    ]);
  });

  it("creates one key if a secret is imported many times concurrently", async () => {
    const { manager } = managing();
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => manager.import({ secret: SECRET, ...INPUT })),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await manager.list()).items).toHaveLength(1);
  });

  it("hashes secrets with the pepper, and accepts hashes of its versions", async () => {
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

  it("counts maxLifetime from the creation of the key", async () => {
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

  const NEITHER_OR_BOTH = 'import must have either "secret" or "hash"';
  const SECRET_FORM =
    "secret must be 16 to 512 characters of A-Z a-z 0-9 . _ ~ + / -, with = only at the end";
  const HASH_FORM = 'hash must be a SHA-256 of 64 hex digits; name any other hash with "hashedBy"';
  const LEGACY_FORM = "hash must be 1 to 190 printable ASCII characters, without spaces";
  const LEGACY_NAME = 'hashedBy must be the name of one of the manager\'s "legacyHashes"';

  it.each<[string, object, string, string]>([
    ["neither a secret nor a hash", {}, "import", NEITHER_OR_BOTH],
    ["a secret and a hash", { secret: SECRET, hash: HASH }, "import", NEITHER_OR_BOTH],
    ["a short secret", { secret: "0123456789abcde" }, "secret", SECRET_FORM],
    ["a secret with a space", { secret: `${SECRET} a` }, "secret", SECRET_FORM],
    ["a secret that is too long", { secret: "a".repeat(513) }, "secret", SECRET_FORM],
    ["a secret that is a number", { secret: 1_234_567_890_123_456 }, "secret", SECRET_FORM],
    [
      "a secret with hashedBy",
      { secret: SECRET, hashedBy: "old" },
      "hashedBy",
      'hashedBy is only allowed together with "hash"',
    ],
    ["a hash of 3 characters", { hash: "abc" }, "hash", HASH_FORM],
    ["a hash of 65 digits", { hash: `${HASH}0` }, "hash", HASH_FORM],
    ["a hash in an array", { hash: [HASH] }, "hash", HASH_FORM],
    [
      "a hash with an unknown pepper version",
      { hash: `v1:${HASH}` },
      "hash",
      'hash is not looked up with this "pepper"; see its "unpeppered"',
    ],
    ["an unknown hashedBy", { hash: HASH, hashedBy: "new" }, "hashedBy", LEGACY_NAME],
    ["hashedBy in an array", { hash: HASH, hashedBy: ["old"] }, "hashedBy", LEGACY_NAME],
    ["a legacy hash with spaces", { hash: "a b", hashedBy: "old" }, "hash", LEGACY_FORM],
    ["a legacy hash that is empty", { hash: "", hashedBy: "old" }, "hash", LEGACY_FORM],
    ["an unknown member", { hash: HASH, revoked: true }, "revoked", "revoked "],
    ["an empty id", { hash: HASH, id: "" }, "id", "id "],
    ["an id with a line break", { hash: HASH, id: "a\nb" }, "id", "id "],
    ["an owner that is empty", { hash: HASH, ownerId: "" }, "ownerId", "ownerId "],
    ["a name that is a number", { hash: HASH, name: 7 }, "name", "name "],
    ["an allowlist that is a string", { hash: HASH, ipAllowlist: "10.0.0.1" }, "ipAllowlist", "ipAllowlist "],
    [
      "metadata that is an array",
      { hash: HASH, metadata: [] },
      "metadata",
      "metadata must be an object; received an array",
    ],
    ["a rate limit that is a number", { hash: HASH, rateLimit: 7 }, "rateLimit", "rateLimit "],
    ["a start that is a number", { hash: HASH, start: 7 }, "start", "start "],
    [
      "a start of 17 characters",
      { hash: HASH, start: "a".repeat(17) },
      "start",
      "start must have at most 16 characters",
    ],
    [
      "a start that reveals too much of the secret",
      { secret: SECRET.slice(0, 20), start: SECRET.slice(0, 9) },
      "start",
      "start must omit at least 12 characters of the secret",
    ],
    [
      "a start from the middle of the secret",
      { secret: SECRET, start: SECRET.slice(1, 9) },
      "start",
      "start must be the beginning of the secret",
    ],
    [
      "a start from the end of the secret",
      { secret: `${SECRET}01ab`, start: "01ab" },
      "start",
      "start must be the beginning of the secret",
    ],
    [
      "a start that is the whole secret",
      { hash: hashSecret("0123456789abcdef"), start: "0123456789abcdef" },
      "start",
      "start must not be the whole secret",
    ],
    [
      "a start that is the whole secret of the other system",
      { hash: "hunter22", hashedBy: "old", start: "hunter22" },
      "start",
      "start must not be the whole secret",
    ],
    [
      "another environment than that of the secret",
      { secret: format.generate("test"), environment: "live" },
      "environment",
      "environment must match the environment in the secret",
    ],
    [
      "a creation in the future",
      { hash: HASH, createdAt: "2030-01-01T00:00:00.001Z" },
      "createdAt",
      "createdAt ",
    ],
    [
      "a creation on a day that does not exist",
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
    ["an undefined scope", { hash: HASH, scopes: ["trucks:read"] }, "scopes[0]", "scopes[0] "],
    ["an unknown environment", { hash: HASH, environment: "prod" }, "environment", "environment must "],
    [
      "disabled that is a string",
      { hash: HASH, disabled: "yes" },
      "disabled",
      "disabled must be true or false",
    ],
  ])("rejects %s, and writes nothing", async (_, input, path, prefix) => {
    const { manager } = managing({ legacyHashes: [{ name: "old", hash: (secret) => secret }] });
    const error = await thrownBy(() => manager.import({ ...INPUT, ...input } as never));
    expect(error).toBeInstanceOf(KeyInputError);
    expect(error).toMatchObject({ path });
    const { message } = error as Error;
    expect(message.slice(0, prefix.length)).toBe(prefix);
    expect(message).not.toContain(SECRET.slice(0, 15));
    expect((await manager.list()).items).toEqual([]);
  });

  it("rejects an input that is not an object, and an actor of null", async () => {
    const { manager } = managing();
    for (const input of [undefined, null, [], "secret"]) {
      expect(await thrownBy(() => manager.import(input as never))).toMatchObject({ path: "import" });
    }
    const error = await thrownBy(() => manager.import({ hash: HASH, ...INPUT }, null as never));
    expect(error).toMatchObject({ name: "KeyInputError", path: "import" });
  });

  it("applies the store timeout to legacy hashes", async () => {
    const legacyHashes = [{ name: "old", hash: () => new Promise<string>(() => {}) }];
    const { manager } = managing({ legacyHashes, storeTimeout: "1ms" });
    expect(await thrownBy(() => manager.import({ secret: SECRET, ...INPUT }))).toEqual(
      new StoreError("A legacy hash did not respond within 1 ms"),
    );
  });

  it("accepts a start of up to 16 characters that leaves 12 out", async () => {
    const { manager } = managing();
    const most = { hash: HASH, start: "0123456789abcdef" };
    expect((await manager.import({ ...most, ...INPUT })).start).toBe("0123456789abcdef");
    const least = { secret: "0123456789abcdef", start: "0123" };
    expect((await manager.import({ ...least, ...INPUT })).start).toBe("0123");
    const hidden = { secret: format.generate("live"), start: null as never };
    expect((await manager.import({ ...hidden, ...INPUT })).start).toBe("");
  });

  it("looks a secret up under each hash that it can have", async () => {
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

  it("throws a StoreError without the text of the driver if the store fails", async () => {
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

describe("import of a revoked secret", () => {
  const keys = { v1: "the first pepper of all", v2: "the second pepper of all" };

  it("is rejected under a newer pepper", async () => {
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

  it("is rejected after the legacy hash of the key was replaced", async () => {
    const store = memoryStore();
    const legacyHashes = [
      { name: "old", hash: (secret: string) => `${secret.length}/${hashSecret(secret)}` },
    ];
    const { manager } = managing({ store, legacyHashes });
    const hash = legacyHashes[0]?.hash(SECRET) as string;
    const key = await manager.import({ hash, hashedBy: "old", ...INPUT });
    const verifier = createVerifier({ store, scopes, format: hexFormat, legacyHashes });
    expect((await verifier.verify(bearer(SECRET))).ok).toBe(true);
    await vi.waitFor(() => expect(store.findByHash(HASH)).toBeDefined(), 60_000);
    await manager.revoke(key.id);
    const again = await thrownBy(() => manager.import({ hash, hashedBy: "old", ...INPUT }));
    expect(again).toBeInstanceOf(KeyConflictError);
    const input = { hash, hashedBy: "old", ...INPUT, ownerId: "evil" };
    const another = await thrownBy(() => manager.import(input));
    expect(another).toMatchObject({ path: "hash", problem: "belongs to a key of another owner" });
    expect((await verifier.verify(bearer(SECRET))).ok).toBe(false);
  });
});

it("requires an environment to rotate an imported key without one", async () => {
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

it("imports a disabled key", async () => {
  const { manager, verifier } = service();
  const secret = format.generate("live");
  const key = await manager.import({ secret, disabled: true, ...INPUT });
  expect(errorOf(await verifier.verify(bearer(secret))).code).toBe("invalid_key");
  await manager.enable(key.id);
  expect((await verifier.verify(bearer(secret))).ok).toBe(true);
});
