import { Unkey } from "@unkey/api";
import { describe, expect, it } from "vitest";
import { done, freshPlace } from "../command.js";
import { administrator, call, SERVE, serve } from "./service.js";

describe("keybearer serve with the client @unkey/api", { timeout: 60_000 }, () => {
  it("creates, verifies and deletes a key", async () => {
    const place = freshPlace(undefined, SERVE);
    const rootKey = await administrator(place);
    const service = await serve(place);
    const unkey = new Unkey({ rootKey, serverURL: service.url });
    const expires = Date.now() + 3_600_000;
    const created = await unkey.keys.createKey({
      ...{ apiId: "api_fleet", name: "CI", externalId: "user_1", meta: { plan: "pro" }, expires },
      permissions: ["vehicles:read"],
      ratelimits: [{ name: "requests", limit: 5, duration: 60_000, autoApply: true }],
    });
    const { key, keyId } = created.data;
    expect(key).toMatch(/^ezt_live_/);

    const verified = await unkey.keys.verifyKey({ key, permissions: "vehicles:read" });
    expect(verified.data).toEqual({
      ...{ valid: true, code: "VALID", keyId, name: "CI", enabled: true, expires },
      ...{ meta: { plan: "pro" }, permissions: ["vehicles:read"] },
      identity: { id: "user_1", externalId: "user_1", meta: {} },
    });
    const codeOf = async (request: { key: string; permissions?: string }) =>
      (await unkey.keys.verifyKey(request)).data.code;
    expect(await codeOf({ key, permissions: "vehicles:read AND vehicles:write" })).toBe(
      "INSUFFICIENT_PERMISSIONS",
    );
    expect(await codeOf({ key, permissions: "vehicles:read OR vehicles:write" })).toBe("VALID");
    for (let index = 0; index < 3; index++) await codeOf({ key });
    expect(await codeOf({ key })).toBe("RATE_LIMITED");
    expect(await codeOf({ key: key.replace(/.$/, "-") })).toBe("NOT_FOUND");

    const second = await unkey.keys.createKey({ apiId: "api_fleet" });
    await done(place, ["disable", second.data.keyId]);
    await expect.poll(() => codeOf({ key: second.data.key }), { timeout: 10_000 }).toBe("DISABLED");

    await unkey.keys.deleteKey({ keyId });
    expect(await codeOf({ key })).toBe("NOT_FOUND");
  });

  it("rejects what it does not support, and credentials that may not create keys", async () => {
    const place = freshPlace(undefined, SERVE);
    const rootKey = await administrator(place);
    const service = await serve(place);
    const unkey = new Unkey({ rootKey, serverURL: service.url });
    const apiId = "api_fleet";
    await expect(unkey.keys.createKey({ apiId, credits: { remaining: 5 } })).rejects.toMatchObject({
      statusCode: 400,
    });
    await expect(unkey.keys.createKey({ apiId, recoverable: true })).rejects.toMatchObject({
      statusCode: 400,
    });
    await expect(unkey.keys.deleteKey({ keyId: "key_none" })).rejects.toMatchObject({
      ...{ statusCode: 404, name: "NotFoundErrorResponse" },
    });
    await expect(unkey.keys.verifyKey({ key: rootKey, permissions: "a AND (b OR c)" })).rejects.toMatchObject(
      {
        statusCode: 400,
      },
    );
    const weak = await call(service, "POST", "/v1/api-keys", rootKey, { scopes: ["keybearer:verify"] });
    const limited = new Unkey({ rootKey: weak.body.secret, serverURL: service.url });
    await expect(limited.keys.createKey({ apiId })).rejects.toMatchObject({ statusCode: 403 });
    const nobody = new Unkey({ rootKey: "none", serverURL: service.url });
    await expect(nobody.keys.verifyKey({ key: rootKey })).rejects.toMatchObject({ statusCode: 401 });
  });
});
