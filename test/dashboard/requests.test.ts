import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import pg from "pg";
import { createClient } from "redis";
import { afterEach, describe, expect, inject, it } from "vitest";
import { postgresPortal } from "../../examples/platforms/postgres-portal.js";
import {
  createDashboard,
  type DashboardOptions,
  memoryPortalStore,
  redisPortalStore,
} from "../../src/dashboard/index.js";
import { StoreError } from "../../src/kit.js";
import { memoryStore } from "../../src/stores/memory.js";
import { createPage, type SiteScope } from "./site.js";

const ORIGIN = "https://app.example";
const BASE = `${ORIGIN}/settings/api-keys/`;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface Sent {
  readonly method?: string;
  readonly body?: object | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookie?: string;
}

type Handler = (request: Request) => Promise<Response>;

/** Sends a request with the headers that the page sends. An empty header is omitted. */
function send(
  page: Handler,
  path: string,
  { method = "GET", body, headers, cookie = "person=mia" }: Sent = {},
) {
  const all = { "sec-fetch-site": "same-origin", "content-type": "application/json", cookie, ...headers };
  const kept = Object.entries(all).filter(([, value]) => value !== "");
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return page(
    new Request(BASE + path, { method, headers: Object.fromEntries(kept), ...(body && { body: text }) }),
  );
}

const NEW_KEY = { name: "CI", scopes: ["vehicles:read"], environment: "live" };
const create = (page: Handler, sent: Sent = {}) =>
  send(page, "-/api/keys", { method: "POST", body: NEW_KEY, ...sent });
const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code;

describe("requests of the key page", () => {
  it("creates a key for the person's owner, with the person as its creator", async () => {
    const { page } = createPage();
    const response = await create(page);
    expect(response.status).toBe(201);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.has("location")).toBe(false);
    const { key } = (await response.json()) as { key: object };
    expect(key).toMatchObject({ ownerId: "acme", createdBy: "mia@acme.example" });
  });

  it.each<[string, Sent, number, string]>([
    ["another site", { headers: { "sec-fetch-site": "cross-site" } }, 403, "cross_site"],
    ["another subdomain", { headers: { "sec-fetch-site": "same-site" } }, 403, "cross_site"],
    ["the address bar", { headers: { "sec-fetch-site": "none" } }, 403, "cross_site"],
    [
      "another site that claims our origin",
      { headers: { "sec-fetch-site": "cross-site", origin: ORIGIN } },
      403,
      "cross_site",
    ],
    [
      "an older browser on another site",
      { headers: { "sec-fetch-site": "", origin: "https://evil.example" } },
      403,
      "cross_site",
    ],
    ["a sandboxed frame", { headers: { "sec-fetch-site": "", origin: "null" } }, 403, "cross_site"],
    [
      "plain HTTP of the same host",
      { headers: { "sec-fetch-site": "", origin: "http://app.example" } },
      403,
      "cross_site",
    ],
    ["a client with nothing but the cookie", { headers: { "sec-fetch-site": "" } }, 403, "cross_site"],
    [
      "a form",
      { headers: { "content-type": "application/x-www-form-urlencoded" } },
      415,
      "unsupported_media_type",
    ],
    [
      "a form that looks like JSON",
      { headers: { "content-type": "text/plain" } },
      415,
      "unsupported_media_type",
    ],
    ["a body without a type", { headers: { "content-type": "" } }, 415, "unsupported_media_type"],
  ])("refuses a change that %s sends, and changes nothing", async (_, sent, status, code) => {
    const { page, keys, store } = createPage();
    const { key } = await keys.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live" });
    const paths = { POST: "", PATCH: `/${key.id}`, DELETE: `/${key.id}` };
    for (const [method, path] of Object.entries(paths)) {
      const response = await send(page, `-/api/keys${path}`, { method, body: { name: "x" }, ...sent });
      expect([response.status, await codeOf(response)]).toEqual([status, code]);
    }
    for (const action of ["rotate", "disable", "enable"]) {
      const response = await send(page, `-/api/keys/${key.id}/${action}`, {
        method: "POST",
        body: {},
        ...sent,
      });
      expect(response.status).toBe(status);
    }
    expect((await store.list({ now: new Date(), limit: 10 })).items.map(({ version }) => version)).toEqual([
      1,
    ]);
  });

  it("allows an older browser by its Origin, behind a proxy with publicUrl", async () => {
    const headers = { "sec-fetch-site": "", origin: ORIGIN };
    expect((await create(createPage().page, { headers })).status).toBe(201);
    const proxied = { "sec-fetch-site": "", origin: "https://public.example" };
    expect((await create(createPage().page, { headers: proxied })).status).toBe(403);
    const { page } = createPage(memoryStore(), { publicUrl: "https://public.example/keys/" });
    expect((await create(page, { headers: proxied })).status).toBe(201);
    expect((await create(page, { headers })).status).toBe(403);
  });

  it("shows no data to another site", async () => {
    const { page } = createPage();
    for (const path of ["-/session", "-/api/keys"]) {
      for (const site of ["cross-site", "same-site", "none"]) {
        const response = await send(page, path, { headers: { "sec-fetch-site": site } });
        expect([response.status, await codeOf(response)]).toEqual([403, "cross_site"]);
      }
      const response = await send(page, path);
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  it("refuses everything to a person who is not signed in", async () => {
    const { page, keys } = createPage();
    for (const cookie of ["", "person=nobody", "__Secure-keybearer-portal=guess"]) {
      const response = await create(page, { cookie });
      expect([response.status, await codeOf(response)]).toEqual([401, "signed_out"]);
      const session = await (await send(page, "-/session", { cookie })).json();
      expect(session).toEqual({ title: "API keys", signInUrl: "/sign-in", messages: {}, person: null });
    }
    expect((await keys.list()).items).toEqual([]);
  });

  it("does not find a key of another owner", async () => {
    const { page, keys } = createPage();
    const { key } = await keys.create({ ownerId: "globex", scopes: ["vehicles:read"], environment: "live" });
    const path = `-/api/keys/${key.id}`;
    const calls: [string, string][] = [
      ["GET", ""],
      ["GET", "/audit"],
      ["PATCH", ""],
      ["DELETE", ""],
      ["POST", "/rotate"],
      ["POST", "/disable"],
      ["POST", "/enable"],
    ];
    for (const [method, action] of calls) {
      const response = await send(page, path + action, { method, ...(method !== "GET" && { body: {} }) });
      expect([method, action, response.status]).toEqual([method, action, 404]);
    }
    const found = await send(page, `-/api/keys?search=ezt&createdByKey=${key.id}`);
    expect(await found.json()).toEqual({ items: [] });
    expect((await keys.get(key.id))?.status).toBe("active");
  });

  it("refuses scopes that the person does not hold", async () => {
    const { page, keys } = createPage();
    const cookie = "person=ina";
    const denied = await create(page, { cookie, body: { ...NEW_KEY, scopes: ["vehicles:write"] } });
    expect([denied.status, await codeOf(denied)]).toEqual([403, "insufficient_scope"]);
    const input = { ownerId: "acme", scopes: ["vehicles:write" as const], environment: "live" };
    const { key } = await keys.create(input);
    const rotated = await send(page, `-/api/keys/${key.id}/rotate`, { method: "POST", body: {}, cookie });
    expect(rotated.status).toBe(403);
    expect((await create(page, { cookie })).status).toBe(201);
  });

  it("refuses members that the page does not offer", async () => {
    const { page } = createPage();
    for (const member of [
      { ownerId: "globex" },
      { metadata: {} },
      { rateLimit: { limit: 1, windowSeconds: 1 } },
    ]) {
      expect((await create(page, { body: { ...NEW_KEY, ...member } })).status).toBe(400);
    }
    const rateLimit = { limit: 1, windowSeconds: 1 };
    const { page: withLimits } = createPage(memoryStore(), { rateLimits: true });
    expect((await create(withLimits, { body: { ...NEW_KEY, rateLimit } })).status).toBe(201);
  });

  it("refuses a change of a key that another request changed since it was read", async () => {
    const { page } = createPage();
    const { key } = (await (await create(page)).json()) as { key: { id: string; version: number } };
    const change = (name: string, version: number) =>
      send(page, `-/api/keys/${key.id}`, {
        method: "PATCH",
        body: { name },
        headers: { "if-match": `"${version}"` },
      });
    const first = await change("first", key.version);
    const second = await change("second", key.version);
    expect([second.status, await codeOf(second)]).toEqual([412, "key_changed"]);
    const { version } = (await first.json()) as { version: number };
    expect(first.headers.get("etag")).toBe(`"${version}"`);
    expect((await change("third", version)).status).toBe(200);
  });

  it("responds with 503 if signedIn or the store fails, and calls onError", async () => {
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const signedIn = () => Promise.reject(new StoreError("sessions are down"));
    const response = await create(createPage(memoryStore(), { signedIn, onError }).page);
    expect([response.status, await codeOf(response)]).toEqual([503, "unavailable"]);
    const broken = { ...memoryStore(), list: () => Promise.reject(new Error("down")) };
    expect((await send(createPage(broken, { onError }).page, "-/api/keys")).status).toBe(503);
    const invalid = () => ({ ownerId: "", actor: "x" });
    expect((await create(createPage(memoryStore(), { signedIn: invalid, onError }).page)).status).toBe(500);
    expect(errors).toHaveLength(3);
  });

  it("serves the page without anything inline, and its files by hashed names", async () => {
    const { page } = createPage(memoryStore(), { title: "<Keys & co>" });
    const response = await send(page, "");
    const html = await response.text();
    expect(response.headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(html).toContain("<title>&#60;Keys &#38; co&#62;</title>");
    expect(html).not.toMatch(/<style|style=|<script>|onload=|https?:\/\/(?!www\.w3\.org)/);
    const files = html.match(/-\/assets\/[^"]+/g) ?? [];
    expect(files).toHaveLength(3);
    let size = gzipSync(html).length;
    for (const file of files) {
      expect(file).toMatch(/-[0-9a-f]{16}\.(?:css|js)$/);
      const asset = await send(page, file);
      expect(asset.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(asset.headers.get("x-content-type-options")).toBe("nosniff");
      size += gzipSync(await asset.text()).length;
    }
    expect(size).toBeLessThan(30_000);
    expect((await send(page, "-/assets/page-0000000000000000.js")).status).toBe(404);
    const bare = await page(new Request(`${ORIGIN}/settings/api-keys?create`));
    expect([bare.status, bare.headers.get("location")]).toEqual([302, "./api-keys/?create"]);
    expect((await send(page, "", { method: "POST", body: {} })).status).toBe(405);
  });

  it("responds with the first page of 10,000 keys of one owner within 100 ms", async () => {
    const { page, keys } = createPage(memoryStore(), {}, { maxKeysPerOwner: 20_000 });
    for (let number = 0; number < 10_000; number++) {
      await keys.create({
        ownerId: "acme",
        name: `Key ${number}`,
        scopes: ["vehicles:read"],
        environment: "live",
      });
    }
    await send(page, "-/api/keys"); // compiles the code
    const times: number[] = [];
    for (const query of ["", "?status=active&environment=live", "?search=key%209"]) {
      const start = performance.now();
      const response = await send(page, `-/api/keys${query}`);
      times.push(performance.now() - start);
      expect(((await response.json()) as { items: object[] }).items).toHaveLength(50);
    }
    expect(Math.max(...times)).toBeLessThan(100);
  });
});

const portalOptions = (portalStore = memoryPortalStore()): Partial<DashboardOptions<SiteScope>> => ({
  portalStore,
  publicUrl: BASE,
});
const codeIn = (url: string) => url.split("#portal=")[1] ?? "";
const LINK = { ownerId: "globex", actor: "support@keys.example" };

describe("portal links", () => {
  const redeem = (page: Handler, code: unknown, sent: Sent = {}) =>
    send(page, "-/portal", { method: "POST", body: { code }, cookie: "", ...sent });

  const { redis, postgres } = inject("servers");
  const stores = {
    memory: async () => memoryPortalStore(),
    PostgreSQL: async () => {
      const schema = `portal_${randomBytes(6).toString("hex")}`;
      const options = `-c search_path=${schema}`;
      const pool = new pg.Pool({ connectionString: postgres as string, options });
      pool.on("error", () => {});
      await pool.query(`create schema ${schema}
        create table portal (id text primary key, value text not null, until timestamptz not null)`);
      cleanups.push(async () => {
        await pool.query(`drop schema ${schema} cascade`);
        await pool.end();
      });
      return postgresPortal(pool);
    },
    Redis: async () => {
      const client = await createClient({ url: redis as string })
        .on("error", () => {})
        .connect();
      cleanups.push(async () => client.destroy());
      return redisPortalStore(client, { prefix: `dashboard-${crypto.randomUUID()}` });
    },
  };
  for (const [name, createStore] of Object.entries(stores)) {
    const missing = { memory: false, Redis: redis === undefined, PostgreSQL: postgres === undefined };
    it.skipIf(missing[name as keyof typeof missing])(
      `sign a person in once, with a session in the store in ${name}`,
      async () => {
        const store = await createStore();
        const { page, keys } = createPage(memoryStore(), portalOptions(store));
        const other = createDashboard({ keys, ...portalOptions(store) });
        const url = await page.portalUrl({ ...LINK, returnUrl: "https://app.example/settings" });
        expect(url.startsWith(`${BASE}#portal=`)).toBe(true);
        const responses = await Promise.all([page, other, page].map((one) => redeem(one, codeIn(url))));
        expect(responses.map(({ status }) => status).sort()).toEqual([200, 403, 403]);
        const cookie =
          responses.map(({ headers }) => headers.get("set-cookie")).find((one) => one !== null) ?? "";
        expect(cookie).toMatch(
          /^__Secure-keybearer-portal=[\w-]{43}; Path=\/settings\/api-keys\/; HttpOnly; Secure; SameSite=Strict; Max-Age=3600$/,
        );
        const session = { cookie: cookie.split(";")[0] as string };
        const body = (await (await send(other, "-/session", session)).json()) as { person: object };
        expect(body.person).toMatchObject({ actor: LINK.actor, returnUrl: "https://app.example/settings" });
        expect((await create(other, session)).status).toBe(201);
        expect((await keys.list({ ownerId: "globex" })).items[0]?.createdBy).toBe(LINK.actor);
      },
    );
  }

  it("are refused when replayed, expired, unknown or malformed", async () => {
    const { page } = createPage(memoryStore(), portalOptions());
    const code = codeIn(await page.portalUrl(LINK));
    expect((await redeem(page, code)).status).toBe(200);
    const short = codeIn(await page.portalUrl({ ...LINK, ttl: "1s" }));
    await new Promise((resolve) => setTimeout(resolve, 1_010));
    for (const bad of [code, short, "A".repeat(43), "", 7, null, { a: 1 }]) {
      const response = await redeem(page, bad);
      expect([response.status, await codeOf(response)]).toEqual([403, "invalid_portal_code"]);
      expect(response.headers.has("set-cookie")).toBe(false);
    }
  });

  it("cannot be redeemed by another site or a GET, and these do not use the code up", async () => {
    const { page } = createPage(memoryStore(), portalOptions());
    const code = codeIn(await page.portalUrl(LINK));
    expect((await redeem(page, code, { headers: { "sec-fetch-site": "cross-site" } })).status).toBe(403);
    expect((await redeem(page, code, { headers: { "content-type": "text/plain" } })).status).toBe(415);
    expect((await send(page, `-/portal?code=${code}`)).status).toBe(405);
    expect((await redeem(page, code, { cookie: "person=mia" })).status).toBe(409);
    expect((await redeem(page, code)).status).toBe(200);
  });

  it("keep code and session apart, and do not accept two session cookies", async () => {
    const { page } = createPage(memoryStore(), portalOptions());
    const code = codeIn(await page.portalUrl(LINK));
    const asSession = { cookie: `__Secure-keybearer-portal=${code}` };
    expect((await send(page, "-/api/keys", asSession)).status).toBe(401);
    const [session = ""] = ((await redeem(page, code)).headers.get("set-cookie") ?? "").split(";");
    expect((await send(page, "-/api/keys", { cookie: session })).status).toBe(200);
    expect((await send(page, "-/api/keys", { cookie: `${session}; ${session}` })).status).toBe(401);
    expect((await redeem(page, session.split("=")[1])).status).toBe(403);
  });

  it("show the keys of the host's session to a person who has both", async () => {
    const { page } = createPage(memoryStore(), portalOptions());
    const response = await redeem(page, codeIn(await page.portalUrl(LINK)));
    const [session] = (response.headers.get("set-cookie") ?? "").split(";");
    const body = await (await send(page, "-/session", { cookie: `${session}; person=mia` })).json();
    expect(body).toMatchObject({ person: { actor: "mia@acme.example" } });
  });

  it("are a 503 while the portal store is down", async () => {
    const store = {
      put: () => Promise.reject(new Error("down")),
      get: () => Promise.reject(new Error("down")),
    };
    const { page } = createPage(memoryStore(), { ...portalOptions(store), onError: () => {} });
    await expect(page.portalUrl(LINK)).rejects.toThrow(StoreError);
    expect((await redeem(page, "A".repeat(43))).status).toBe(503);
    expect(
      (await send(page, "-/session", { cookie: `__Secure-keybearer-portal=${"A".repeat(43)}` })).status,
    ).toBe(503);
  });

  it("are bounded in memory for each owner", async () => {
    const { page } = createPage(memoryStore(), portalOptions());
    for (let number = 0; number < 1_000; number++) await page.portalUrl(LINK);
    await expect(page.portalUrl(LINK)).rejects.toThrow("too many entries");
    await page.portalUrl({ ...LINK, ownerId: "acme" });
  });

  it.each<[object, string]>([
    [{ ...LINK, ttl: "2d" }, '"ttl"'],
    [{ ...LINK, ttl: 900 }, '"ttl"'],
    [{ ...LINK, returnUrl: "javascript:alert(1)" }, '"returnUrl"'],
    [{ ...LINK, returnUrl: "/settings" }, '"returnUrl"'],
    [{ actor: "x" }, '"ownerId"'],
    [{ ...LINK, actor: "" }, '"actor"'],
    [{ ...LINK, scopes: "vehicles:read" }, '"scopes"'],
    [{ ...LINK, owner: "x" }, '"owner"'],
  ])("reject %j", async (link, message) => {
    const { page } = createPage(memoryStore(), portalOptions());
    await expect(page.portalUrl(link as typeof LINK)).rejects.toThrow(TypeError);
    await expect(page.portalUrl(link as typeof LINK)).rejects.toThrow(message);
  });
});

describe("options of createDashboard", () => {
  it.each<[object, string]>([
    [{ signedIn: undefined }, '"signedIn" is undefined'],
    [{ signedin: () => undefined }, '"signedin"'],
    [{ keys: {} }, '"keys"'],
    [{ title: 7 }, '"title"'],
    [{ logo: "//cdn.example/logo.svg" }, '"logo"'],
    [{ logo: "https://cdn.example/logo.svg" }, '"logo"'],
    [{ signInUrl: "javascript:alert(1)" }, '"signInUrl"'],
    [{ theme: { accent: "red" } }, '"theme.accent"'],
    [{ theme: { accent: "#123456;}body{" } }, '"theme.accent"'],
    [{ theme: { color: "#123456" } }, '"color"'],
    [{ messages: { en: { nonsense: "x" } } }, '"nonsense"'],
    [{ presets: [{ name: "All", scopes: ["reports:read"] }] }, '"presets"'],
    [{ publicUrl: "http://app.example/" }, '"publicUrl"'],
    [{ publicUrl: "https://app.example/?a" }, '"publicUrl"'],
    [{ portalStore: memoryPortalStore() }, '"publicUrl"'],
    [{ portalStore: {}, publicUrl: BASE }, '"portalStore"'],
    [{ portalSession: "2d" }, '"portalSession"'],
    [{ trustedProxies: "everyone" }, "trustedProxies"],
    [{ rateLimits: "yes" }, '"rateLimits"'],
  ])("reject %j", (options, message) => {
    const act = () => createPage(memoryStore(), options as Partial<DashboardOptions<SiteScope>>);
    expect(act).toThrow(TypeError);
    expect(act).toThrow(message);
  });

  it("need signedIn or a portalStore", () => {
    const { keys } = createPage();
    expect(() => createDashboard({ keys })).toThrow('"signedIn" or "portalStore" is required');
  });
});
