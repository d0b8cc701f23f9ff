import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
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
import {
  allowed,
  cleanUpAfterEach,
  closeAfterEach,
  later,
  rejection,
} from "../../unit/observers/fixtures.js";
import { allBackends } from "../stores/backends/all.js";
import type { OpenStore } from "../stores/backends/backend.js";

cleanUpAfterEach();

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

    it("writes requests of audited scopes to the audit trail, and the last use of the key", async () => {
      const audit = closeAfterEach(auditLog(store, { denied: true, closeTimeout: "50000ms" }));
      const usage = closeAfterEach(lastUsed(store, { closeTimeout: "50000ms" }));
      const observers = [audit.observer, usage.observer];
      const verifier = createVerifier({ store, scopes, format, observers, storeTimeout: "30000ms" });
      const startedAt = new Date();
      const { secret, key } = await manager.create({
        ownerId: "acme",
        scopes: ["vehicles:write"],
        environment: "live",
      });
      const headers = { authorization: `Bearer ${secret}` };
      const request = (path: string, scope: FleetScope) =>
        verifier.verify({ headers, method: "PUT", path, remoteAddress: "192.0.2.7" }, scope);
      const hostile = ["/\0", "/x\ud83d", `/${"\ud83d\ude00".repeat(2_000)}`, `/'"\\u0000\r\n`];
      const paths = [...hostile, ...Array.from({ length: 600 }, (_, i) => `/vehicles/${i}`)];
      for (const path of paths) expect((await request(path, "vehicles:write")).ok).toBe(true);
      expect((await request("/vehicles", "vehicles:read")).ok).toBe(true);
      await Promise.all([audit.close(), usage.close()]);

      const used = (await trailOf(key.id)).filter(({ action }) => action === "used");
      expect(used).toHaveLength(paths.length);
      expect(new Set(used.map(({ details }) => details.path)).size).toBe(paths.length);
      expect(used[0]).toMatchObject({ keyId: key.id, ownerId: "acme", actor: null });
      expect(used[0]?.details).toMatchObject({ method: "PUT", clientIp: "192.0.2.7", environment: "live" });
      expect(JSON.stringify(used)).not.toContain(secret.slice(12));
      const record = await store.findById(key.id);
      expect(record?.lastUsedAt?.getTime()).toBeGreaterThanOrEqual(startedAt.getTime());
      expect(record?.version).toBe(1);
    });

    it("writes no entry twice after a lost acknowledgement", async () => {
      let lose = true;
      const losing = {
        async appendAudit(entries: readonly AuditEntry[]) {
          await store.appendAudit?.(entries);
          if (lose) throw new Error("connection reset");
        },
      };
      const audit = closeAfterEach(auditLog(losing, { closeTimeout: "50000ms" }));
      for (let i = 0; i < 700; i++) audit.observer(allowed("key_1", later(i)));
      expect(await rejection(audit.flush())).toEqual(new Error("connection reset"));
      expect(await rejection(audit.flush())).toEqual(new Error("connection reset"));
      lose = false;
      await audit.close();
      expect(await trailOf("key_1")).toHaveLength(700);
    });

    it("accepts concurrent calls with the same entries", async () => {
      const entries = Array.from({ length: 300 }, (_, i) =>
        createAuditEntry("used", { id: "key_1", ownerId: "acme" }, later(i), null, { path: `/${i}` }),
      );
      await Promise.all([1, 2, 3].map(() => store.appendAudit?.(entries)));
      expect(await trailOf("key_1")).toHaveLength(300);
    });

    it("writes all other entries if the database rejects one", async () => {
      const audit = closeAfterEach(auditLog(store, { closeTimeout: "100ms" }));
      const bad = allowed("bad", new Date(8.64e15), { ownerId: "x\0".repeat(40_000) });
      for (let i = 0; i < 40; i++) audit.observer(i === 13 ? bad : allowed("key_1", later(i)));
      const first = await rejection(audit.flush());
      expect(first === undefined).toBe(/^(redis|memory)/.test(name)); // which accept every value
      for (let i = 0; i < 12; i++) await rejection(audit.flush());
      expect(await trailOf("key_1")).toHaveLength(39);
    });
  });
}
