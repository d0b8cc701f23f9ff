import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { anyVerifier } from "../../../src/kit.js";
import { createManagementApi, type ManagementOptions } from "../../../src/management/index.js";
import type { FleetScope } from "../core/fixtures.js";
import { claimsWith, jwtService, token } from "../jwt/fixtures.js";
import { exchanger } from "../oauth/fixtures.js";
import { send } from "./fixtures.js";

/** Creates a management API for keys, their tokens and users of an identity provider. */
async function trail(options: Partial<ManagementOptions<FleetScope>> = {}) {
  const base = exchanger();
  const victim = await base.issue({ scopes: ["fleet:admin"] });
  const users = jwtService({
    principal: ({ sub }) => ({ id: String(sub), ownerId: "acme", scopes: ["fleet:admin"] }),
  });
  const handlers = [base.verifier, base.tokens.verifier, users.verifier].map((verifier) =>
    createManagementApi<FleetScope>({
      ...{ keys: base.manager, verifier: anyVerifier(verifier), tokensMayGrant: true },
      requires: { read: "fleet:admin", write: "fleet:admin" },
      ...options,
    }),
  );
  const [forKeys, forTokens, forUsers] = handlers as [never, never, never];
  const actorOf = async (handler: never, credential: string) => {
    const { key } = await base.issue();
    const { status } = await send(handler, `DELETE /api-keys/${key.id}`, { as: credential });
    expect(status).toBe(200);
    return (await base.manager.auditTrail({ keyId: key.id })).items.find(({ action }) => action === "revoked")
      ?.actor;
  };
  return { ...base, victim, forKeys, forTokens, forUsers, actorOf };
}

it("names the actor of a token so that its subject cannot pass for a key", async () => {
  const { victim, forKeys, forTokens, forUsers, actorOf, tokenOf } = await trail();
  expect(await actorOf(forKeys, victim.secret)).toBe(victim.key.id);
  expect(await actorOf(forTokens, await tokenOf(victim.secret))).toBe(victim.key.id);
  for (const sub of [victim.key.id, `jwt:${victim.key.id}`, "ann"]) {
    expect(await actorOf(forUsers, token(claimsWith({ sub })))).toBe(`jwt:${sub}`);
  }
});

it("names the actor of a token with a long subject by its hash", async () => {
  const { forUsers, actorOf } = await trail();
  const actorFor = (sub: string) => actorOf(forUsers, token(claimsWith({ sub })));
  const longest = "a".repeat(251);
  expect(await actorFor(longest)).toBe(`jwt:${longest}`);
  for (const length of [252, 253, 254, 255]) {
    const sub = "é".repeat(length);
    const hash = createHash("sha256").update(sub).digest("hex");
    expect(await actorFor(sub)).toBe(`jwt-sha256:${hash}`);
    expect(await actorFor(`sha256:${hash}`)).toBe(`jwt:sha256:${hash}`);
  }
});

it("uses the actor of the host as it is", async () => {
  const { forUsers, actorOf } = await trail({ actor: ({ type, id }) => `${type}/${id}` });
  expect(await actorOf(forUsers, token(claimsWith({ sub: "ann" })))).toBe("jwt/ann");
});
