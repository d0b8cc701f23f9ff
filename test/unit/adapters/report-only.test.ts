import { describe, expect, test } from "vitest";
import { createVerifier, type KeyEvent } from "../../../src/index.js";
import { bearer } from "../../contract/guards/case.js";
import { format, NOW, scopes, secrets, store } from "./fixtures.js";
import { setups } from "./frameworks.js";
import { header } from "./raw.js";

describe.each(setups)("$name", ({ name, start }) => {
  test("a report-only requirement is reported in wouldDeny and does not change the response", async () => {
    const events: KeyEvent[] = [];
    const verifier = createVerifier({
      store,
      scopes,
      format,
      environment: "live",
      clock: () => NOW,
      storeTimeout: "30s",
      observers: [(event) => events.push(event)],
    });
    const app = await start({ verifier });
    try {
      const send = async (target: string, secret?: string) => {
        const headers = secret === undefined ? [] : [bearer(secret)];
        const response = await app.request({ target, headers });
        if (response === undefined) throw new Error("no response");
        for (const field of ["ratelimit", "ratelimit-policy", "retry-after"])
          expect(header(response, field), `${name} ${field}`).toBeUndefined();
        return response.status;
      };
      expect(await send("/report-only", secrets.reader)).toBe(200);
      expect(await send("/report-only", secrets.writer)).toBe(200);
      expect(await send("/report-only-any", secrets.scopeless)).toBe(200);
      expect(await send("/report-only-any", secrets.admin)).toBe(200);
      expect(await send("/report-only-optional")).toBe(200);
      expect(await send("/report-only", secrets.dispatcher)).toBe(403);
      await expect.poll(() => events.length).toBe(6);
      const reported = events.map((event) => (event.type === "auth.allowed" ? event.wouldDeny : event.type));
      expect(reported).toEqual([
        ["insufficient_scope"],
        [],
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
