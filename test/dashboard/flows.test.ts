import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { toNodeListener } from "../../src/adapters/node.js";
import { type DashboardOptions, memoryPortalStore } from "../../src/dashboard/index.js";
import { createVerifier } from "../../src/kit.js";
import { memoryStore } from "../../src/stores/memory.js";
import { hasBrowser, launch, openContext, watch } from "./browser.js";
import { addSampleKeys } from "./sample-keys.js";
import { closeServer, createPage, format, listen, type SiteScope, scopes } from "./site.js";

let browser: Browser;
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  if (hasBrowser) browser = await launch();
});
afterAll(async () => browser?.close());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const contexts = new Map<string, Promise<BrowserContext>>();

/** Returns the context with these options. A new one for each test takes a second. */
function contextOf(options: object = {}): Promise<BrowserContext> {
  const name = JSON.stringify(options);
  const context = contexts.get(name) ?? openContext(browser, options);
  contexts.set(name, context);
  return context;
}

interface Setting {
  readonly person?: string;
  readonly samples?: boolean;
  readonly context?: object;
  readonly options?: Partial<DashboardOptions<SiteScope>>;
  readonly path?: string;
}

/** Opens the page as a person. At the end of the test, nothing may have gone wrong on it. */
async function open({ person = "mia", samples = true, context, options, path = "" }: Setting = {}) {
  const store = memoryStore();
  if (samples) await addSampleKeys(store);
  let isDown = false;
  const failing = new Proxy(store, {
    get: (target, name) => {
      const method = Reflect.get(target, name);
      return isDown && typeof method === "function" ? () => Promise.reject(new Error("down")) : method;
    },
  });
  const { keys, page: handler } = createPage(failing, { onError: () => {}, ...options });
  const { url, server } = await listen(toNodeListener(handler));
  const base = `${url}/settings/api-keys/`;
  const profile = await contextOf(context);
  await profile.addCookies([{ name: "person", value: person, url }]);
  const page = await profile.newPage();
  const problems = await watch(page, base + path);
  cleanups.push(async () => {
    for (const one of profile.pages()) await one.close();
    await profile.clearCookies();
    await closeServer(server);
    expect(problems).toEqual([]);
  });
  return {
    page,
    keys,
    store,
    url,
    base,
    setDown: (down: boolean) => {
      isDown = down;
    },
    only: async (name: string) => (await keys.list({ search: name })).items[0],
  };
}

const heading = (page: Page, name: string | RegExp) => page.getByRole("heading", { name });
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const openKey = (page: Page, name: string) => page.getByRole("link", { name, exact: true }).first().click();

/** Everything a browser keeps: the DOM, the URL, the history, storage and cookies. */
async function traces(page: Page): Promise<string> {
  // A string, because the types of browsers are not those of the tests.
  const kept = await page.evaluate<string>(`(async () => [
    location.href,
    JSON.stringify(history.state),
    document.documentElement.outerHTML,
    JSON.stringify({ ...localStorage, ...sessionStorage }),
    ...(await indexedDB.databases()).map(({ name }) => name),
    ...(await caches.keys()),
    ...[...document.querySelectorAll("input,textarea")].map(({ value }) => value),
  ].join("\\n"))()`);
  return kept + JSON.stringify(await page.context().storageState());
}

describe.skipIf(!hasBrowser)("the key page in Chromium", () => {
  it("creates a key, shows its secret once, and keeps it nowhere", async () => {
    const { page, store } = await open({ samples: false });
    await heading(page, "No API keys yet").waitFor();
    await button(page, "Create key").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("Deploy script");
    await dialog.getByRole("button", { name: "Create key" }).click();
    await dialog.getByText("Choose at least one scope.").waitFor();
    await dialog.getByRole("checkbox", { name: "vehicles:write" }).check();
    const included = dialog.getByRole("checkbox", { name: /^vehicles:read/ });
    expect(await included.isChecked()).toBe(true);
    expect(await included.isDisabled()).toBe(true);
    expect(await dialog.getByRole("checkbox", { name: /^reports:read/ }).isDisabled()).toBe(true);
    await dialog.getByLabel("Networks").fill("203.0.113.0/240");
    await dialog.getByText("“203.0.113.0/240” is not an address or a network.").waitFor();
    await dialog.getByLabel("Networks").fill("");
    await dialog.getByRole("button", { name: "Add my address (127.0.0.1)" }).click();
    await dialog.getByRole("button", { name: "Create key" }).click();

    await heading(page, "Save your key now").waitFor();
    const secret = await page.locator(".secret .value").first().innerText();
    expect(await page.locator(".secret .value").nth(1).innerText()).toBe(`export API_KEY=${secret}`);
    await page.getByRole("button", { name: "Copy: Key" }).click();
    await page.getByText("Copied").waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(secret);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.mouse.click(5, 5);
    expect(await heading(page, "Save your key now").isVisible()).toBe(true);
    expect(await button(page, "Done").isDisabled()).toBe(true);
    let asked = 0;
    page.on("dialog", (question) => {
      asked += 1;
      question.dismiss();
    });
    await page.reload({ timeout: 2_000 }).catch(() => {});
    expect(asked).toBe(1);
    await page.getByLabel("I have saved it").check();
    await button(page, "Done").click();
    await page.getByRole("link", { name: "Deploy script" }).waitFor();
    expect(await traces(page)).not.toContain(secret.slice(14));

    const verifier = createVerifier({ store, scopes, format, environment: "live" });
    const headers = { authorization: `Bearer ${secret}` };
    const result = await verifier.verify({ headers, remoteAddress: "127.0.0.1" }, "vehicles:read");
    expect(result.ok && result.principal.key).toMatchObject({
      name: "Deploy script",
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:write"],
      ipAllowlist: ["127.0.0.1"],
      createdBy: "mia@acme.example",
    });
    const expiresAt = result.ok ? result.principal.key?.expiresAt?.getTime() : undefined;
    expect(Math.abs((expiresAt ?? 0) - Date.now() - 90 * 86_400_000)).toBeLessThan(60_000);
  });

  it("fills the form in from a link, and creates nothing by itself", async () => {
    const path = "?create&name=CI&scopes=drivers:read,reports:read,nonsense&environment=test&expires=30";
    const { page, keys } = await open({ samples: false, path });
    const dialog = page.getByRole("dialog");
    expect(await dialog.getByLabel("Name", { exact: true }).inputValue()).toBe("CI");
    expect(await dialog.getByLabel("Environment").inputValue()).toBe("test");
    expect(await dialog.getByLabel("Expires").inputValue()).toBe("30");
    expect(await dialog.getByRole("checkbox", { checked: true }).count()).toBe(1);
    await button(page, "Cancel").click();
    expect(new URL(page.url()).search).toBe("");
    expect((await keys.list()).items).toEqual([]);
  });

  it("searches, filters, and loads further pages", async () => {
    const { page, keys } = await open();
    for (let number = 0; number < 50; number++) {
      await keys.create({
        ownerId: "acme",
        name: `Robot ${number}`,
        scopes: ["vehicles:read"],
        environment: "live",
      });
    }
    await page.reload();
    await page.getByText("50 keys").waitFor();
    await button(page, "Show more").click();
    await page.getByText("58 keys").waitFor();
    await page.getByLabel("Search by name or start").fill("nightly");
    await page.getByText("1 key", { exact: true }).waitFor();
    await page.getByLabel("Search by name or start").fill("");
    await page.getByLabel("Environment").selectOption("test");
    await page.getByRole("link", { name: "Staging" }).waitFor();
    expect(await page.getByRole("row").count()).toBe(2);
    await page.getByLabel("Status").selectOption("revoked");
    await page.getByText("No key matches.").waitFor();
    await button(page, "Clear filters").click();
    await page.getByText("50 keys").waitFor();
  });

  it("edits a key", async () => {
    const { page, only } = await open();
    await openKey(page, "Grafana");
    await button(page, "Edit").click();
    expect(await button(page, "Save").isDisabled()).toBe(true);
    await page.getByRole("textbox", { name: "Name", exact: true }).fill("Grafana Cloud");
    await page.getByRole("textbox", { name: "Networks" }).fill("2001:db8::/48");
    await page.getByLabel("Expires").selectOption("never");
    await button(page, "Save").click();
    await page.getByText("The changes were saved.").waitFor();
    expect(await only("Grafana")).toMatchObject({
      name: "Grafana Cloud",
      ipAllowlist: ["2001:db8::/48"],
      expiresAt: null,
    });
    await page.getByText("Changed the name, the networks, and the expiry").waitFor();
  });

  it("disables and enables a key", async () => {
    const { page, only } = await open();
    await openKey(page, "Grafana");
    await button(page, "Disable").click();
    await page.getByText("The key was disabled.").waitFor();
    expect(await only("Grafana")).toMatchObject({ status: "disabled", disabledBy: "owner" });
    await button(page, "Enable").click();
    await page.getByText("The key was enabled.").waitFor();
    expect((await only("Grafana"))?.status).toBe("active");
  });

  it("rotates a key with an overlap, and shows both keys until it ends", async () => {
    const { page, keys } = await open();
    await openKey(page, "Grafana");
    await button(page, "Rotate").click();
    await page.getByLabel("Overlap").selectOption("7d");
    await page.getByRole("dialog").last().getByRole("button", { name: "Rotate" }).click();
    await heading(page, "Save your key now").waitFor();
    await page.getByLabel("I have saved it").check();
    await button(page, "Done").click();
    await page.getByText(/^Both keys work until/).waitFor();
    const found = (await keys.list({ search: "Grafana" })).items;
    expect(found.map(({ status }) => status).sort()).toEqual(["active", "retiring"]);
    await page.getByRole("link", { name: "Show the new key" }).click();
    await page.getByRole("link", { name: "Show the old key" }).waitFor();
  });

  it("revokes a key after its name was typed, with the reason and its descendants", async () => {
    const { page, keys, only } = await open();
    const parent = (await only("Grafana"))?.id as string;
    const input = { ownerId: "acme", name: "Child", scopes: ["vehicles:read" as const], environment: "live" };
    await keys.create(input, { createdByKey: parent });
    await openKey(page, "Grafana");
    await button(page, "Revoke").click();
    const dialog = page.getByRole("dialog").last();
    const confirm = dialog.getByRole("button", { name: "Revoke", exact: true });
    await dialog.getByLabel("Type Grafana to confirm").fill("grafana");
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel("Type Grafana to confirm").fill("Grafana");
    await dialog.getByLabel("Reason").fill("Replaced");
    await dialog.getByLabel("Also revoke the keys that this key created (1)").check();
    await confirm.click();
    await page.getByText("The key was revoked.").waitFor();
    await page.getByText("Revoked the key “Replaced”").waitFor();
    expect(await only("Grafana")).toMatchObject({ status: "revoked", revokedReason: "Replaced" });
    expect((await only("Child"))?.status).toBe("revoked");
    expect(await button(page, "Rotate").count()).toBe(0);
  });

  it("offers only what the person may do", async () => {
    const { page } = await open({ person: "ina" });
    await openKey(page, "Grafana");
    await heading(page, "History").waitFor();
    expect(await button(page, "Rotate").count()).toBe(0);
    expect(await button(page, "Revoke").count()).toBe(1);
    await page.getByRole("button", { name: "Close" }).first().click();
    await button(page, "Create key").click();
    expect(await page.getByRole("checkbox", { name: "vehicles:write" }).isDisabled()).toBe(true);
    expect(await page.getByRole("checkbox", { name: /^vehicles:read/ }).isEnabled()).toBe(true);
  });

  it("shows the second of two tabs that the key was changed, and its new state", async () => {
    const { page, base, only } = await open();
    const second = await page.context().newPage();
    const problems = await watch(second, base);
    for (const tab of [page, second]) {
      await openKey(tab, "Grafana");
      await button(tab, "Edit").click();
    }
    await page.getByRole("textbox", { name: "Name", exact: true }).fill("First");
    await second.getByRole("textbox", { name: "Name", exact: true }).fill("Second");
    await button(page, "Save").click();
    await page.getByText("The changes were saved.").waitFor();
    await button(second, "Save").click();
    await second.getByText("This key was changed in another window.", { exact: false }).waitFor();
    await heading(second, "First").waitFor();
    expect(await only("Second")).toBeUndefined();
    expect(problems).toEqual([]);
  });

  it("says that the store is down, and works again afterwards", async () => {
    const { page, setDown } = await open();
    await openKey(page, "Grafana");
    await heading(page, "History").waitFor();
    setDown(true);
    await button(page, "Disable").click();
    await page
      .getByText("The service cannot be reached right now. Nothing was changed.", { exact: false })
      .waitFor();
    setDown(false);
    await button(page, "Disable").click();
    await page.getByText("The key was disabled.").waitFor();
  });

  it("says that the person was signed out in the middle of a flow, and keeps the form", async () => {
    const { page, keys, url } = await open({ samples: false });
    await button(page, "Create key").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("Kept");
    await dialog.getByRole("checkbox", { name: /^drivers:read/ }).check();
    await page.context().clearCookies();
    await dialog.getByRole("button", { name: "Create key" }).click();
    await dialog.getByText("You were signed out, and nothing was changed.", { exact: false }).waitFor();
    expect((await keys.list()).items).toEqual([]);
    await page.context().addCookies([{ name: "person", value: "mia", url }]);
    await dialog.getByRole("button", { name: "Create key" }).click();
    await heading(page, "Save your key now").waitFor();
    expect((await keys.list()).items.map(({ name }) => name)).toEqual(["Kept"]);
  });

  it("signs a person in with a portal link, once, and keeps its code nowhere", async () => {
    const store = memoryStore();
    let handler: ReturnType<typeof createPage>["page"];
    const { url, server } = await listen(
      toNodeListener((request, connection) => handler(request, connection)),
    );
    const publicUrl = `${url}/keys/`;
    handler = createPage(store, { publicUrl, portalStore: memoryPortalStore() }).page;
    const link = await handler.portalUrl({
      ownerId: "globex",
      actor: "user:7",
      returnUrl: `${url}/settings`,
    });
    const profile = await contextOf();
    const page = await profile.newPage();
    try {
      const problems = await watch(page, link);
      await page.getByText("Signed in as user:7").waitFor();
      expect(page.url()).toBe(publicUrl);
      expect(await page.getByRole("link", { name: "Back" }).getAttribute("href")).toBe(`${url}/settings`);
      expect(await traces(page)).not.toContain(link.split("#portal=")[1]);
      await page.reload();
      await page.getByText("Signed in as user:7").waitFor();
      await profile.clearCookies();
      await page.goto("about:blank");
      await page.goto(link);
      await heading(page, "This link no longer works").waitFor();
      expect(problems).toEqual([]);
    } finally {
      await page.close();
      await profile.clearCookies();
      await closeServer(server);
    }
  });

  it("speaks German to a browser that does", async () => {
    const { page } = await open({ context: { locale: "de-AT" } });
    await page.getByText("8 Schlüssel", { exact: true }).waitFor();
    await openKey(page, "Contractor laptop");
    await page.getByText("Schlüssel widerrufen „The contract ended“").waitFor();
    expect(await page.evaluate("document.documentElement.lang")).toBe("de");
  });

  it("can be used with the keyboard alone", async () => {
    const { page, only } = await open();
    await page.getByText("8 keys").waitFor();
    const focused = () => page.evaluate<string>("document.activeElement?.textContent ?? ''");
    for (let step = 0; step < 40 && (await focused()) !== "Grafana"; step++) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await heading(page, "History").waitFor();
    for (let step = 0; step < 10 && (await focused()) !== "Disable"; step++) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("The key was disabled.").waitFor();
    expect((await only("Grafana"))?.status).toBe("disabled");
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
    expect(await focused()).toBe("Grafana");
  });

  it("fits a screen that is 360 pixels wide", async () => {
    const { page } = await open({ context: { viewport: { width: 360, height: 740 } } });
    await page.getByText("8 keys").waitFor();
    const overflow = () =>
      page.evaluate<number[]>(`[document.documentElement, ...document.querySelectorAll("dialog")]
        .map((root) => root.scrollWidth - root.clientWidth)`);
    expect(await overflow()).toEqual([0]);
    await button(page, "Create key").click();
    expect(await overflow()).toEqual([0, 0]);
    await button(page, "Cancel").click();
    await openKey(page, "Staging");
    await heading(page, "History").waitFor();
    expect(await overflow()).toEqual([0, 0]);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    it(`has no accessibility violations in ${colorScheme} mode`, async () => {
      const { page } = await open({ context: { colorScheme }, options: { rateLimits: true } });
      const check = async (screen: string) => {
        if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axe.source);
        const violations = await page.evaluate(`axe.run().then(({ violations }) =>
          violations.map(({ id, nodes }) => id + ": " + nodes[0]?.html))`);
        expect(violations, screen).toEqual([]);
      };
      await page.getByText("8 keys").waitFor();
      await check("list");
      await openKey(page, "Grafana");
      await heading(page, "History").waitFor();
      await check("panel");
      for (const name of ["Edit", "Rotate", "Revoke"]) {
        await button(page, name).click();
        await check(name);
        await button(page, "Cancel").click();
      }
      await page.keyboard.press("Escape");
      await button(page, "Create key").click();
      await page.getByRole("checkbox", { name: "vehicles:write" }).check();
      await check("create");
      await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
      await heading(page, "Save your key now").waitFor();
      await check("secret");
      await page.getByLabel("I have saved it").check();
      await button(page, "Done").click();
      await page.getByLabel("Search by name or start").fill("nothing");
      await page.getByText("No key matches.").waitFor();
      await check("no match");
      await page.context().clearCookies();
      await page.reload();
      await heading(page, "You are not signed in").waitFor();
      await check("signed out");
    });
  }
});
