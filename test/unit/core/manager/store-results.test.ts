import { describe, expect, it } from "vitest";
import {
  hashSecret,
  KeyNotFoundError,
  type KeyRecord,
  type ManagedKeyStore,
  StoreError,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { START, thrownBy } from "../fixtures.js";
import { createManager, INPUT } from "./fixtures.js";

const NOT_A_RECORD = "The key store returned a value that is not a key record";
const NOT_A_PAGE = "The key store returned a value that is not a page";
const SECRET_TEXT = "insert into keys values ('hunter2')";

/** An object that fails as soon as a member is read. */
const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error(SECRET_TEXT);
    },
  },
);

function revokedArray(): unknown[] {
  const { proxy, revoke } = Proxy.revocable([], {});
  revoke();
  return proxy;
}

/** Values that pass for a date, and fail when they are used. */
const HOSTILE_DATES: Readonly<Record<string, () => object>> = {
  "an object with the prototype of a date": () => Object.create(Date.prototype),
  "a proxy of a date": () => new Proxy(new Date(START), {}),
  "a revoked proxy": revokedArray,
  "a date with methods that throw": () => {
    const fail = () => {
      throw new Error(SECRET_TEXT);
    };
    return Object.assign(new Date(START), { getTime: fail, valueOf: fail, toISOString: fail });
  },
};

describe("a store that fails", () => {
  const METHODS = ["findById", "insert", "update", "replace", "list", "auditTrail"] as const;
  const driverError = () => Object.assign(new Error(SECRET_TEXT), { code: "23505" });
  const FAILURES: Readonly<Record<string, () => unknown>> = {
    throws: () => {
      throw driverError();
    },
    rejects: () => Promise.reject(driverError()),
    "returns a thenable that throws": () => ({
      // biome-ignore lint/suspicious/noThenProperty: a query builder has one
      then() {
        throw driverError();
      },
    }),
  };

  it.each(METHODS.flatMap((method) => Object.keys(FAILURES).map((failure) => [method, failure] as const)))(
    "%s %s: throws a StoreError without the text of the driver",
    async (method, failure) => {
      const store = memoryStore();
      let broken = false;
      const own = {
        ...store,
        [method]: (...args: never[]) =>
          broken ? FAILURES[failure]?.() : (store[method] as never as (...a: never[]) => unknown)(...args),
      };
      const { manager } = createManager({ store: own as never });
      const { key } = await manager.create(INPUT);
      broken = true;
      const use = {
        findById: () => manager.get(key.id),
        insert: () => manager.create(INPUT),
        update: () => manager.disable(key.id),
        replace: () => manager.rotate(key.id),
        list: () => manager.list(),
        auditTrail: () => manager.auditTrail(),
      }[method];
      const error = await thrownBy(use);
      expect(error).toBeInstanceOf(StoreError);
      expect((error as StoreError).message).toBe("The key store failed (Error 23505)");
      expect(`${(error as StoreError).stack}${JSON.stringify(error)}`).not.toContain("hunter2");
    },
  );

  it("throws a StoreError if the thrown value cannot be inspected", async () => {
    const cause = new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error(SECRET_TEXT);
        },
      },
    );
    const findById = () => Promise.reject(cause);
    const { manager } = createManager({ store: { ...memoryStore(), findById } });
    expect(await thrownBy(() => manager.get("key_1"))).toEqual(new StoreError("The key store failed"));
  });
});

describe("a store that returns invalid records", () => {
  it.each<[string, object, string]>([
    ["another id", { id: "key_other" }, "The key store returned the record of another id"],
    ...[{ version: "1" }, { version: 1.5 }, { createdAt: "2030-01-01" }, { scopes: null }].map(
      (members): [string, object, string] => [JSON.stringify(members), members, NOT_A_RECORD],
    ),
  ])("rejects a record with %s, and changes nothing", async (_, members, message) => {
    const memory = memoryStore();
    const findById = (id: string) => {
      const record = memory.findById(id) as KeyRecord | undefined;
      return record && ({ ...record, ...members } as never);
    };
    const { manager } = createManager({ store: { ...memory, findById } });
    const { key } = await manager.create(INPUT);
    expect(await thrownBy(() => manager.disable(key.id))).toEqual(new StoreError(message));
    expect(((await memory.findById(key.id)) as KeyRecord).version).toBe(1);
  });

  it("rejects a record with members that cannot be read or copied", async () => {
    const memory = memoryStore();
    for (const [damage, message] of [
      [() => hostile, "The key store failed (Error)"],
      [
        (record: object) => ({ ...record, metadata: { f: () => SECRET_TEXT } }),
        /^The key store failed \(DataClone/,
      ],
    ] as const) {
      const store = { ...memory, findById: async (id: string) => damage(memory.findById(id) as KeyRecord) };
      const { manager } = createManager({ store: store as never });
      const { key } = await manager.create(INPUT);
      const error = await thrownBy(() => manager.get(key.id));
      expect(error).toBeInstanceOf(StoreError);
      expect((error as Error).message).toMatch(message);
    }
  });

  it.each(Object.entries(HOSTILE_DATES))("never throws a raw error for %s", async (_, createHostile) => {
    for (const member of [
      "createdAt",
      "updatedAt",
      "expiresAt",
      "lastUsedAt",
      "disabledAt",
      "rotatedAt",
      "revokedAt",
    ]) {
      const memory = memoryStore();
      const damaged = (id: string) => ({ ...(memory.findById(id) as KeyRecord), [member]: createHostile() });
      const { manager } = createManager({ store: memory });
      const { key } = await manager.create(INPUT);
      const { manager: reading } = createManager({
        store: { ...memory, findById: damaged, list: () => ({ items: [damaged(key.id)] }) },
      });
      for (const use of [
        () => reading.get(key.id),
        () => reading.list(),
        () => reading.update(key.id, { name: "x" }),
        () => reading.rotate(key.id, { overlap: "1h" }),
        () => reading.revoke(key.id),
        () => reading.purge({ retention: "0s" }),
      ]) {
        const error = await use().then(
          () => undefined,
          (reason) => reason,
        );
        expect(["StoreError", "KeyStateError", undefined]).toContain(error?.name);
      }
    }
  });

  it("treats null and undefined as a missing record", async () => {
    for (const missing of [null, undefined]) {
      const { manager } = createManager({
        store: { ...memoryStore(), findById: () => missing as undefined },
      });
      expect(await thrownBy(() => manager.disable("key_1"))).toEqual(new KeyNotFoundError());
    }
  });
});

describe("a store that returns invalid pages", () => {
  const valid = {
    id: "key_0",
    hash: hashSecret("x"),
    version: 1,
    ownerId: "acme",
    scopes: [],
    createdAt: START,
  };

  it.each<[string, object]>([
    ["version", { version: "1" }],
    ["creation date", { createdAt: null }],
    ["scopes", { scopes: null }],
    ["list", { scopes: revokedArray() }],
  ])("names a record without a valid %s, and returns the others", async (_, members) => {
    const items = [{ ...valid, id: "key_1", ...members }, valid];
    const list = () => ({ items, damaged: ["key_2"], nextCursor: "next" }) as never;
    const { manager } = createManager({ store: { ...memoryStore(), list } });
    const page = await manager.list();
    expect(page.items.map(({ id }) => id)).toEqual(["key_0"]);
    expect(page).toMatchObject({ damaged: ["key_2", "key_1"], nextCursor: "next" });
  });

  it.each(["at", "action", "keyId", "ownerId"])("names an audit entry without a valid %s", async (member) => {
    const entry = { id: "1", at: START, action: "created", keyId: "key_1", ownerId: "acme", details: {} };
    const items = [entry, { ...entry, id: "2", [member]: 7 }];
    const { manager } = createManager({
      store: { ...memoryStore(), auditTrail: () => ({ items }) as never },
    });
    const page = await manager.auditTrail();
    expect(page).toEqual({ items: [{ ...entry, actor: undefined }], damaged: ["2"] });
  });

  it("rejects a page with an item without an id", async () => {
    const read = () => ({ items: [{ ...valid, id: 7 }] }) as never;
    const { manager } = createManager({ store: { ...memoryStore(), list: read, auditTrail: read } });
    const error = new StoreError("The key store returned an item that cannot be read, and has no id");
    expect(await thrownBy(() => manager.list())).toEqual(error);
    expect(await thrownBy(() => manager.auditTrail())).toEqual(error);
  });

  it.each([null, undefined, "key_1", 7, { ownerId: "globex" }])(
    "rejects a page with the item %j, which does not match the query",
    async (item) => {
      const page = () => ({ items: [item] }) as never;
      const { manager } = createManager({ store: { ...memoryStore(), list: page, auditTrail: page } });
      const filtered = [
        () => manager.list({ ownerId: "acme" }),
        () => manager.list({ environment: "live" }),
        () => manager.auditTrail({ ownerId: "acme" }),
        () => manager.auditTrail({ keyId: "key_1" }),
      ];
      const isObject = typeof item === "object" && item !== null;
      for (const read of isObject ? filtered : [...filtered, () => manager.auditTrail()]) {
        expect(await thrownBy(read)).toEqual(
          new StoreError("The key store returned items that do not match the query"),
        );
      }
    },
  );

  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["null", null],
    ["an array", []],
    ["an object without items", { items: null }],
    ["a page with damaged ids that are not strings", { items: [], damaged: [7] }],
    ["a page with a numeric cursor", { items: [], nextCursor: 7 }],
  ])("rejects a page that is %s", async (_, page) => {
    const read = () => page as never;
    const { manager } = createManager({ store: { ...memoryStore(), list: read, auditTrail: read } });
    expect(await thrownBy(() => manager.list())).toEqual(new StoreError(NOT_A_PAGE));
    expect(await thrownBy(() => manager.auditTrail())).toEqual(new StoreError(NOT_A_PAGE));
  });

  it("rejects the cursor of the query as the next cursor", async () => {
    const page = () => ({ items: [], nextCursor: "here" });
    const { manager } = createManager({ store: { ...memoryStore(), list: page, auditTrail: page } });
    const error = new StoreError("The key store returned the same page again");
    expect(await thrownBy(() => manager.list({ cursor: "here" }))).toEqual(error);
    expect(await thrownBy(() => manager.auditTrail({ cursor: "here" }))).toEqual(error);
  });

  it("rejects a page that cannot be read, without the text of the driver", async () => {
    for (const page of [hostile, { items: [hostile] }]) {
      const read = async () => page;
      const store = { ...memoryStore(), list: read, auditTrail: read } as never;
      const { manager } = createManager({ store });
      for (const use of [() => manager.list({ ownerId: "acme" }), () => manager.auditTrail()]) {
        expect(await thrownBy(use)).toEqual(new StoreError("The key store failed (Error)"));
      }
    }
  });

  it("treats a missing, null and undefined cursor as the last page", async () => {
    for (const page of [
      { items: [] },
      { items: [], nextCursor: null },
      { items: [], nextCursor: undefined },
    ]) {
      const { manager } = createManager({ store: { ...memoryStore(), auditTrail: () => page as never } });
      expect(Object.keys(await manager.auditTrail())).toEqual(["items"]);
    }
  });
});

describe("a store that does not return whether it wrote", () => {
  it.each<[string, unknown, string]>([
    ["a driver's result that changed nothing", { rowCount: 0, rows: [] }, "an object"],
    ["a driver's result", { affectedRows: 1 }, "an object"],
    ["an array of rows", [], "an array"],
    ["a number of rows", 1, "a number"],
    ["0 rows", 0, "a number"],
    ["undefined", undefined, "undefined"],
    ["null", null, "null"],
    ["a string", "true", "a string"],
  ])("rejects %s, and emits no event", async (_, value, type) => {
    for (const result of [value, Promise.resolve(value)]) {
      const events: unknown[] = [];
      const returned = () => result as never;
      const store: ManagedKeyStore = { ...memoryStore(), update: returned, replace: returned };
      const { manager } = createManager({ store, observers: [(event) => events.push(event)] });
      const { key } = await manager.create(INPUT);
      events.length = 0;
      for (const [method, change] of [
        ["update", () => manager.update(key.id, { name: "x" })],
        ["update", () => manager.disable(key.id)],
        ["update", () => manager.revoke(key.id, { reason: "leaked" })],
        ["replace", () => manager.rotate(key.id, { overlap: "1h" })],
      ] as const) {
        expect(await thrownBy(change)).toEqual(
          new StoreError(`The key store must return true or false from ${method}(); received ${type}`),
        );
      }
      expect(events).toEqual([]);
      expect(await manager.get(key.id)).toEqual(key);
    }
  });
});
