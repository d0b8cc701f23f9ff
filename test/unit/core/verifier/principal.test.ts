import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createVerifier, hashSecret } from "../../../../src/index.js";
import {
  allowed,
  bearer,
  type FleetScope,
  format,
  recordOf,
  START,
  scopes,
  service,
  storeOf,
} from "../fixtures.js";

async function principalOf(granted: readonly FleetScope[] = ["vehicles:write"]) {
  const { manager, verifier, clock } = service();
  const { secret, key } = await manager.create({
    ownerId: "acme",
    scopes: granted,
    environment: "live",
    name: "truck",
    metadata: { team: { name: "a" } },
    ipAllowlist: ["10.0.0.0/8"],
    expiresAt: new Date(clock.now().getTime() + 1e6),
  });
  const request = bearer(secret, { requestId: "id-1", remoteAddress: "10.0.0.1" });
  return { principal: allowed(await verifier.verify(request)), secret, key };
}

describe("principal", () => {
  it("has the members of the key", async () => {
    const { principal, key } = await principalOf();
    expect(principal).toMatchObject({
      type: "api_key",
      id: key.id,
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:write"],
      requestId: "id-1",
    });
    expect(principal.key).toEqual(key);
    expect(principal.claims).toBeUndefined();
  });

  it("follows implications in can(), and lists granted scopes in scopes", async () => {
    const { principal } = await principalOf();
    expect(principal.can("vehicles:read")).toBe(true);
    expect(principal.can("vehicles:write")).toBe(true);
    expect(principal.can("drivers:read")).toBe(false);
    expect(principal.can("reports:read")).toBe(false);
    expect(principal.can("nonsense" as FleetScope)).toBe(false);
    expect(principal.scopes).not.toContain("vehicles:read");
  });

  it("is frozen", async () => {
    const { principal } = await principalOf(["vehicles:read"]);
    expect(Object.isFrozen(principal)).toBe(true);
    expect(Object.isFrozen(principal.scopes)).toBe(true);
    expect(() => Object.assign(principal, { ownerId: "evil" })).toThrow(TypeError);
    expect(() => Object.assign(principal, { scopes: ["fleet:admin"] })).toThrow(TypeError);
    expect(() => (principal.scopes as string[]).push("fleet:admin")).toThrow(TypeError);
    expect(() => Object.assign(principal, { can: () => true })).toThrow(TypeError);
    expect(() => Object.assign(principal.key as object, { ownerId: "evil" })).toThrow(TypeError);
    expect(principal.can("fleet:admin")).toBe(false);
  });

  it("has a frozen copy of the key, created once", async () => {
    const { principal } = await principalOf();
    expect(principal.key).toBe(principal.key);
    expect(Object.isFrozen(principal.key?.metadata?.team)).toBe(true);
    expect(principal.key?.ipAllowlist).toEqual(["10.0.0.0/8"]);
    expect(principal.key?.status).toBe("active");
    principal.key?.expiresAt?.setTime(0);
    const { principal: other } = await principalOf();
    expect(other.key?.expiresAt?.getTime()).toBe(START.getTime() + 1e6);
  });

  it("keeps changes of a date from the store", async () => {
    const { manager, verifier } = service();
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: [],
      environment: "live",
      expiresAt: "2031-01-01T00:00:00Z",
    });
    allowed(await verifier.verify(bearer(secret))).key?.expiresAt?.setTime(0);
    expect((await verifier.verify(bearer(secret))).ok).toBe(true);
    expect((await manager.get(key.id))?.expiresAt).toEqual(new Date("2031-01-01T00:00:00Z"));
  });

  it("has no secrets in JSON", async () => {
    const { principal, key } = await principalOf();
    expect(JSON.parse(JSON.stringify(principal))).toEqual({
      type: "api_key",
      id: key.id,
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:write"],
      requestId: "id-1",
    });
  });

  it("has neither hash nor secret when it is printed", async () => {
    const { principal, secret } = await principalOf();
    void principal.key;
    const options = { depth: 20, showHidden: true, getters: true };
    const printed = inspect(principal, options) + JSON.stringify(principal) + JSON.stringify(principal.key);
    expect(printed).toContain("acme");
    expect(printed).not.toContain(hashSecret(secret));
    expect(printed).not.toContain(secret.slice(13));
  });

  it("leaves out scopes that are no longer defined", async () => {
    const secret = format.generate("live");
    const granted = ["gone:read", "vehicles:read", "constructor", "__proto__", 7 as never];
    const store = storeOf((hash) => recordOf(hash, { scopes: granted }));
    const result = await createVerifier({ store, scopes, format }).verify(bearer(secret), "vehicles:read");
    expect(allowed(result).scopes).toEqual(["vehicles:read"]);
  });

  it("is not affected by later changes to the array of the store", async () => {
    const secret = format.generate("live");
    const granted = ["vehicles:read"];
    const record = recordOf(hashSecret(secret), { scopes: granted });
    const verifier = createVerifier({ store: storeOf(() => record), scopes, format });
    const read = allowed(await verifier.verify(bearer(secret)));
    const unread = allowed(await verifier.verify(bearer(secret)));
    expect(read.scopes).toEqual(["vehicles:read"]);
    granted.splice(0, 1, "fleet:admin", "drivers:read");
    for (const principal of [read, unread]) {
      expect(principal.can("fleet:admin")).toBe(false);
      expect(principal.can("drivers:read")).toBe(false);
      expect(principal.can("vehicles:read")).toBe(true);
      expect(principal.scopes).toEqual(["vehicles:read"]);
    }
    const next = allowed(await verifier.verify(bearer(secret)));
    expect(next.can("fleet:admin")).toBe(true);
  });

  it("has one generated request id if the framework has none", async () => {
    const store = storeOf((hash) => recordOf(hash));
    const verifier = createVerifier({ store, scopes, format });
    const principal = allowed(await verifier.verify(bearer(format.generate("live"))));
    expect(principal.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(principal.requestId).toBe(principal.requestId);
    expect(principal.environment).toBeUndefined();
  });
});
