import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type KeyHash, StoreError } from "../../../src/index.js";
import { type SqliteKeyStore, sqliteStore } from "../../../src/stores/sqlite.js";
import { fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { serviceOver } from "../../contract/stores/service.js";
import { type Connection, drivers } from "../../contract/stores/sqlite-drivers.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };

for (const { name: driver, available, open } of drivers) {
  describe.skipIf(!available)(`sqliteStore over ${driver}: faults`, () => {
    let directory: string;
    let connections: Connection[];
    let connection: Connection;
    let store: SqliteKeyStore;

    const connect = (): Connection => {
      const opened = open(join(directory, "keys.db"));
      connections.push(opened);
      return opened;
    };

    const inserted = async (key = fullKey()) => {
      await store.insert(key, sampleAudit(key));
      return key;
    };

    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), "keybearer-"));
      connections = [];
      connection = connect();
      store = sqliteStore(connection);
      await store.migrate();
    });

    afterEach(() => {
      for (const opened of connections) opened.close();
      rmSync(directory, { recursive: true });
    });

    describe("a row that cannot be read", () => {
      const DAMAGE: [column: string, value: string][] = [
        ["expires_at", "9000000000000000"],
        ["expires_at", "-9223372036854775807"],
        ["revoked_at", "8640000000000001"],
        ["created_at", "9000000000000000"],
        ["scopes", "'vehicles:read'"],
        ["scopes", "'{}'"],
        ["scopes", "'[1]'"],
        ["ip_allowlist", "''"],
        ["ip_allowlist", "'null'"],
        ["ip_allowlist", "'[\"192.0.2.0/24\"'"],
        ["ip_allowlist", "'[null]'"],
        ["metadata", "'[]'"],
        ["rate_limit", "'{}'"],
        ["rate_limit", '\'{"limit":"5","windowSeconds":60}\''],
      ];

      it.each(DAMAGE)("is rejected: %s = %s", async (column, value) => {
        const { manager, verify } = serviceOver(store);
        const { secret, key } = await manager.create(CREATE);
        connection.exec(`update keybearer_keys set ${column} = ${value} where id = '${key.id}'`);
        const failure = await verify(secret).catch((error) => error);
        expect(failure).toBeInstanceOf(StoreError);
        await expect(manager.get(key.id)).rejects.toBeInstanceOf(StoreError);
        const { key: other } = await manager.create(CREATE);
        expect(await manager.list()).toEqual({ items: [other], damaged: [key.id] });
        const first = await manager.list({ limit: 1 });
        expect((await manager.list({ limit: 1, cursor: first.nextCursor ?? "" })).nextCursor).toBeUndefined();
        connection.exec(`delete from keybearer_keys where id = '${key.id}'`); // as in docs/operations.md
        expect((await manager.list()).items).toEqual([other]);
        expect(await verify(secret)).toMatchObject({ ok: false, error: { code: "invalid_key" } });
      });

      it("cannot have a string as a date", async () => {
        const key = await inserted();
        expect(() => connection.exec("update keybearer_keys set expires_at = 'soon'")).toThrow();
        expect(await store.findById(key.id)).toEqual(key);
      });

      it("is rejected in the audit trail", async () => {
        await inserted();
        const { items } = await store.auditTrail({ limit: 5 });
        connection.exec("update keybearer_keys_audit set details = '{'");
        expect(store.auditTrail({ limit: 5 })).toEqual({ items: [], damaged: items.map(({ id }) => id) });
      });
    });

    describe("while a transaction is open on the connection", () => {
      it("rejects every change and does not end the transaction", async () => {
        const key = await inserted(sampleKey());
        connection.exec("create table other (id text); begin; insert into other values ('a')");
        const audit = sampleAudit(key);
        const second = sampleKey();
        expect(() => store.insert(second, audit)).toThrow();
        expect(() => store.update(key.id, 1, { name: "x" }, audit)).toThrow();
        expect(() => store.replace(key.id, 1, { name: "x" }, second, audit)).toThrow();
        expect(() => store.touch(new Map([[key.id, new Date()]]))).toThrow();
        expect(store.findById(key.id)).toEqual(key);
        connection.exec("commit");
        expect(connection.prepare("select id from other").all()).toHaveLength(1);
        expect(store.findById(key.id)).toEqual(key);
        expect(await store.update(key.id, 1, { name: "x" }, audit)).toBe(true);
      });
    });

    describe("while another connection has the database locked", () => {
      // The busy handler of SQLite would block the event loop, and with it the other connection.
      beforeEach(() => connection.exec("pragma busy_timeout = 0"));

      it("retries changes until it is unlocked", async () => {
        const key = await inserted(sampleKey());
        const other = connect();
        other.exec("begin immediate");
        const second = sampleKey();
        const writes = Promise.all([
          store.insert(second, sampleAudit(second)),
          store.update(key.id, 1, { name: "changed" }, sampleAudit(key)),
          store.touch(new Map([[key.id, new Date(5)]])),
          store.migrate(),
        ]);
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(store.findById(key.id)).toEqual(key);
        other.exec("commit");
        expect((await writes)[1]).toBe(true);
        expect(await store.findById(key.id)).toMatchObject({ name: "changed", lastUsedAt: new Date(5) });
        expect(await store.findById(second.id)).toEqual(second);
      });

      it("retries lookups and lists until it is unlocked", async () => {
        const key = await inserted(sampleKey());
        const other = connect();
        other.exec("begin exclusive");
        const reads = Promise.all([
          store.findByHash(key.hash),
          store.list({ now: new Date(), limit: 5 }),
          store.auditTrail({ limit: 5 }),
        ]);
        await new Promise((resolve) => setTimeout(resolve, 100));
        other.exec("commit");
        const [found, keys, trail] = await reads;
        expect(found).toEqual(key);
        expect(keys.items).toEqual([key]);
        expect(trail.items).toHaveLength(1);
        expect(store.findByHash(key.hash)).toEqual(key);
      });

      it("throws after 5 seconds and changes nothing", async () => {
        const key = await inserted(sampleKey());
        const other = connect();
        other.exec("begin immediate");
        const began = performance.now();
        await expect(store.update(key.id, 1, { name: "changed" }, sampleAudit(key))).rejects.toThrow(
          "locked",
        );
        expect(performance.now() - began).toBeGreaterThan(4_000);
        other.exec("commit");
        expect(await store.findById(key.id)).toEqual(key);
      });
    });
  });
}

describe("a row", () => {
  it("is decoded from bigint or digits, and rejected if a column is missing", () => {
    const key = fullKey();
    const row: Record<string, unknown> = {
      id: key.id,
      hash: key.hash,
      version: 7n,
      owner_id: "acme",
      environment: null,
      start: "ezt",
      name: null,
      scopes: "[]",
      ip_allowlist: null,
      rate_limit: null,
      metadata: null,
      created_at: 0n,
      updated_at: "1",
      expires_at: 253402300799999n,
      last_used_at: null,
      disabled_at: null,
      revoked_at: null,
      revoked_reason: null,
      rotated_at: null,
      replaced_by: null,
      replaces: null,
    };
    const find = (result: unknown) =>
      sqliteStore({
        exec: () => undefined,
        prepare: () => ({ get: () => result, all: () => [], run: () => ({ changes: 0n }) }),
      }).findByHash("" as KeyHash);
    expect(find(row)).toMatchObject({
      version: 7,
      createdAt: new Date(0),
      updatedAt: new Date(1),
      expiresAt: new Date("9999-12-31T23:59:59.999Z"),
    });
    for (const column of Object.keys(row)) {
      const { [column]: _, ...rest } = row;
      expect(() => find(rest), column).toThrow(StoreError);
    }
    for (const value of ["soon", "", "2030-01-01", 1.5, Number.NaN, true, new Date(), 2n ** 62n]) {
      expect(() => find({ ...row, expires_at: value }), `${value}`).toThrow(StoreError);
    }
  });
});
