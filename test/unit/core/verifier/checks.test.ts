import { describe, expect, test } from "vitest";
import { clientIpResolver } from "../../../../src/core/requests/client-ip.js";
import { checkKey, checkNetwork } from "../../../../src/core/verifier/checks.js";
import { hashSecret, type VerifiableRecord } from "../../../../src/index.js";
import { recordOf, START } from "../fixtures.js";

const record = (more: Partial<VerifiableRecord> = {}) => recordOf(hashSecret("abc"), more);
const now = START.getTime();

describe("judgeKey", () => {
  const serves = (...names: string[]) => {
    return (environment: string | undefined) => environment !== undefined && names.includes(environment);
  };

  test.each([
    ["active", {}, undefined],
    ["retiring", { rotatedAt: START, expiresAt: new Date(now + 1) }, undefined],
    ["revoked", { revokedAt: START }, "revoked"],
    ["disabled", { disabledAt: START }, "disabled"],
    ["expired", { expiresAt: START }, "expired"],
    ["retired", { rotatedAt: START, expiresAt: START }, "expired"],
  ] as const)("a key that is %s", (_, more, reason) => {
    expect(checkKey(record(more), {}, serves(), now)).toBe(reason);
  });

  test.each<
    [inRecord: string | null | undefined, inSecret: string | undefined, served: string[], works: boolean]
  >([
    ["live", "live", ["live"], true],
    ["live", "test", ["live", "test"], false],
    ["live", undefined, ["live"], true],
    ["live", undefined, ["test"], false],
    ["live", "live", [], true], // what the secret names was asked about before
    [null, "live", [], true],
    [undefined, "live", [], true],
    [null, undefined, [], true],
  ])("of %j, by a secret of %j, where %j is served, works: %s", (environment, named, served, works) => {
    const reason = checkKey(record({ environment }), { environment: named }, serves(...served), now);
    expect(reason).toBe(works ? undefined : "environment_mismatch");
  });

  test("a state counts before an environment", () => {
    const revoked = record({ revokedAt: START, environment: "live" });
    expect(checkKey(revoked, { environment: "test" }, serves(), now)).toBe("revoked");
  });
});

describe("judgeNetwork", () => {
  const clientIp = clientIpResolver({});
  const judge = (ipAllowlist: readonly string[] | null | undefined, remoteAddress?: string) =>
    checkNetwork(record({ ipAllowlist }), { headers: {}, remoteAddress }, clientIp);

  test("no list lets everybody through, an unknown address too", () => {
    for (const list of [null, undefined]) {
      expect(judge(list, "203.0.113.7")).toBeUndefined();
      expect(judge(list)).toBeUndefined();
    }
  });

  test("a list lets its networks through, and an empty one nobody", () => {
    expect(judge(["10.0.0.0/8"], "10.1.2.3")).toBeUndefined();
    expect(judge(["10.0.0.0/8"], "203.0.113.7")).toBe("ip_not_allowed");
    expect(judge([], "203.0.113.7")).toBe("ip_not_allowed");
  });

  test("an unknown address is none of a list", () => {
    for (const address of [undefined, "", "/run/app.sock"]) {
      expect(judge(["0.0.0.0/0", "::/0"], address)).toBe("ip_unknown");
    }
  });
});
