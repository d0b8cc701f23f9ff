import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { AuthError, type Verifier } from "../../../src/index.js";
import { failedAuthLimiter } from "../../../src/rate-limit/index.js";
import { errorOf } from "../../unit/core/fixtures.js";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

describe("failedAuthLimiter", () => {
  it("bounds memory for a million addresses", async () => {
    const error = new AuthError("invalid_key", "No.");
    const refusing: Verifier = { verify: async () => ({ ok: false, error }), assertRequirement: () => {} };
    const verifier = failedAuthLimiter(refusing, { max: 10_000, failures: 1 });
    const headers = { authorization: "Bearer nonsense" };
    const addresses = [
      (i: number) => `10.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`,
      (i: number) => `2001:db8:${(i >>> 16).toString(16)}:${(i & 65_535).toString(16)}::1`,
    ];
    const flood = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        await verifier.verify({ headers, remoteAddress: (addresses[i % 2] as (typeof addresses)[0])(i) });
      }
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const full = await flood(0, 50_000);
    expect(await flood(50_000, 1_000_000)).toBeLessThan(full + 8e6);
    const again = await verifier.verify({ headers, remoteAddress: "10.15.66.62" }); // number 999,998, not evicted
    expect(errorOf(again).code).toBe("rate_limited");
  }, 120_000);
});
