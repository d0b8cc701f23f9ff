import { describe, expect, it } from "vitest";
import type { ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type ApiResponse, managementApi, USERS } from "./fixtures.js";

const REQUIRES = { requires: { read: "vehicles:read", write: "fleet:admin" } } as const;

/** A management API that keys may use, and a key that manages keys. */
async function managed(store: ManagedKeyStore = memoryStore()) {
  const api = managementApi(REQUIRES, { store });
  const own = await api.issue({ scopes: ["fleet:admin"] });
  const create = (secret: string): Promise<ApiResponse> =>
    api.call("POST /api-keys", { as: secret, json: { scopes: ["fleet:admin"] } });
  return { ...api, own, create };
}

describe("a key that is created with a key", () => {
  it("shows who created it", async () => {
    const { call, own, create } = await managed();
    const { status, body } = await create(own.secret);
    expect([status, body.key.createdBy, body.key.createdByKey]).toEqual([201, own.key.id, own.key.id]);
    const byUser = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([byUser.body.key.createdBy, byUser.body.key.createdByKey]).toEqual(["jwt:ann", null]);
  });

  it("has the key of a token as its creator", async () => {
    const setUp = await managed();
    const key = setUp.own.key;
    const users = {
      ...USERS,
      "jwt-key": {
        id: key.id,
        ownerId: "acme",
        environment: "live",
        scopes: ["fleet:admin"],
        key,
        claims: { key_id: key.id, exp: 4_000_000_000 },
      },
    } as typeof USERS;
    const api = managementApi({ ...REQUIRES, tokensMayGrant: true }, { store: setUp.store, users });
    const { status, body } = await api.call("POST /api-keys", { as: "jwt-key", json: { scopes: [] } });
    expect([status, body.key.createdByKey]).toEqual([201, key.id]);
  });

  it("is the successor of a key that another key rotated, too", async () => {
    const { call, own, issue, manager } = await managed();
    const { key } = await issue();
    const { body } = await call(`POST /api-keys/${key.id}/rotate`, {
      as: own.secret,
      json: { overlap: "30d" },
    });
    expect(body.key.createdByKey).toBe(own.key.id);
    const byUser = await call(`POST /api-keys/${(await issue()).key.id}/rotate`);
    expect(byUser.body.key.createdByKey).toBeNull();
    await call(`DELETE /api-keys/${own.key.id}?descendants=true`);
    expect((await manager.get(body.key.id))?.status).toBe("revoked");
  });

  it("is not created if its creator is revoked after the request was verified", async () => {
    const inner = memoryStore();
    const revoked: { id?: string } = {};
    const store: ManagedKeyStore = {
      ...inner,
      insert: async (record, audit) => {
        if (revoked.id === record.createdByKey) {
          const creator = (await inner.findById(revoked.id as string)) as NonNullable<
            Awaited<ReturnType<typeof inner.findById>>
          >;
          await inner.update(
            creator.id,
            creator.version,
            { revokedAt: new Date(0) },
            { ...audit, id: "late" },
          );
        }
        return inner.insert(record, audit);
      },
    };
    const { own, create, manager } = await managed(store);
    revoked.id = own.key.id;
    const { status, body, headers } = await create(own.secret);
    expect([status, body.code]).toEqual([401, "invalid_key"]);
    expect(headers.get("www-authenticate")).toContain("invalid_token");
    expect((await manager.list()).items).toHaveLength(1);
  });
});

describe("DELETE with descendants", () => {
  it.each<[string, string, object | undefined]>([
    ["query", "?descendants=true&reason=leaked", undefined],
    ["body", "", { descendants: true, reason: "leaked" }],
    ["query and body", "?descendants=true", { reason: "leaked" }],
  ])("in the %s revokes everything made from the key", async (_, query, json) => {
    const { call, own, create, manager } = await managed();
    const child = (await create(own.secret)).body;
    const grandchild = (await create(child.secret)).body;
    const { status, body } = await call(`DELETE /api-keys/${own.key.id}${query}`, { json });
    expect([status, body.id, body.revokedReason]).toEqual([200, own.key.id, "leaked"]);
    for (const { key } of [child, grandchild]) {
      expect(await manager.get(key.id)).toMatchObject({ status: "revoked", revokedReason: "leaked" });
    }
    expect((await create(grandchild.secret)).status).toBe(401);
  });

  it("revokes only the key if it is false, and rejects other values", async () => {
    const { call, own, create, manager } = await managed();
    const { key } = (await create(own.secret)).body;
    for (const [line, json] of [
      ["?descendants=yes", undefined],
      ["?descendants=", undefined],
      ["", { descendants: "true" }],
      ["", { descendants: null }],
      ["?descendants=true", { descendants: true }],
    ] as const) {
      const { status, body } = await call(`DELETE /api-keys/${own.key.id}${line}`, { json });
      expect([status, body.errors?.[0]?.path]).toEqual([400, "descendants"]);
    }
    expect((await call(`DELETE /api-keys/${own.key.id}?descendants=false`)).status).toBe(200);
    expect((await manager.get(key.id))?.status).toBe("active");
  });
});

describe("a key that the operator disabled", () => {
  it("cannot be enabled by its owner, who is told why", async () => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    await manager.disable(key.id);
    expect((await call(`GET /api-keys/${key.id}`)).body.disabledBy).toBe("operator");
    const { status, body } = await call(`POST /api-keys/${key.id}/enable`);
    expect([status, body.code, body.message]).toEqual([
      409,
      "key_state",
      "The operator of the service disabled the key, and only the operator can enable it.",
    ]);
    await manager.enable(key.id);
    expect((await call(`POST /api-keys/${key.id}/disable`)).body.disabledBy).toBe("owner");
    expect((await call(`POST /api-keys/${key.id}/enable`)).status).toBe(200);
  });
});
