import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { start as startEztotrack } from "../../examples/eztotrack/main.js";
import { FRAMEWORKS, start as startFleet } from "../../examples/fleet/serve.js";
import { start as startTrackyard } from "../../examples/trackyard/main.js";

const folder = mkdtempSync(join(tmpdir(), "key-pages-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Requests of the page, as the browser sends them. */
function pageAt(base: string, cookie: string) {
  const headers = { "sec-fetch-site": "same-origin", "content-type": "application/json", cookie };
  return async (path: string, body?: object) => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(base + path, { ...init, headers });
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
  };
}

describe("the key page of", () => {
  it.each(FRAMEWORKS)("fleet in %s opens with a link, once", async (framework) => {
    const fleet = await startFleet(framework, 0, { data: join(folder, `${framework}.db`) });
    try {
      const [base = "", code] = (await fleet.keyPageLink("acme-haulage")).split("#portal=");
      expect((await fetch(base)).headers.get("content-type")).toBe("text/html; charset=utf-8");
      const redeemed = await pageAt(base, "")("-/portal", { code });
      expect(redeemed.status).toBe(200);
      expect((await pageAt(base, "")("-/portal", { code })).status).toBe(403);
      const [cookie = ""] = (redeemed.headers.get("set-cookie") ?? "").split(";");
      const page = pageAt(base, cookie);
      const created = await page("-/api/keys", {
        name: "CI",
        scopes: ["vehicles:read"],
        environment: "live",
      });
      expect(created.status).toBe(201);
      const authorization = `Bearer ${created.body.secret}`;
      expect((await fetch(`${fleet.url}/fleet/vehicles`, { headers: { authorization } })).status).toBe(200);
      expect((await page("-/api/keys?search=ci")).body.items).toHaveLength(1);
    } finally {
      await fleet.close();
    }
  });

  it.each([
    ["trackyard", startTrackyard, "/account/keys/", "read"],
    ["eztotrack", startEztotrack, "/settings/api-keys/", "vehicles:read"],
  ] as const)("%s belongs to the user of the session cookie", async (_, start, path, scope) => {
    const { credentials, close } = await start({ port: 0 });
    try {
      const { url, adminJwt, otherJwt } = credentials as Record<"url" | "adminJwt" | "otherJwt", string>;
      const page = pageAt(url + path, `session=${adminJwt}`);
      const created = await page("-/api/keys", { name: "Page", scopes: [scope], environment: "live" });
      expect(created.status).toBe(201);
      expect(created.body.key.createdBy).toMatch(/^jwt:/);
      const other = pageAt(url + path, `session=${otherJwt}`);
      expect((await other(`-/api/keys/${created.body.key.id}`)).status).toBe(404);
      expect((await pageAt(url + path, "session=guess")("-/api/keys")).status).toBe(401);
    } finally {
      await close();
    }
  });
});
