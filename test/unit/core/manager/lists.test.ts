import { describe, expect, it } from "vitest";
import { service, thrownBy } from "../fixtures.js";
import { INPUT, later } from "./fixtures.js";

describe("list and auditTrail", () => {
  it("pages newest first, each key once, while keys are added", async () => {
    const { manager, clock } = service();
    const ids: string[] = [];
    for (let i = 0; i < 25; i++) {
      clock.set(later(Math.floor(i / 3)));
      ids.unshift((await manager.create(INPUT)).key.id);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await manager.list({ limit: 4, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      clock.set(later(1000));
      await manager.create(INPUT);
    } while (cursor !== undefined);
    expect(seen).toHaveLength(25);
    expect([...seen].sort()).toEqual([...ids].sort());
    const times = await Promise.all(
      seen.map(async (id) => (await manager.get(id))?.createdAt?.getTime() ?? 0),
    );
    expect(times).toEqual([...times].sort((a, b) => b - a));
  });

  it("filters by owner, environment and status", async () => {
    const { manager, clock } = service();
    const acme = await manager.create(INPUT);
    const test_ = await manager.create({ ...INPUT, environment: "test" });
    const other = await manager.create({ ...INPUT, ownerId: "other", expiresAt: later(10) });
    await manager.disable(test_.key.id);
    await manager.rotate(acme.key.id, { overlap: "1h" });
    clock.set(later(10));
    const ids = async (query: object) => (await manager.list(query)).items.map(({ id }) => id);
    expect(await ids({ ownerId: "other" })).toEqual([other.key.id]);
    expect(await ids({ environment: "test" })).toEqual([test_.key.id]);
    expect(await ids({ status: "disabled" })).toEqual([test_.key.id]);
    expect(await ids({ status: "expired" })).toEqual([other.key.id]);
    expect(await ids({ status: "retiring" })).toEqual([acme.key.id]);
    expect(await ids({ status: "revoked" })).toEqual([]);
    expect(await ids({ ownerId: "acme", status: "active" })).toHaveLength(1);
    expect(JSON.stringify(await manager.list())).not.toContain('"hash"');
  });

  it.each<[object, string]>([
    [{ limit: 0 }, "limit"],
    [{ limit: 1001 }, "limit"],
    [{ limit: 1.5 }, "limit"],
    [{ limit: "10" }, "limit"],
    [{ limit: null }, "limit"],
    [{ cursor: "junk" }, "cursor"],
    [{ cursor: "" }, "cursor"],
    [{ ownerId: undefined }, "ownerId"],
    [{ ownerId: { $ne: "" } }, "ownerId"],
  ])("rejects the query %j", async (query, path) => {
    const { manager } = service();
    await manager.create(INPUT);
    expect(await thrownBy(() => manager.list(query))).toMatchObject({ name: "KeyInputError", path });
    expect(await thrownBy(() => manager.auditTrail(query))).toMatchObject({ name: "KeyInputError", path });
  });

  it("rejects an unknown status and unknown filters", async () => {
    const { manager } = service();
    expect(await thrownBy(() => manager.list({ status: "gone" as never }))).toMatchObject({ path: "status" });
    for (const query of [{ owner: "acme" }, { owner: undefined }]) {
      for (const list of [() => manager.list(query as never), () => manager.auditTrail(query as never)]) {
        expect(await thrownBy(list)).toMatchObject({ name: "KeyInputError", path: "owner" });
      }
    }
    for (const query of [null, [], "acme"]) {
      expect(await thrownBy(() => manager.list(query as never))).toMatchObject({ path: "list" });
      expect(await thrownBy(() => manager.auditTrail(query as never))).toMatchObject({ path: "auditTrail" });
    }
  });

  it("filters audit entries by key and owner", async () => {
    const { manager } = service();
    const [a, b] = [await manager.create(INPUT), await manager.create({ ...INPUT, ownerId: "globex" })];
    const idsOf = async (query: object) =>
      (await manager.auditTrail(query)).items.map(({ keyId }) => keyId).sort();
    expect(await idsOf({})).toEqual([a.key.id, b.key.id].sort());
    expect(await idsOf({ ownerId: "globex" })).toEqual([b.key.id]);
    expect(await idsOf({ keyId: a.key.id })).toEqual([a.key.id]);
    expect(await idsOf({ keyId: a.key.id, ownerId: "globex" })).toEqual([]);
  });

  it("pages audit entries of one millisecond newest first", async () => {
    const { manager } = service();
    const { key } = await manager.create(INPUT);
    const wanted = ["created"];
    for (let i = 0; i < 20; i++) {
      await manager.disable(key.id);
      await manager.enable(key.id);
      wanted.unshift("enabled", "disabled");
    }
    const actions = (items: readonly { action: string }[]) => items.map(({ action }) => action);
    expect(actions((await manager.auditTrail({ keyId: key.id })).items)).toEqual(wanted);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await manager.auditTrail({ limit: 3, ...(cursor !== undefined && { cursor }) });
      seen.push(...actions(page.items));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(wanted);
  });
});
