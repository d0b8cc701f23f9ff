import { describe, expect, test } from "vitest";
import { KeyConflictError, type ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { managementApi } from "./fixtures.js";

/** A store whose calls take one turn of the event loop, so that requests interleave. */
function slow(): ManagedKeyStore {
  const slowed = Object.entries(memoryStore()).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      await new Promise(setImmediate);
      return (method as (...args: unknown[]) => unknown)(...args);
    },
  ]);
  return Object.fromEntries(slowed);
}

describe("concurrent requests", () => {
  test("only one of several rotations succeeds", async () => {
    const { call, issue, manager } = managementApi({}, { store: slow() });
    const { key } = await issue();
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => call(`POST /api-keys/${key.id}/rotate`, { json: { overlap: "1h" } })),
    );
    const statuses = responses.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array(9).fill(409)]);
    for (const { status, body } of responses) if (status === 409) expect(body.code).toBe("key_state");
    expect((await manager.list()).items).toHaveLength(2);
  });

  test("a revocation during a rotation leaves the old key revoked", async () => {
    for (let round = 0; round < 20; round++) {
      const { call, issue, manager } = managementApi({}, { store: slow() });
      const { key } = await issue();
      const [revoked, rotated] = await Promise.all([
        call(`DELETE /api-keys/${key.id}`),
        call(`POST /api-keys/${key.id}/rotate`, { json: { overlap: "1h" } }),
      ]);
      expect(revoked.status).toBe(200);
      expect([201, 409]).toContain(rotated.status);
      expect((await manager.get(key.id))?.status).toBe("revoked");
      expect((await manager.list()).items).toHaveLength(rotated.status === 201 ? 2 : 1);
    }
  });

  test("several revocations keep the first reason and return it", async () => {
    const { call, issue } = managementApi({}, { store: slow() });
    const { key } = await issue();
    const responses = await Promise.all(
      ["a", "b", "c"].map((reason) => call(`DELETE /api-keys/${key.id}?reason=${reason}`)),
    );
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(responses.map(({ text }) => text)).size).toBe(1);
  });

  test("updates of different members are all applied", async () => {
    const { call, issue, manager } = managementApi({}, { store: slow() });
    const { key } = await issue();
    const changes = [{ name: "x" }, { metadata: { a: 1 } }, { ipAllowlist: ["10.0.0.1"] }];
    const responses = await Promise.all(changes.map((json) => call(`PATCH /api-keys/${key.id}`, { json })));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await manager.get(key.id)).toMatchObject(Object.assign({}, ...changes));
  });
});

describe("conflicts", () => {
  test("a key that is changed during every attempt is a 409 and does not call onError", async () => {
    const inner = memoryStore();
    const { key } = await managementApi({}, { store: inner }).issue();
    const store = { ...inner, update: () => false, replace: () => false };
    const { call, errors } = managementApi({}, { store });
    for (const [line, json] of [
      [`PATCH /api-keys/${key.id}`, { name: "x" }],
      [`DELETE /api-keys/${key.id}`],
      [`POST /api-keys/${key.id}/rotate`],
      [`POST /api-keys/${key.id}/disable`],
    ] as const) {
      const { status, body } = await call(line, { json });
      expect([line, status, body.code]).toEqual([line, 409, "key_conflict"]);
    }
    expect(errors).toEqual([]);
  });

  test("a conflict reported by the store is a 409", async () => {
    const inner = memoryStore();
    const insert = () => Promise.reject(new KeyConflictError("of the store"));
    const { call } = managementApi({}, { store: { ...inner, insert } });
    const { status, body } = await call("POST /api-keys", { json: { scopes: [], environment: "live" } });
    expect([status, body.code]).toEqual([409, "key_conflict"]);
  });

  test("a change that the state does not allow is a 409 with the reason", async () => {
    const { call, issue, manager } = managementApi();
    const { key } = await issue();
    await manager.revoke(key.id);
    for (const [line, message, json] of [
      [`PATCH /api-keys/${key.id}`, "A revoked key cannot be changed.", { name: "x" }],
      [`POST /api-keys/${key.id}/rotate`, "A revoked key cannot be rotated."],
      [`POST /api-keys/${key.id}/disable`, "A revoked key cannot be disabled."],
      [`POST /api-keys/${key.id}/enable`, "A revoked key cannot be enabled."],
    ] as const) {
      const { status, body } = await call(line, { json });
      expect([status, body.code, body.message]).toEqual([409, "key_state", message]);
    }
  });

  test("a key that is purged during a change is a 404", async () => {
    const inner = memoryStore();
    const api = managementApi({}, { store: inner });
    const { key } = await api.issue();
    let looks = 0;
    const findById: typeof inner.findById = (id) => (looks++ === 0 ? inner.findById(id) : undefined);
    const { call } = managementApi({}, { store: { ...inner, findById } });
    expect((await call(`DELETE /api-keys/${key.id}`)).status).toBe(404);
  });
});
