import { expect, test } from "vitest";
import { createAuditEntry } from "../../../../src/core/keys/audit-entry.js";

const KEY = { id: "key_1", ownerId: "acme" };
const at = (ms: number) => new Date(Date.UTC(2031, 0, 1) + ms);
const idAt = (date: Date) => createAuditEntry("used", KEY, date, null).id;

test("an entry has the action, the key, the time, the actor and frozen details", () => {
  const details = { path: "/a", list: ["b"] };
  const entry = createAuditEntry("used", { ...KEY, name: "more" } as never, at(0), "ann", details);
  const { id, ...rest } = entry;
  expect(rest).toEqual({
    at: at(0),
    action: "used",
    keyId: "key_1",
    ownerId: "acme",
    actor: "ann",
    details: { path: "/a", list: ["b"] },
  });
  expect(id).toMatch(/^[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}$/);
  expect(Object.isFrozen(entry.details)).toBe(true);
  expect(Object.isFrozen(entry.details.list)).toBe(true);
  expect(createAuditEntry("used", KEY, at(0), null)).toMatchObject({ actor: null, details: {} });
});

test("ids sort by time, and within a millisecond by the order of creation", () => {
  const ids = [at(10), at(10), at(10), at(11), at(11), at(5_000)].map(idAt);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(6);
  expect(ids.map((id) => id.slice(0, 25))).toEqual(
    [10, 10, 10, 11, 11, 5_000].map((ms, index) => {
      const count = [0, 1, 2, 0, 1, 0][index] as number;
      return `${at(ms).getTime().toString(16).padStart(12, "0")}-${String(count).padStart(12, "0")}`;
    }),
  );
});

test("ids of one millisecond keep their order if the clock moved back between them", () => {
  const ids = [at(10_000), at(9_000), at(10_000), at(9_000)].map(idAt);
  expect((ids[0] as string) < (ids[2] as string)).toBe(true);
  expect((ids[1] as string) < (ids[3] as string)).toBe(true);
});

test("a time before 1970 counts as 0 in an id", () => {
  expect(idAt(new Date(-5))).toMatch(/^000000000000-/);
});
