import { describe, expect, it } from "vitest";
import { ROUTES } from "../../../src/management/routes.js";
import { bearer } from "../core/fixtures.js";
import { exchanger } from "../oauth/fixtures.js";
import { managementApi } from "./fixtures.js";

const SETTINGS = { requires: { read: "fleet:admin", write: "fleet:admin" } } as const;

describe("a suspended owner", () => {
  it("cannot be resumed through the management API", async () => {
    const { manager, call, issue } = managementApi(SETTINGS);
    const own = await issue({ scopes: ["fleet:admin"] });
    const other = await issue();
    await manager.suspendOwner("acme", { reason: "unpaid", actor: "billing" });
    const { id } = other.key;
    for (const { method, at, item = "", needs } of ROUTES) {
      if (needs === "nothing") continue;
      const path = at === "keys" ? `/api-keys/${item.replace("{id}", id)}`.replace(/\/$/, "") : `/${at}`;
      const response = await call(`${method} ${path}`, { as: own.secret });
      expect([path, response.status, response.body.code]).toEqual([path, 401, "invalid_key"]);
    }
    expect((await manager.get(id))?.status).toBe("suspended");
  });

  it("gets a 409 key_state for a new key of a user, and its keys show the status", async () => {
    const { manager, call, issue } = managementApi();
    const { key } = await issue();
    await manager.suspendOwner("acme");
    const json = { scopes: ["vehicles:read"], environment: "live" };
    for (const line of ["POST /api-keys", `POST /api-keys/${key.id}/rotate`]) {
      const { status, body } = await call(line, { json: line.endsWith("rotate") ? {} : json });
      expect([line, status, body.code, body.message]).toEqual([
        line,
        409,
        "key_state",
        "The owner is suspended.",
      ]);
    }
    const { body } = await call(`POST /api-keys/${key.id}/enable`);
    expect(body).toMatchObject({ status: "suspended", suspendedAt: expect.any(String) });
    const { body: list } = await call("GET /api-keys?status=suspended");
    expect(list.items).toMatchObject([{ id: key.id }]);
  });

  it("has no valid tokens, also after it is resumed", async () => {
    const { manager, tokens, issue, tokenOf } = exchanger();
    const { secret, key } = await issue({ scopes: ["vehicles:read"] });
    const token = await tokenOf(secret);
    expect((await tokens.verifier.verify(bearer(token))).ok).toBe(true);
    await manager.suspendOwner(key.ownerId);
    await expect(tokenOf(secret)).rejects.toThrow("401");
    expect((await tokens.verifier.verify(bearer(token))).ok).toBe(false);
    await manager.resumeOwner(key.ownerId);
    expect((await tokens.verifier.verify(bearer(token))).ok).toBe(false);
    expect((await tokens.verifier.verify(bearer(await tokenOf(secret)))).ok).toBe(true);
  });
});

describe("the ceiling of an owner", () => {
  it("is a 409 key_limit that names it", async () => {
    const { call, manager } = managementApi();
    const json = { scopes: ["vehicles:read"], environment: "live" };
    const create = () => call("POST /api-keys", { json });
    await Promise.all(
      Array.from({ length: 999 }, () => manager.create({ ownerId: "acme", scopes: [], environment: "live" })),
    );
    const { body } = await create();
    const refused = await create();
    expect([refused.status, refused.body.code]).toEqual([409, "key_limit"]);
    expect(refused.body.message).toBe("The owner has 1000 keys, the most allowed; revoke a key first.");
    const id = body.key.id as string;
    expect((await call(`POST /api-keys/${id}/rotate`, { json: { overlap: "1h" } })).status).toBe(409);
    expect((await call(`POST /api-keys/${id}/rotate`, { json: { overlap: "0s" } })).status).toBe(201);
  });
});
