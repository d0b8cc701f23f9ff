import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from "vitest";
import { hashSecret, KeyStateError, StoreError } from "../../../src/index.js";
import { type SqliteKeyStore, sqliteStore } from "../../../src/stores/sqlite.js";
import { fullKey, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { serviceOver } from "./service.js";
import { type Connection, drivers } from "./sqlite-drivers.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };

for (const { name: driver, available, open } of drivers) {
  describe.skipIf(!available)(`sqliteStore over ${driver}`, () => {
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

    it("issues, verifies, restricts, rotates and revokes keys", async () => {
      let now = new Date("2030-01-01T00:00:00Z");
      const { manager, verify } = serviceOver(store, () => now);
      const { secret, key } = await manager.create({
        ...CREATE,
        ipAllowlist: ["192.0.2.0/24"],
        metadata: { a: 1 },
      });
      expect(await verify(secret)).toMatchObject({ ok: true, principal: { id: key.id, ownerId: "acme" } });
      expect(await verify(secret, "198.51.100.1")).toMatchObject({ error: { code: "ip_not_allowed" } });
      expect(await verify(`${secret.slice(0, -1)}_`)).toMatchObject({ error: { code: "invalid_key" } });

      const { secret: next, key: successor } = await manager.rotate(key.id, { overlap: "1h" });
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([true, true]);
      expect((await manager.list({ status: "retiring" })).items.map(({ id }) => id)).toEqual([key.id]);
      now = new Date("2030-01-01T01:00:00Z");
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([false, true]);
      expect((await manager.list({ status: "expired" })).items.map(({ id }) => id)).toEqual([key.id]);

      await manager.revoke(successor.id, { reason: "leaked", actor: "ada" });
      expect((await verify(next)).ok).toBe(false);
      const { items } = await manager.auditTrail();
      expect(items.map(({ action }) => action)).toContain("revoked");
      expect(items.find(({ action }) => action === "revoked")).toMatchObject({
        actor: "ada",
        keyId: successor.id,
      });
    });

    describe.skipIf(process.platform === "win32")("has a file that", () => {
      const modeOf = (file: string) => statSync(file).mode & 0o777;
      let warnings: MockInstance;
      beforeEach(() => {
        warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      });
      afterEach(() => warnings.mockRestore());

      it("is created for its owner alone, with the files of its log", async () => {
        await inserted();
        const file = join(directory, "keys.db");
        expect([file, `${file}-wal`, `${file}-shm`].map(modeOf)).toEqual([0o600, 0o600, 0o600]);
        const empty = join(directory, "empty.db");
        writeFileSync(empty, "");
        chmodSync(empty, 0o644);
        const opened = open(empty);
        connections.push(opened);
        await sqliteStore(opened).migrate();
        expect(modeOf(empty)).toBe(0o600);
        expect(warnings).not.toHaveBeenCalled();
      });

      it.each([0o640, 0o604, 0o620])("is reported once if others can open it: %o", async (mode) => {
        const file = join(directory, "keys.db");
        chmodSync(file, mode);
        await store.migrate();
        await store.migrate();
        expect(warnings.mock.calls).toEqual([
          [expect.stringContaining(file), expect.objectContaining({ code: "KEYBEARER_FILE_MODE" })],
        ]);
        expect(modeOf(file)).toBe(mode);
        chmodSync(file, 0o600);
        await sqliteStore(connect()).migrate();
        expect(warnings).toHaveBeenCalledOnce();
      });
    });

    it("reads everything after the file was closed and opened again", async () => {
      const key = await inserted();
      const { secret } = await serviceOver(store).manager.create(CREATE);
      connection.close();
      connections.length = 0;
      const reopened = sqliteStore(connect());
      await reopened.migrate();
      expect(await reopened.findByHash(key.hash)).toEqual(key);
      expect((await serviceOver(reopened).verify(secret)).ok).toBe(true);
      expect((await reopened.auditTrail({ limit: 10 })).items).toHaveLength(2);
    });

    it("migrates once when called several times", async () => {
      const key = await inserted();
      await Promise.all([store.migrate(), store.migrate(), sqliteStore(connect()).migrate()]);
      expect(await store.findById(key.id)).toEqual(key);
      expect(connection.prepare("select version from keybearer_keys_migrations").all()).toHaveLength(5);
    });

    it("rejects a foreign table of the same name", async () => {
      connection.exec("create table theirs (id text primary key)");
      await expect(sqliteStore(connection, { table: "theirs" }).migrate()).rejects.toThrow("already exists");
      const tables = connection.prepare("select name from sqlite_master where name like 'theirs_%'").all();
      expect(tables).toEqual([]);
      await inserted();
    });

    it("separates stores with different tables", async () => {
      const other = sqliteStore(connection, { table: "order" });
      await other.migrate();
      const key = await inserted();
      expect(await other.findByHash(key.hash)).toBeUndefined();
      await other.insert(key, sampleAudit(key));
      expect(await other.update(key.id, key.version, { name: "other" }, sampleAudit(key))).toBe(true);
      expect(await store.findById(key.id)).toEqual(key);
    });

    it("returns lookups synchronously", async () => {
      const key = await inserted();
      expect(store.findByHash(key.hash)).toEqual(key);
      expect(store.findById(key.id)).toEqual(key);
      expect(store.findByHash(hashSecret("unknown"))).toBeUndefined();
      expect("findManyByHash" in store).toBe(false);
    });

    it("works after a migration even if a call failed before it", async () => {
      const late = sqliteStore(connection, { table: "late" });
      expect(() => late.findByHash(hashSecret("unknown"))).toThrow();
      await late.migrate();
      expect(late.findByHash(hashSecret("unknown"))).toBeUndefined();
    });

    it("appends many audit entries or none", async () => {
      const key = sampleKey();
      const entries = Array.from({ length: 300 }, (_, i) => sampleAudit(key, { at: new Date(i) }));
      const broken = { ...sampleAudit(key), at: new Date(Number.NaN) };
      expect(() => store.appendAudit([...entries, broken])).toThrow();
      expect(() =>
        store.appendAudit([...entries, { ...broken, at: new Date(1), action: null as never }]),
      ).toThrow();
      expect((await store.auditTrail({ limit: 5 })).items).toEqual([]);
      await store.appendAudit([...entries, ...entries]);
      expect((await store.auditTrail({ limit: 1_000 })).items).toEqual([...entries].reverse());
    });

    it("rejects strings that cannot be stored or are too long, and finds no key by them", async () => {
      const long = "x".repeat(1_021);
      for (const wrong of [
        { id: long },
        { ownerId: "nul\0" },
        { name: "lone \ud800" },
        { name: 5 as never },
      ]) {
        const key = sampleKey(wrong);
        expect(() => store.insert(key, sampleAudit(sampleKey()))).toThrow(StoreError);
      }
      for (const text of ["nul\0", "lone \ud800"]) {
        await inserted(sampleKey({ id: text.replace(/[\0\ud800]/, "\ufffd"), ownerId: "lone \ufffd" }));
        expect(store.findById(text)).toBeUndefined();
        expect(store.list({ ownerId: text, now: new Date(), limit: 5 })).toEqual({ items: [] });
        expect(store.auditTrail({ keyId: text, limit: 5 })).toEqual({ items: [] });
        expect(store.remove(text, 1, sampleAudit(sampleKey()))).toBe(false);
      }
    });

    it.each<[string, string, (store: SqliteKeyStore) => unknown]>([
      ["a lookup", "hash", (s) => s.findByHash(hashSecret("a"))],
      ["an owner's keys", "owner", (s) => s.list({ ownerId: "owner_5", now: new Date(5), limit: 5 })],
      ["all keys", "created", (s) => s.list({ now: new Date(5), limit: 5 })],
      [
        "keys that have ended",
        "revoked",
        (s) => s.list({ endedBefore: new Date(9), now: new Date(5), limit: 5 }),
      ],
      [
        "keys that have ended",
        "expires",
        (s) => s.list({ endedBefore: new Date(9), now: new Date(5), limit: 5 }),
      ],
      ["the trail of a key", "audit_key", (s) => s.auditTrail({ keyId: "key_5", limit: 5 })],
      ["the trail of an owner", "audit_owner", (s) => s.auditTrail({ ownerId: "owner_5", limit: 5 })],
      ["the trail", "audit_at", (s) => s.auditTrail({ limit: 5 })],
    ])("finds %s by the index %s", async (_, index, query) => {
      connection.exec(
        `with recursive n (i) as (select 1 union all select i + 1 from n where i < 3000)
         insert into keybearer_keys (id, hash, version, owner_id, start, scopes, created_at, updated_at, expires_at)
         select 'key_' || i, 'hash_' || i, 1, 'owner_' || (i % 100), 's', '[]', i, i, case when i % 50 = 0 then i end from n`,
      );
      const statements: [string, unknown[]][] = [];
      const recording = {
        exec: (sql: string) => connection.exec(sql),
        prepare: (sql: string) => {
          const statement = connection.prepare(sql);
          const record = (parameters: unknown[]) => {
            statements.push([sql, parameters]);
            return parameters;
          };
          return {
            get: (...parameters: unknown[]) => statement.get(...record(parameters)),
            all: (...parameters: unknown[]) => statement.all(...record(parameters)),
            run: (...parameters: unknown[]) => statement.run(...record(parameters)),
          };
        },
      };
      query(sqliteStore(recording));
      const [sql, parameters] = statements[0] as [string, unknown[]];
      const plan = connection.prepare(`explain query plan ${sql}`).all(...parameters);
      const details = (plan as { detail: string }[]).map(({ detail }) => detail).join("; ");
      expect(`${details} `).toMatch(new RegExp(`USING (COVERING )?INDEX keybearer_keys_${index}[ ;]`));
    });

    it("reads changes of another connection", async () => {
      const key = await inserted(sampleKey());
      const other = sqliteStore(connect());
      expect(await store.findByHash(key.hash)).toMatchObject({ revokedAt: null });
      await other.update(key.id, 1, { revokedAt: new Date(1) }, sampleAudit(key));
      expect(await store.findByHash(key.hash)).toMatchObject({ revokedAt: new Date(1), version: 2 });
    });

    it("has one winner of 50 rotations over two connections", async () => {
      const services = [serviceOver(store), serviceOver(sqliteStore(connect()))] as const;
      const { key } = await services[0].manager.create(CREATE);
      const rotations = Array.from({ length: 50 }, (_, i) =>
        services[i % 2 === 0 ? 0 : 1].manager.rotate(key.id),
      );
      const results = await Promise.allSettled(rotations);
      const lost = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
      expect(lost).toHaveLength(49);
      for (const reason of lost) expect(reason).toBeInstanceOf(KeyStateError);
      expect((await store.list({ now: new Date(), limit: 100 })).items).toHaveLength(2);
    });

    it("returns the same frozen array for equal allowlists", async () => {
      const ipAllowlist = ["192.0.2.0/24"];
      const [a, b] = [await inserted(sampleKey({ ipAllowlist })), await inserted(sampleKey({ ipAllowlist }))];
      const first = (await store.findByHash(a.hash))?.ipAllowlist;
      expect(Object.isFrozen(first)).toBe(true);
      expect((await store.findByHash(b.hash))?.ipAllowlist).toBe(first);
      await store.update(a.id, 1, { ipAllowlist: ["192.0.2.1"] }, sampleAudit(a));
      expect((await store.findByHash(a.hash))?.ipAllowlist).toEqual(["192.0.2.1"]);
    });
  });
}

describe("sqliteStore", () => {
  const database = { exec: () => undefined, prepare: () => undefined as never };

  it("rejects values that are not a database", () => {
    for (const wrong of [undefined, null, {}, "keys.db", { exec() {} }]) {
      expect(() => sqliteStore(wrong as never)).toThrow(TypeError);
    }
  });

  it.each(["", "a b", 'a"b', "1a", "a;b", "é", "a.b", "sqlite_keys", "SQLite_keys", "a".repeat(41), 7, null])(
    "rejects the table name %j",
    (table) => {
      expect(() => sqliteStore(database, { table: table as string })).toThrow('"table"');
    },
  );

  it("rejects unknown options", () => {
    expect(() => sqliteStore(database, { tabel: "keys" } as never)).toThrow('"tabel"');
    expect(() => sqliteStore(database, null as never)).toThrow(TypeError);
  });
});
