// Takes the pictures of docs/dashboard.md.
//
//   npm run screenshots

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { toNodeListener } from "../../src/adapters/node.js";
import { memoryStore } from "../../src/stores/memory.js";
import { launch, openContext, watch } from "./browser.js";
import { addSampleKeys } from "./sample-keys.js";
import { closeServer, createPage, listen } from "./site.js";

const FOLDER = fileURLToPath(new URL("../../docs/pictures/", import.meta.url));

/** What is done on the page before each picture. */
const SCREENS: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  list: async () => {},
  create: async (page) => {
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Deploy script");
    await page.getByRole("checkbox", { name: "vehicles:write" }).check();
  },
  secret: async (page) => {
    await SCREENS.create?.(page);
    await page.getByRole("dialog").getByRole("button", { name: "Create key" }).click();
    await page.getByRole("heading", { name: "Save your key now" }).waitFor();
  },
  rotate: async (page) => {
    await page.getByRole("link", { name: "Grafana" }).click();
    await page.getByRole("button", { name: "Rotate" }).click();
  },
  revoke: async (page) => {
    await page.getByRole("link", { name: "Grafana" }).click();
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByLabel("Reason").fill("The server was replaced");
  },
  history: async (page) => {
    await page.getByRole("link", { name: "Production API" }).last().click();
    await page.getByText("Changed the name").waitFor();
  },
  empty: async (page) => {
    await page.context().addCookies([{ name: "person", value: "tom", url: page.url() }]);
    await page.reload();
    await page.getByText("No API keys yet").waitFor();
  },
};

async function capture(browser: Browser, url: string, name: string, options: object): Promise<void> {
  const context = await openContext(browser, options);
  await context.addCookies([{ name: "person", value: "mia", url }]);
  const page = await context.newPage();
  const problems = await watch(page, `${url}/settings/api-keys`);
  await page.getByRole("heading", { name: "API keys", exact: true }).waitFor();
  await page.getByText(/\d keys/).waitFor();
  const [screen = "list"] = name.split("-");
  await SCREENS[screen]?.(page);
  await page.waitForTimeout(150); // fonts and focus rings
  await page.screenshot({ path: `${FOLDER}${name}.png` });
  if (problems.length > 0) throw new Error(`${name}: ${problems.join("\n")}`);
  await context.close();
}

mkdirSync(FOLDER, { recursive: true });
const browser = await launch();
for (const colorScheme of ["light", "dark"] as const) {
  for (const screen of Object.keys(SCREENS)) {
    const store = memoryStore();
    await addSampleKeys(store);
    const { url, server } = await listen(toNodeListener(createPage(store).page));
    const viewport = { width: 1200, height: 820 };
    await capture(browser, url, `${screen}-${colorScheme}`, { colorScheme, viewport });
    if (screen === "list" || screen === "history" || screen === "create") {
      const narrow = { colorScheme, viewport: { width: 360, height: 740 } };
      await capture(browser, url, `${screen}-narrow-${colorScheme}`, narrow);
    }
    await closeServer(server);
  }
}
await browser.close();
console.log(`Pictures are in ${FOLDER}`);
