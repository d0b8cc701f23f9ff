import { describe, expect, test } from "vitest";
import { createVerifier, type KeyEvent } from "../../../src/index.js";
import { bearer } from "../../contract/guards/case.js";
import { format, NOW, scopes, secrets, store } from "./fixtures.js";
import { setups } from "./frameworks.js";
import { header } from "./raw.js";

describe.each(setups)("$name", ({ name, start }) => {
  test("what is on trial is told for requests that pass, and changes no answer", async () => {
    const events: KeyEvent[] = [];
    const verifier = createVerifier({
      store,
      scopes,
      format,
      environment: "live",
      clock: () => NOW,
      storeTimeout: "30000ms",
      observers: [(event) => events.push(event)],
      reportOnly: {
        ipAllowlist: ({ ownerId }) => (ownerId === "reader" ? ["10.0.0.0/8"] : undefined),
        rateLimiter: {
          consume: async ({ ownerId }) => ({
            allowed: ownerId !== "writer",
            states: [{ name: "trial", limit: 1, windowSeconds: 60, remaining: 0, resetSeconds: 30 }],
          }),
        },
      },
    });
    const app = await start({ verifier });
    try {
      const ask = async (target: string, secret?: string) => {
        const headers = secret === undefined ? [] : [bearer(secret)];
        const response = await app.request({ target, headers });
        if (response === undefined) throw new Error("no answer");
        for (const field of ["ratelimit", "ratelimit-policy", "retry-after"])
          expect(header(response, field), `${name} ${field}`).toBeUndefined();
        return response.status;
      };
      expect(await ask("/trial", secrets.reader)).toBe(200);
      expect(await ask("/trial", secrets.writer)).toBe(200);
      expect(await ask("/trial-only", secrets.scopeless)).toBe(200);
      expect(await ask("/trial-only", secrets.admin)).toBe(200);
      expect(await ask("/trial-optional")).toBe(200);
      expect(await ask("/trial", secrets.dispatcher)).toBe(403);
      await expect.poll(() => events.length).toBe(6);
      const told = events.map((event) => (event.type === "auth.allowed" ? event.wouldDeny : event.type));
      expect(told).toEqual([
        ["ip_not_allowed", "insufficient_scope"],
        ["rate_limited"],
        ["insufficient_scope"],
        [],
        "auth.denied",
        "auth.denied",
      ]);
    } finally {
      await app.close();
    }
  });
});
