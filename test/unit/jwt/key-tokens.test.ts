import { describe, expect, it } from "vitest";
import { createJwtVerifier, type JwtVerifierOptions } from "../../../src/jwt/index.js";
import { allowed, bearer, errorOf, type FleetScope, scopes } from "../core/fixtures.js";
import { exchanger } from "../oauth/fixtures.js";
import { claimsWith, jwtService, reasons, token } from "./fixtures.js";

/** Creates a service that has only the published keys of a token service. */
async function remote(environment: string, options: Partial<JwtVerifierOptions<FleetScope>> = {}) {
  const base = exchanger();
  const { secret, key } = await base.issue({ environment });
  const sent = await base.tokenOf(secret);
  const { iss, aud } = allowed(await base.tokens.verifier.verify(bearer(sent))).claims as never;
  const verifier = createJwtVerifier<FleetScope>({
    ...{ issuer: iss, audience: aud, algorithms: ["ES256"], jwks: base.tokens.jwks(), scopes },
    clock: base.clock.now,
    ...options,
  });
  return { key, result: await verifier.verify(bearer(sent), "vehicles:read") };
}

describe("a token made from a key, in a service without its store", () => {
  it("is denied in another environment than that of its key", async () => {
    const live = await remote("live", { environment: "live" });
    expect(allowed(live.result)).toMatchObject({ environment: "live", ownerId: "acme", id: live.key.id });
    const test = await remote("test", { environment: "live" });
    expect(errorOf(test.result).code).toBe("wrong_environment");
    expect(allowed((await remote("test", { environment: ["live", "test"] })).result).environment).toBe(
      "test",
    );
    expect(allowed((await remote("test")).result).environment).toBe("test");
  });

  it("cannot be given another environment by the principal callback", async () => {
    const principal = () => ({ environment: "live" });
    expect(errorOf((await remote("test", { environment: "live", principal })).result).code).toBe(
      "invalid_key",
    );
    allowed((await remote("live", { environment: "live", principal })).result);
  });

  it.each<[string, object, string]>([
    ["a key without an environment", {}, "auth.allowed"],
    ["null", { environment: null }, "auth.allowed"],
    ["the environment of the service", { environment: "live" }, "auth.allowed"],
    ["another environment", { environment: "test" }, "wrong_environment"],
    ["another case", { environment: "LIVE" }, "wrong_environment"],
    ["an empty string", { environment: "" }, "invalid_token"],
    ["a number", { environment: 1 }, "invalid_token"],
    ["an array", { environment: ["live"] }, "invalid_token"],
    ["no key_version", { environment: "test", key_version: undefined }, "wrong_environment"],
  ])("is allowed or denied by its claim: %s", async (_, claims, expected) => {
    const service = jwtService({ environment: "live" });
    await service.send(token(claimsWith({ key_id: "key_1", key_version: 1, owner_id: "acme", ...claims })));
    expect(reasons(service)).toEqual([expected]);
  });
});

it("ignores the claim environment of a token that was not made from a key", async () => {
  const { send } = jwtService({ environment: "live" });
  const principal = allowed(await send(token(claimsWith({ environment: "test", owner_id: "acme" }))));
  expect([principal.environment, principal.ownerId]).toEqual([undefined, "user-1"]);
});
