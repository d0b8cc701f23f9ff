import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeCursor } from "../../../src/core/keys/cursor.js";
import {
  type AuditEntry,
  hashSecret,
  type KeyHash,
  KeyInputError,
  type KeyRecord,
  StoreError,
} from "../../../src/index.js";
import type { MysqlKeyStore } from "../../../src/stores/mysql.js";
import type { PostgresKeyStore } from "../../../src/stores/postgres.js";
import { at, everyEntry, fullKey, NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { serviceOver } from "./service.js";

/** A store over a server, and direct access to its tables. */
export interface OpenServerStore {
  readonly store: PostgresKeyStore | MysqlKeyStore;
  readonly table: string;
  /** Runs a statement without parameters. */
  sql(text: string): Promise<unknown>;
  /** Opens a store over another table, without migrating it. */
  other(table: string): PostgresKeyStore | MysqlKeyStore;
  close(): Promise<void>;
}

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
// Strings that break manual quoting, array literals or prepared statements.
const AWKWARD = [
  "NULL",
  "null",
  "",
  "{a,b}",
  '{"',
  "\\",
  "\\N",
  "'",
  '"',
  "a,b",
  "$1",
  "?",
  ":a",
  "😀",
  "é ",
];

/** Cases for every store over a database server, in addition to the contract of all stores. */
export function serverStoreCases(title: string, skip: boolean, open: () => Promise<OpenServerStore>): void {
  describe.skipIf(skip)(title, () => {
    let opened: OpenServerStore;
    let store: OpenServerStore["store"];

    beforeAll(async () => {
      opened = await open();
      ({ store } = opened);
    });

    afterAll(() => opened?.close());

    const inserted = async (key: KeyRecord = sampleKey()): Promise<KeyRecord> => {
      await store.insert(key, sampleAudit(key, { action: "created" }));
      return key;
    };

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
      const { secret: next, key: successor } = await manager.rotate(key.id, { overlap: "1h" });
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([true, true]);
      now = new Date("2030-01-01T01:00:00Z");
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([false, true]);
      await manager.revoke(successor.id, { reason: "leaked", actor: "ada" });
      expect((await verify(next)).ok).toBe(false);
      const trail = await manager.auditTrail({ keyId: successor.id });
      expect(trail.items).toMatchObject([{ action: "revoked", actor: "ada" }]);
    });

    it("migrates once when called several times", async () => {
      const key = await inserted();
      await Promise.all([store.migrate(), store.migrate(), store.migrate()]);
      expect(await store.findById(key.id)).toEqual(key);
      expect(await opened.sql(`select version from ${opened.table}_migrations`)).toHaveLength(5);
    });

    it("throws an error that explains how to migrate when the tables are missing", async () => {
      const late = opened.other(`${opened.table}_late`);
      const key = sampleKey();
      for (const call of [
        () => late.findByHash(key.hash),
        () => late.findById(key.id),
        () => late.list({ now: NOON, limit: 5 }),
        () => late.insert(key, sampleAudit(key)),
        () => late.update(key.id, 1, { name: "x" }, sampleAudit(key)),
        () => late.touch(new Map([[key.id, NOON]])),
        () => late.auditTrail({ limit: 5 }),
        () => late.changes(undefined),
      ]) {
        const error = await (call() as Promise<unknown>).catch((reason: StoreError) => reason);
        expect(error).toEqual(new StoreError("The tables are missing; call await store.migrate() first"));
        expect(error).toBeInstanceOf(StoreError);
      }
    });

    describe("a row that cannot be read", () => {
      it.each([
        ["expires_at", "9000000000000000"],
        ["revoked_at", "8640000000000001"],
        ["created_at", "9000000000000000"],
        ["version", "9007199254740993"],
        ["scopes", "'vehicles:read'"],
        ["scopes", "'[1]'"],
        ["ip_allowlist", "''"],
        ["ip_allowlist", "'null'"],
        ["ip_allowlist", "'[null]'"],
        ["metadata", "'[]'"],
        ["rate_limit", "'{}'"],
      ])("is rejected: %s = %s", async (column, value) => {
        const { manager, verify } = serviceOver(store);
        const { secret, key } = await manager.create(CREATE);
        const intact = await manager.create(CREATE);
        await opened.sql(`update ${opened.table} set ${column} = ${value} where id = '${key.id}'`);
        await expect(verify(secret)).rejects.toBeInstanceOf(StoreError);
        await expect(store.findByHash(hashSecret(secret))).rejects.toThrow(`"${column}" of "${key.id}"`);
        await expect(manager.get(key.id)).rejects.toBeInstanceOf(StoreError);
        const page = await manager.list({ ownerId: intact.key.ownerId, limit: 1_000 });
        expect(page.damaged).toEqual([key.id]);
        expect(page.items.map(({ id }) => id)).toContain(intact.key.id);
        // Lookups of other keys in the same batch succeed.
        const together = await Promise.allSettled([verify(secret), verify(intact.secret), verify(secret)]);
        expect(together.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
        await opened.sql(`delete from ${opened.table} where id = '${key.id}'`);
      });

      it("is rejected in the audit trail", async () => {
        const key = await inserted();
        const { items } = await store.auditTrail({ keyId: key.id, limit: 5 });
        await opened.sql(`update ${opened.table}_audit set details = '{' where key_id = '${key.id}'`);
        const damaged = items.map(({ id }) => id);
        expect(await store.auditTrail({ keyId: key.id, limit: 5 })).toEqual({ items: [], damaged });
        await opened.sql(`delete from ${opened.table}_audit where key_id = '${key.id}'`);
      });

      it("is named on its page, and the list continues after it", async () => {
        const ownerId = "damaged owner";
        const keys = [4, 3, 2, 1].map((age) => fullKey({ ...sampleKey(), ownerId, createdAt: at(-age) }));
        for (const key of keys) await inserted(key);
        const ids = keys.map(({ id }) => id).reverse();
        await opened.sql(`update ${opened.table} set scopes = '[' where id in ('${ids[1]}', '${ids[2]}')`);
        const seen: string[] = [];
        for (let cursor: string | undefined, pages = 0; pages === 0 || cursor !== undefined; pages++) {
          const page = await store.list({ ownerId, now: at(0), limit: 1, cursor });
          seen.push(...page.items.map(({ id }) => id), ...(page.damaged ?? []));
          cursor = page.nextCursor;
        }
        expect(seen).toEqual(ids);
        await opened.sql(`delete from ${opened.table} where owner_id = '${ownerId}'`);
      });

      it("is read again after it was repaired", async () => {
        const key = await inserted();
        await opened.sql(`update ${opened.table} set scopes = '[' where id = '${key.id}'`);
        await expect(store.findByHash(key.hash)).rejects.toThrow(StoreError);
        await opened.sql(`update ${opened.table} set scopes = '[]' where id = '${key.id}'`);
        expect(await store.findByHash(key.hash)).toEqual(key);
      });
    });

    describe("strings", () => {
      it("are stored unchanged and compared exactly", async () => {
        const keys: KeyRecord[] = [];
        for (const [index, text] of AWKWARD.entries()) {
          keys.push(
            await inserted(fullKey({ id: `awkward ${text}`, hash: hashOf(text), revokedReason: text })),
          );
          expect(await store.findById(`awkward ${text}`)).toEqual(keys[index]);
        }
        expect(await store.findManyByHash(AWKWARD.map(hashOf))).toEqual(keys);
        await store.touch(new Map(keys.map(({ id }, index) => [id, at(1_000 + index)])));
        for (const [index, key] of keys.entries()) {
          expect(await store.findById(key.id)).toEqual({ ...key, lastUsedAt: at(1_000 + index) });
        }
        const entries = AWKWARD.map((text, index) =>
          sampleAudit(
            { id: "awkward", ownerId: text || "none" },
            { id: `awkward ${text}`, at: at(-index), actor: text, details: { [text]: text } },
          ),
        );
        await store.appendAudit(entries);
        expect(await everyEntry(store, { keyId: "awkward" })).toEqual(entries);
      });

      it("of the maximum length are stored and indexed", async () => {
        const word = "😀".repeat(255); // 1,020 bytes
        const key = await inserted(
          fullKey({
            id: word,
            ownerId: word,
            environment: word,
            hash: `v1:${"f".repeat(200)}` as KeyHash,
            metadata: { text: "é".repeat(8_000), quotes: '"'.repeat(4_000) },
            ipAllowlist: Array.from(
              { length: 1_000 },
              (_, i) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${i.toString(16)}/128`,
            ),
          }),
        );
        expect(await store.findById(word)).toEqual(key);
        expect((await store.list({ ownerId: word, now: NOON, limit: 5 })).items).toEqual([key]);
        const entry = sampleAudit(key, { id: word, actor: word });
        await store.appendAudit([entry]);
        expect((await everyEntry(store, { keyId: word, ownerId: word })).map(({ id }) => id)).toContain(word);
      });

      it("that are too long or cannot be stored are rejected, not truncated", async () => {
        const long = "x".repeat(1_021);
        for (const wrong of [
          { id: long },
          { ownerId: long },
          { hash: long as KeyHash },
          { environment: long },
          { id: "nul\0" },
          { name: "nul\0" },
          { name: "lone \ud800" },
          { id: "lone \udc00" },
          { start: "x".repeat(2 ** 24) },
          { name: 5 as never },
        ]) {
          const key = sampleKey({ ownerId: "too long", ...wrong });
          await expect(store.insert(key, sampleAudit(sampleKey()))).rejects.toThrow(StoreError);
        }
        const key = await inserted();
        await expect(store.update(key.id, 1, { replacedBy: long }, sampleAudit(key))).rejects.toThrow(
          StoreError,
        );
        await expect(store.rehash(key.id, key.hash, long as KeyHash, sampleAudit(key))).rejects.toThrow(
          '"hash"',
        );
        await expect(store.appendAudit([sampleAudit(key, { actor: "nul\0" })])).rejects.toThrow('"actor"');
        expect(await store.findById(key.id)).toEqual(key);
        expect((await store.list({ ownerId: "too long", now: NOON, limit: 5 })).items).toEqual([]);
      });

      it("that cannot be stored match no key", async () => {
        for (const text of ["nul\0", "lone \ud800", "\udc00"]) {
          const audit = sampleAudit(sampleKey());
          expect(await store.findById(text)).toBeUndefined();
          expect(await store.findByHash(text as KeyHash)).toBeUndefined();
          expect(await store.list({ ownerId: text, now: NOON, limit: 5 })).toEqual({ items: [] });
          expect(await store.list({ environment: text, now: NOON, limit: 5 })).toEqual({ items: [] });
          expect(await store.auditTrail({ keyId: text, limit: 5 })).toEqual({ items: [] });
          expect(await store.update(text, 1, { name: "x" }, audit)).toBe(false);
          expect(await store.replace(text, 1, { name: "x" }, sampleKey(), audit)).toBe(false);
          expect(await store.remove(text, 1, audit)).toBe(false);
          expect(await store.rehash(text, hashOf("a"), hashOf("b"), audit)).toBe(false);
          await store.touch(new Map([[text, NOON]]));
          const cursor = encodeCursor({ at: NOON, id: text });
          await expect(store.list({ now: NOON, limit: 5, cursor })).rejects.toThrow(KeyInputError);
        }
      });
    });

    it("touches many keys at once and compares times as numbers", async () => {
      const keys = Array.from({ length: 1_300 }, () => sampleKey({ lastUsedAt: new Date(999) }));
      for (let start = 0; start < keys.length; start += 100) {
        await Promise.all(keys.slice(start, start + 100).map(inserted));
      }
      await store.touch(new Map(keys.map(({ id }, i) => [id, new Date(i % 2 === 0 ? 1_000 : 99)])));
      const found = await store.findManyByHash(keys.map(({ hash }) => hash));
      expect(found.map((key) => key?.lastUsedAt?.getTime())).toEqual(
        keys.map((_, i) => (i % 2 === 0 ? 1_000 : 999)),
      );
      const mixed = [
        ...keys.slice(0, 700),
        ...Array.from({ length: 50 }, (_, i) => sampleKey({ id: `no ${i}` })),
      ];
      const mixedResults = await store.findManyByHash(mixed.map(({ hash }) => hash));
      expect(mixedResults.map((key) => key?.id)).toEqual(
        mixed.map(({ id }, i) => (i < 700 ? id : undefined)),
      );
    });

    it("appends many audit entries or none", async () => {
      const key = sampleKey({ id: "appended" });
      const entries: AuditEntry[] = Array.from({ length: 700 }, (_, i) =>
        sampleAudit(key, { action: "used", at: at(i) }),
      );
      const broken = { ...sampleAudit(key), action: null as never };
      await expect(store.appendAudit([...entries, broken])).rejects.toThrow(StoreError);
      expect(await everyEntry(store, { keyId: key.id })).toEqual([]);
      await store.appendAudit([...entries, ...entries].reverse());
      expect(await everyEntry(store, { keyId: key.id })).toEqual([...entries].reverse());
    });

    it("returns the same frozen array for equal allowlists", async () => {
      const ipAllowlist = ["192.0.2.0/24"];
      const [a, b] = [await inserted(sampleKey({ ipAllowlist })), await inserted(sampleKey({ ipAllowlist }))];
      const first = (await store.findByHash(a.hash))?.ipAllowlist;
      expect(Object.isFrozen(first)).toBe(true);
      expect((await store.findByHash(b.hash))?.ipAllowlist).toBe(first);
    });

    it("throws errors that contain neither hashes nor values", async () => {
      const secret = "ezt_live_0123456789";
      const key = await inserted(sampleKey({ name: secret }));
      const audit = sampleAudit(key, { details: { secret } });
      await store.appendAudit([audit]);
      const second = sampleKey({ hash: key.hash, name: secret });
      const errors = [
        await store.insert(second, sampleAudit(second)).catch((error: unknown) => error),
        await store.update(key.id, 1, { name: secret }, audit).catch((error: unknown) => error),
        await opened
          .other(`${opened.table}_late`)
          .insert(second, audit)
          .catch((error: unknown) => error),
      ];
      expect(errors.map((error) => (error as Error).name)).toEqual([
        "KeyConflictError",
        "KeyConflictError",
        "StoreError",
      ]);
      for (const error of errors) {
        const { message, stack } = error as Error;
        const printed = [
          message,
          stack,
          JSON.stringify(error),
          inspect(error, { showHidden: true, getters: true }),
        ];
        for (const text of printed) {
          expect(text).not.toContain(key.hash);
          expect(text).not.toContain(secret);
        }
      }
      expect((errors[0] as Error).message).toBe("A key, or an audit entry, of this id or hash exists");
      expect(await store.findById(key.id)).toEqual(key);
    });

    it("rejects a foreign table and leaves it unchanged", async () => {
      const theirs = `${opened.table}_theirs`;
      await opened.sql(`create table ${theirs} (id int primary key, hash int)`);
      await expect(opened.other(theirs).migrate()).rejects.toThrow(StoreError);
      await expect(opened.other(theirs).migrate()).rejects.toThrow(StoreError);
      // A unique index on "hash" would reject these rows.
      await opened.sql(`insert into ${theirs} values (1, 5), (2, 5)`);
      expect(await opened.sql(`select * from ${theirs} order by id`)).toEqual([
        { id: 1, hash: 5 },
        { id: 2, hash: 5 },
      ]);
      await expect(opened.sql(`select * from ${theirs}_audit`)).rejects.toThrow();
      await opened.sql(`drop table ${theirs}`);
    });
  });
}

function hashOf(text: string): KeyHash {
  return hashSecret(`awkward ${text}`);
}
