import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import {
  createKeyManager,
  defineScopes,
  type ImportKey,
  KeyConflictError,
  keyFormat,
} from "../../../src/index.js";
import { allBackends } from "./backends/all.js";
import type { OpenStore } from "./backends/backend.js";

const SECRETS = 200;
const AT_ONCE = 20;
const scopes = defineScopes({ "vehicles:read": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const sha512 = (secret: string) => createHash("sha512").update(secret).digest("base64");
const legacyHashes = [{ name: "old", hash: sha512 }];
const pepper = {
  current: "v2",
  keys: { v1: "an older pepper of 32 characters", v2: "a newer pepper of 32 characters." },
};

for (const { name: title, missing, create, drop } of allBackends(inject("servers"))) {
  describe.skipIf(missing !== undefined)(`imports into ${title}`, () => {
    let opened: OpenStore;
    beforeAll(async () => {
      opened = await create();
    });
    afterAll(async () => {
      await opened.close();
      await drop(opened.place);
    });

    it(`create one key for each of ${SECRETS} secrets that are imported in two ways at once`, async () => {
      // Processes with different peppers, as during a deployment.
      const older = createKeyManager({
        store: opened.store,
        scopes,
        format,
        legacyHashes,
        pepper: pepper.keys.v1,
      });
      const newer = createKeyManager({ store: opened.store, scopes, format, legacyHashes, pepper });
      const importBoth = async (index: number): Promise<void> => {
        const secret = randomBytes(24).toString("hex");
        const key = { ownerId: "acme", scopes: ["vehicles:read"] } as const;
        const byHash: ImportKey<"vehicles:read"> = {
          ...key,
          hash: sha512(secret),
          hashedBy: "old",
          id: `old/${index}`,
        };
        const bySecret: ImportKey<"vehicles:read"> = { ...key, secret };
        const second = index % 2 === 0 ? older.import(byHash) : older.import(bySecret);
        const results = await Promise.allSettled([newer.import(bySecret), second]);
        const [failed, ...others] = results.filter((result) => result.status === "rejected");
        expect(others).toEqual([]);
        expect(failed?.reason).toBeInstanceOf(KeyConflictError);
        // In sequence, in whichever order.
        for (const again of [byHash, bySecret]) {
          await expect(newer.import({ ...again, id: `again/${index}` })).rejects.toThrow(KeyConflictError);
        }
      };
      for (let start = 0; start < SECRETS; start += AT_ONCE) {
        await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => importBoth(start + index)));
      }
    }, 120_000);
  });
}
