import { describe, expect, it } from "vitest";
import { anyVerifier } from "../../../src/kit.js";
import { createManagementApi, type ManagementOptions } from "../../../src/management/index.js";
import { type FleetScope, START } from "../core/fixtures.js";
import { exchanger } from "../oauth/fixtures.js";
import { later, send } from "./fixtures.js";

const TTL_MS = 900_000;
const FOREVER = { scopes: ["vehicles:read"], expiresAt: null };

/** Creates a management API for keys with `fleet:admin` and their tokens, and such a token. */
async function managed(options: Partial<ManagementOptions<FleetScope>> = {}) {
  const base = exchanger();
  const { tokens, verifier, manager } = base;
  const handler = createManagementApi<FleetScope>({
    keys: manager,
    verifier: anyVerifier(verifier, tokens.verifier),
    requires: { read: "fleet:admin", write: "fleet:admin" },
    ...options,
  });
  const own = await base.issue({ scopes: ["fleet:admin"] });
  const other = await base.issue({ scopes: ["vehicles:read"] });
  const token = await base.tokenOf(own.secret);
  const call = async (line: string, json?: unknown) => {
    const { status, body } = await send(handler, line, { as: token, json });
    return { status, code: body.code, key: body.key ?? body, errors: body.errors };
  };
  return { ...base, own, other, call };
}

/** Every request with which a token could obtain something that works longer. */
const GRANTS = (id: string): readonly [line: string, json?: unknown][] => [
  ["POST /api-keys", FOREVER],
  ["POST /api-keys", { scopes: [] }],
  [`PATCH /api-keys/${id}`, { expiresAt: null }],
  [`PATCH /api-keys/${id}`, { name: "x" }],
  [`POST /api-keys/${id}/rotate`, { overlap: "1h" }],
  [`POST /api-keys/${id}/enable`],
];

describe("a token made from a key", () => {
  it("cannot make a key that outlives it", async () => {
    const { call, own, other, manager } = await managed();
    const before = (await manager.list()).items;
    for (const { key } of [own, other]) {
      for (const [line, json] of GRANTS(key.id)) {
        const { status, code } = await call(line, json);
        expect([line, status, code]).toEqual([line, 403, "token_not_allowed"]);
      }
    }
    expect((await manager.list()).items).toEqual(before);
  });

  it("reads, disables and revokes keys", async () => {
    const { call, other, manager } = await managed();
    expect((await call("GET /api-keys")).status).toBe(200);
    expect((await call(`POST /api-keys/${other.key.id}/disable`)).status).toBe(200);
    expect((await call(`DELETE /api-keys/${other.key.id}`)).status).toBe(200);
    expect((await manager.get(other.key.id))?.status).toBe("revoked");
  });

  it("makes nothing that outlives it if tokensMayGrant is true", async () => {
    const { call, own, other, manager, issue } = await managed({ tokensMayGrant: true });
    for (const [line, json] of GRANTS(other.key.id).filter(([line]) => !line.endsWith("/api-keys"))) {
      const { status, code, errors } = await call(line, json);
      expect([line, status, code, errors]).toMatchObject([
        line,
        403,
        "exceeds_own_key",
        [{ path: "expiresAt" }],
      ]);
    }
    expect((await call("POST /api-keys", FOREVER)).code).toBe("exceeds_own_key");
    const late = { scopes: [], expiresAt: later(TTL_MS + 1) };
    expect((await call("POST /api-keys", late)).code).toBe("exceeds_own_key");
    expect((await call(`POST /api-keys/${own.key.id}/rotate`)).code).toBe("exceeds_own_key");

    const created = await call("POST /api-keys", { scopes: ["vehicles:read"] });
    expect([created.status, created.key.expiresAt]).toEqual([201, later(TTL_MS).toISOString()]);
    const rotated = await call(`POST /api-keys/${created.key.id}/rotate`);
    expect([rotated.status, rotated.key.expiresAt]).toEqual([201, later(TTL_MS).toISOString()]);
    const short = await issue({ expiresAt: later(60_000) });
    await manager.disable(short.key.id, { by: "owner" });
    expect((await call(`POST /api-keys/${short.key.id}/enable`)).status).toBe(200);
    const longer = { expiresAt: later(TTL_MS) };
    expect((await call(`PATCH /api-keys/${short.key.id}`, longer)).status).toBe(200);
    for (const { id, expiresAt } of (await manager.list({ ownerId: "acme" })).items) {
      if (id === own.key.id || id === other.key.id) continue;
      expect(expiresAt?.getTime()).toBeLessThanOrEqual(START.getTime() + TTL_MS);
    }
  });
});

it("rejects tokensMayGrant that is not a boolean", async () => {
  await expect(managed({ tokensMayGrant: "yes" as never })).rejects.toThrow(
    'createManagementApi: "tokensMayGrant" must be true or false',
  );
});
