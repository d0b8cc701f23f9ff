import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import { AUDIT_ACTIONS, type AuditEntry, type ManagedKeyStore } from "../kit.js";
import {
  addKey,
  assertAllOnce,
  assertSame,
  at,
  everyEntry,
  ids,
  type Rule,
  sampleAudit,
  sampleKey,
} from "./fixtures.js";

const AWKWARD = `' " \\ % ; \n é 😀`;

/** Rules for the audit trail. */
export const AUDIT_RULES: readonly Rule[] = [
  {
    name: "auditTrail returns entries as they were written, newest first",
    async check(store, { latest }) {
      const entries = AUDIT_ACTIONS.map((action, index) =>
        sampleAudit(
          { id: `key ${AWKWARD}`, ownerId: `owner ${AWKWARD}` },
          {
            action,
            at: index === AUDIT_ACTIONS.length - 1 ? latest : new Date(index * 1_001),
            actor: index % 2 === 0 ? null : AWKWARD,
            details: index === 0 ? {} : { [AWKWARD]: [AWKWARD, index, null, true, { deep: [{}] }] },
          },
        ),
      );
      for (const entry of entries) await addEntry(store, entry);
      assertSame(await everyEntry(store), [...entries].reverse());
    },
  },
  {
    name: "auditTrail filters by exact key, owner, or both",
    async check(store) {
      for (const keyId of ["key_a", "KEY_A", "key_a "]) {
        for (const ownerId of ["acme", "Acme"]) {
          await addEntry(store, sampleAudit({ id: keyId, ownerId }, { id: `${keyId}/${ownerId}` }));
        }
      }
      const found = async (query: Parameters<typeof everyEntry>[1]) =>
        ids(await everyEntry(store, query)).sort();
      assert.deepEqual(await found({ keyId: "key_a" }), ["key_a/Acme", "key_a/acme"]);
      assert.deepEqual(await found({ ownerId: "acme" }), ["KEY_A/acme", "key_a /acme", "key_a/acme"]);
      assert.deepEqual(await found({ keyId: "KEY_A", ownerId: "Acme" }), ["KEY_A/Acme"]);
      assert.deepEqual(await found({ keyId: "key_%" }), []);
      assert.equal((await found({})).length, 6);
    },
  },
  {
    name: "pages of the audit trail neither skip nor repeat an entry while others are added",
    async check(store) {
      const before: AuditEntry[] = [];
      for (let index = 0; index < 17; index++) {
        before.push(await addEntry(store, sampleAudit(sampleKey(), { at: at(-Math.floor(index / 5)) })));
      }
      for (const limit of [1, 4]) {
        let pages = 0;
        const seen = await everyEntry(store, { limit, ownerId: "acme" }, async () => {
          if (++pages > 5) return;
          for (const time of [50, 0, -1, -99])
            await addEntry(store, sampleAudit(sampleKey(), { at: at(time) }));
        });
        assertAllOnce(ids(seen), ids(before));
      }
    },
  },
  {
    name: "the last page of the audit trail has no cursor, even if it is full",
    async check(store) {
      for (let index = 0; index < 6; index++)
        await addEntry(store, sampleAudit(sampleKey(), { at: at(index) }));
      const first = await store.auditTrail({ limit: 3 });
      assert.equal(first.items.length, 3);
      assert.ok(first.nextCursor);
      const second = await store.auditTrail({ limit: 3, cursor: first.nextCursor });
      assert.equal(second.items.length, 3);
      assert.equal(second.nextCursor ?? undefined, undefined);
    },
  },
  {
    name: "a change and its audit entry are written together or not at all",
    async check(store) {
      const key = await addKey(store, sampleKey({ createdAt: at(-1) }));
      // A store may accept or reject a second entry with the same id, but must not write half of the change.
      const taken = (await everyEntry(store))[0] as AuditEntry;
      const second = sampleKey();
      const writes: [write: () => Awaitable<unknown>, written: () => Promise<boolean>][] = [
        [() => store.insert(second, taken), async () => (await store.findById(second.id)) !== undefined],
        [
          () => store.update(key.id, 1, { name: "other" }, taken),
          async () => (await store.findById(key.id))?.name === "other",
        ],
      ];
      let entries = 1;
      for (const [write, written] of writes) {
        const done = await Promise.resolve()
          .then(write)
          .then(
            () => true,
            () => false,
          );
        if (done) entries += 1;
        assert.equal(await written(), done);
        assert.equal((await everyEntry(store)).length, entries);
      }
    },
  },
];

/** Writes an entry together with a new key. */
async function addEntry(store: ManagedKeyStore, entry: AuditEntry): Promise<AuditEntry> {
  await store.insert(sampleKey({ ownerId: "carrier" }), entry);
  return entry;
}
