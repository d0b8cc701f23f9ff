import { afterAll, describe, expect, it } from "vitest";
import { scopes } from "../../unit/adapters/fixtures.js";
import { type App, oldestSetups, setups } from "../../unit/adapters/frameworks.js";
import { athOf, jktOf, proofOf } from "../../unit/jwt/dpop/fixtures.js";
import { claimsWith, ec, jwtService, NOW, token } from "../../unit/jwt/fixtures.js";

const apps: App[] = [];
afterAll(() => Promise.all(apps.map((app) => app.close())));

const sent = token(claimsWith({ cnf: { jkt: await jktOf(ec.publicKey) }, exp: NOW + 600 }));

describe.each([...setups, ...oldestSetups])("$name", ({ start }) => {
  it("compares a DPoP proof with the method and the path of the request", async () => {
    const dpop = { origin: "https://fleet.test", replays: "per-process" } as const;
    const app = await start({ verifier: jwtService({ dpop, scopes: scopes as never }).verifier as never });
    apps.push(app);
    const request = async (claims: object) => {
      const proof = proofOf({ claims: { htu: "https://fleet.test/vehicles", ath: athOf(sent), ...claims } });
      const headers = [`Authorization: DPoP ${sent}`, `DPoP: ${proof}`];
      return (await app.request({ target: "/vehicles?page=2", headers }))?.status;
    };
    expect(await request({})).toBe(200);
    expect(await request({ htm: "POST" })).toBe(401);
    expect(await request({ htu: "https://fleet.test/drivers" })).toBe(401);
    expect(await request({ htu: "https://other.test/vehicles" })).toBe(401);
  });
});
