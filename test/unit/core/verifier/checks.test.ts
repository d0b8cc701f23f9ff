import { describe, expect, it } from "vitest";
import { clientIpResolver } from "../../../../src/core/requests/client-ip.js";
import { checkKey, checkNetwork } from "../../../../src/core/verifier/checks.js";
import { hashSecret, type VerifiableRecord } from "../../../../src/index.js";
import { recordOf, START } from "../fixtures.js";

const record = (more: Partial<VerifiableRecord> = {}) => recordOf(hashSecret("abc"), more);
const now = START.getTime();

describe("checkKey", () => {
  const serves = (...names: string[]) => {
    return (environment: string | undefined) => environment !== undefined && names.includes(environment);
  };

  it.each([
    ["active", {}, undefined],
    ["retiring", { rotatedAt: START, expiresAt: new Date(now + 1) }, undefined],
    ["revoked", { revokedAt: START }, "revoked"],
    ["disabled", { disabledAt: START }, "disabled"],
    ["expired", { expiresAt: START }, "expired"],
    ["retired", { rotatedAt: START, expiresAt: START }, "expired"],
  ] as const)("returns the reason for a key that is %s", (_, more, reason) => {
    expect(checkKey(record(more), {}, serves(), now)).toBe(reason);
  });

  it.each<
    [inRecord: string | null | undefined, inSecret: string | undefined, served: string[], works: boolean]
  >([
    ["live", "live", ["live"], true],
    ["live", "test", ["live", "test"], false],
    ["live", undefined, ["live"], true],
    ["live", undefined, ["test"], false],
    ["live", "live", [], true], // the environment of the secret is checked before
    [null, "live", [], true],
    [undefined, "live", [], true],
    [null, undefined, [], true],
  ])("record %j, secret %j, served %j: works is %s", (environment, named, served, works) => {
    const reason = checkKey(record({ environment }), { environment: named }, serves(...served), now);
    expect(reason).toBe(works ? undefined : "environment_mismatch");
  });

  it("returns the status before the environment", () => {
    const revoked = record({ revokedAt: START, environment: "live" });
    expect(checkKey(revoked, { environment: "test" }, serves(), now)).toBe("revoked");
  });
});

describe("checkNetwork", () => {
  const clientIp = clientIpResolver({});
  const check = (ipAllowlist: readonly string[] | null | undefined, remoteAddress?: string) =>
    checkNetwork(record({ ipAllowlist }), { headers: {}, remoteAddress }, clientIp);

  it("allows every address without an allowlist, even an unknown one", () => {
    for (const list of [null, undefined]) {
      expect(check(list, "203.0.113.7")).toBeUndefined();
      expect(check(list)).toBeUndefined();
    }
  });

  it("allows the networks of the allowlist, and none if it is empty", () => {
    expect(check(["10.0.0.0/8"], "10.1.2.3")).toBeUndefined();
    expect(check(["10.0.0.0/8"], "203.0.113.7")).toBe("ip_not_allowed");
    expect(check([], "203.0.113.7")).toBe("ip_not_allowed");
  });

  it("denies an unknown address if there is an allowlist", () => {
    for (const address of [undefined, "", "/run/app.sock"]) {
      expect(check(["0.0.0.0/0", "::/0"], address)).toBe("ip_unknown");
    }
  });
});
