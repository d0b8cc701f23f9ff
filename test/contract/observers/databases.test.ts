import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import {
  type AuditEntry,
  createKeyManager,
  createVerifier,
  type KeyManager,
  type ManagedKeyStore,
} from "../../../src/index.js";
import { auditLog, lastUsed } from "../../../src/observers/index.js";
import { type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { allowed, later, rejection, tidily, toBeClosed } from "../../unit/observers/fixtures.js";
import { allBackends } from "../stores/backends/all.js";
import type { OpenStore } from "../stores/backends/backend.js";

tidily();

for (const { name, missing, create, drop } of allBackends(inject("servers"))) {
  describe.skipIf(missing !== undefined)(`over ${name}`, () => {
    let opened: OpenStore;
    let store: ManagedKeyStore;
    let manager: KeyManager<FleetScope>;

    beforeEach(async () => {
      opened = await create();
      ({ store } = opened);
      manager = createKeyManager({ store, scopes, format });
    });

    afterEach(async () => {
      await opened.close();
      await drop(opened.place);
    });

    async function trailOf(keyId: string): Promise<AuditEntry[]> {
      const entries: AuditEntry[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.auditTrail({ keyId, cursor, limit: 100 });
        entries.push(...page.items);
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return entries;
    }

    test("requests of a marked scope are in the trail of their key, and its last use is known", async () => {
      const audit = toBeClosed(auditLog(store, { denied: true, closeTimeout: "50000ms" }));
      const usage = toBeClosed(lastUsed(store, { closeTimeout: "50000ms" }));
      const observers = [audit.observer, usage.observer];
      const verifier = createVerifier({ store, scopes, format, observers, storeTimeout: "30000ms" });
      const began = new Date();
      const { secret, key } = await manager.create({
        ownerId: "acme",
        scopes: ["vehicles:write"],
        environment: "live",
      });
      const headers = { authorization: `Bearer ${secret}` };
      const ask = (path: string, scope: FleetScope) =>
        verifier.verify({ headers, method: "PUT", path, remoteAddress: "192.0.2.7" }, scope);
      const hostile = ["/\0", "/x\ud83d", `/${"\ud83d\ude00".repeat(2_000)}`, `/'"\\u0000\r\n`];
      const paths = [...hostile, ...Array.from({ length: 600 }, (_, i) => `/vehicles/${i}`)];
      for (const path of paths) expect((await ask(path, "vehicles:write")).ok).toBe(true);
      expect((await ask("/vehicles", "vehicles:read")).ok).toBe(true);
      await Promise.all([audit.close(), usage.close()]);

      const used = (await trailOf(key.id)).filter(({ action }) => action === "used");
      expect(used).toHaveLength(paths.length);
      expect(new Set(used.map(({ details }) => details.path)).size).toBe(paths.length);
      expect(used[0]).toMatchObject({ keyId: key.id, ownerId: "acme", actor: null });
      expect(used[0]?.details).toMatchObject({ method: "PUT", clientIp: "192.0.2.7", environment: "live" });
      expect(JSON.stringify(used)).not.toContain(secret.slice(12));
      const record = await store.findById(key.id);
      expect(record?.lastUsedAt?.getTime()).toBeGreaterThanOrEqual(began.getTime());
      expect(record?.version).toBe(1);
    });

    test("an answer that was lost doubles nothing", async () => {
      let lose = true;
      const losing = {
        async appendAudit(entries: readonly AuditEntry[]) {
          await store.appendAudit?.(entries);
          if (lose) throw new Error("connection reset");
        },
      };
      const audit = toBeClosed(auditLog(losing, { closeTimeout: "50000ms" }));
      for (let i = 0; i < 700; i++) audit.observer(allowed("key_1", later(i)));
      expect(await rejection(audit.flush())).toEqual(new Error("connection reset"));
      expect(await rejection(audit.flush())).toEqual(new Error("connection reset"));
      lose = false;
      await audit.close();
      expect(await trailOf("key_1")).toHaveLength(700);
    });

    test("two calls with the same entries at once, as after a time limit, double nothing and fail nothing", async () => {
      const entries = Array.from({ length: 300 }, (_, i) =>
        createAuditEntry("used", { id: "key_1", ownerId: "acme" }, later(i), null, { path: `/${i}` }),
      );
      await Promise.all([1, 2, 3].map(() => store.appendAudit?.(entries)));
      expect(await trailOf("key_1")).toHaveLength(300);
    });

    test("one entry that the database refuses costs no other", async () => {
      const audit = toBeClosed(auditLog(store, { closeTimeout: "100ms" }));
      const bad = allowed("bad", new Date(8.64e15), { ownerId: "x\0".repeat(40_000) });
      for (let i = 0; i < 40; i++) audit.observer(i === 13 ? bad : allowed("key_1", later(i)));
      const first = await rejection(audit.flush());
      expect(first === undefined).toBe(/^(redis|memory)/.test(name)); // which keep anything
      for (let i = 0; i < 12; i++) await rejection(audit.flush());
      expect(await trailOf("key_1")).toHaveLength(39);
    });
  });
}
