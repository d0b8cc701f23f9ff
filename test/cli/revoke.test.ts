import { join } from "node:path";
import Database from "libsql";
import { beforeAll, describe, expect, it } from "vitest";
import { createKeyManager, defineScopes, type IssuedKey, keyFormat } from "../../src/index.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { done, freshPlace, json, run } from "./command.js";

const place = freshPlace();

interface Listed {
  readonly id: string;
  readonly status: string;
}

let keys: readonly IssuedKey[];

/** A key of acme, a key that it created, and one that this one created; and another key of acme and of globex. */
async function createTree(): Promise<readonly IssuedKey[]> {
  const database = new Database(join(place.folder, "keys.db"));
  const scopes = defineScopes({ "vehicles:read": {} });
  const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
  const manager = createKeyManager({ store: sqliteStore(database), scopes, format });
  const issue = (creator: IssuedKey | undefined, ownerId = "acme") =>
    manager.create(
      { ownerId, scopes: ["vehicles:read"], environment: "live" },
      creator ? { actor: creator.key.id, createdByKey: creator.key.id } : {},
    );
  const root = await issue(undefined);
  const child = await issue(root);
  const tree = [root, child, await issue(child), await issue(undefined), await issue(undefined, "globex")];
  database.close();
  return tree;
}

const idOf = (index: number): string => (keys[index] as IssuedKey).key.id;

async function activeIds(): Promise<string[]> {
  const listed = (await json(place, ["list", "--status", "active", "--all"])) as Listed[];
  return listed.map(({ id }) => id);
}

beforeAll(() => done(place, ["migrate"]));

describe("keybearer revoke", () => {
  it("revokes a key with everything made from it", async () => {
    keys = await createTree();
    expect(await json(place, ["list", "--created-by-key", idOf(0)])).toMatchObject([{ id: idOf(1) }]);
    const args = ["revoke", idOf(0), "--descendants", "--reason", "leaked", "--actor", "ann"];
    const { code, stdout, stderr } = await run(place, args);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toContain("The key and everything made from it are revoked.");
    expect((await activeIds()).sort()).toEqual([idOf(3), idOf(4)].sort());
    const trail = (await json(place, ["audit", "--actor", "ann"])) as { keyId: string; action: string }[];
    expect(trail.map(({ action }) => action)).toEqual(["revoked", "revoked", "revoked"]);
    const made = (await json(place, ["audit", "--actor", idOf(0)])) as { keyId: string }[];
    expect(made.map(({ keyId }) => keyId)).toEqual([idOf(1)]);
    const inspected = (await json(place, ["inspect", idOf(1)])) as { key: object };
    expect(inspected.key).toMatchObject({
      createdBy: idOf(0),
      createdByKey: idOf(0),
      revokedReason: "leaked",
    });
  });

  it("revokes all keys of an owner, or all that a key made", async () => {
    keys = await createTree();
    expect(await json(place, ["revoke", "--created-by-key", idOf(0)])).toEqual({ revoked: 2 });
    expect(await activeIds()).toContain(idOf(0));
    const { code, stderr } = await run(place, ["revoke", "--owner", "acme", "--reason", "ended"]);
    expect([code, stderr]).toEqual([0, "3 revoked.\n"]);
    const left = (await json(place, ["list", "--status", "active", "--owner", "acme"])) as Listed[];
    expect(left).toEqual([]);
    expect(await activeIds()).toContain(idOf(4));
  });

  it.each([
    [[], "Pass one of an id, --owner and --created-by-key"],
    [["key_0", "--owner", "acme"], "Pass one of an id, --owner and --created-by-key"],
    [["--owner", "acme", "--created-by-key", "key_0"], "Pass one of an id, --owner and --created-by-key"],
    [["--owner", "acme", "--descendants"], "--descendants needs the id of a key"],
  ])("rejects %j and changes nothing", async (args, message) => {
    const before = await activeIds();
    const { code, stderr } = await run(place, ["revoke", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(await activeIds()).toEqual(before);
  });

  it("rejects an unknown key", async () => {
    expect((await run(place, ["revoke", "key_unknown", "--descendants"])).code).toBe(3);
  });
});
