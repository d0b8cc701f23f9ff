import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { ReplayStore } from "../../../src/jwt/index.js";
import { jktOf, ORIGIN, proofOf } from "../../unit/jwt/dpop/fixtures.js";
import { claimsWith, ec, jwtService, token } from "../../unit/jwt/fixtures.js";

const { redis: url } = inject("servers");
const prefix = `dpop-${process.pid}-${Date.now()}`;
const sent = token(claimsWith({ cnf: { jkt: await jktOf(ec.publicKey) } }));

describe.skipIf(url === undefined)("replays in Redis", () => {
  const node = createClient({ url: url as string });
  const io = new Redis(url as string, { lazyConnect: true });
  beforeAll(async () => {
    for (const client of [node, io]) client.on("error", () => {});
    await Promise.all([node.connect(), io.connect()]);
  });
  afterAll(async () => {
    await Promise.all([node.close(), io.quit()]);
  });

  // The clock of the tests is in 2030, so the entries are deleted by their lifetime and not at a time.
  const LIFETIME_MS = 90_000;
  const stores: Record<string, ReplayStore> = {
    "node-redis": {
      use: async (id) => {
        const expiration = { type: "PX", value: LIFETIME_MS } as const;
        return (await node.set(`${prefix}:${id}`, "1", { condition: "NX", expiration })) === "OK";
      },
    },
    ioredis: { use: async (id) => (await io.set(`${prefix}:${id}`, "1", "PX", LIFETIME_MS, "NX")) === "OK" },
  };

  it("allow one of 40 concurrent uses of a proof in four verifiers, with two clients", async () => {
    const verifiers = Object.values(stores).flatMap((replays) =>
      [1, 2].map(() => jwtService({ dpop: { origin: ORIGIN, replays }, storeTimeout: "5s" }).verifier),
    );
    for (let round = 0; round < 5; round++) {
      const headers = { authorization: `DPoP ${sent}`, dpop: proofOf({ token: sent }) };
      const request = { headers, method: "GET", path: "/vehicles" };
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, index) => verifiers[index % verifiers.length]?.verify(request)),
      );
      expect(results.filter((result) => result?.ok)).toHaveLength(1);
    }
    const keys = await node.keys(`${prefix}:*`);
    expect(keys).toHaveLength(5);
    for (const key of keys) expect(await node.pTTL(key)).toBeGreaterThan(0);
    await node.del(keys);
  });
});
