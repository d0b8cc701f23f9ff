// Checks the built site: links and anchors, then three pages in Chromium, light and dark. SCREENSHOTS is the
// directory of the pictures.
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import type { Browser } from "playwright-core";
import manifest from "../package.json" with { type: "json" };
import { launchChromium } from "./chromium.js";
import { ROOT } from "./markdown.js";

const DIST = join(ROOT, "site/.vitepress/dist");
const BASE = process.env.DOCS_BASE ?? "/";
const SCREENSHOTS = process.env.SCREENSHOTS ?? join(tmpdir(), "keybearer-site");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".json": "application/json",
};

const problems = [...brokenLinks()];
for (const subpath of Object.keys(manifest.exports).filter((name) => name !== "./package.json")) {
  const page = `reference/${subpath.replace(/^\./, manifest.name)}.html`;
  if (!existsSync(join(DIST, page))) problems.push(`${page} is missing: list the module in typedoc.json`);
}
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
  const file = join(DIST, path.slice(BASE.length - 1).replace(/\/$/, "/index.html"));
  if (!path.startsWith(BASE) || !existsSync(file)) return response.writeHead(404).end();
  response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  return response.end(readFileSync(file));
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const browser = await launchChromium();
mkdirSync(SCREENSHOTS, { recursive: true });
try {
  for (const colorScheme of ["light", "dark"] as const)
    for (const page of ["index", "rotation", "reference/keybearer"])
      problems.push(...(await visit(browser, page, colorScheme)));
  problems.push(...(await searchFor(browser, "overlap", "Rotation")));
} finally {
  await browser.close();
  server.close();
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`No problems found. Screenshots are in ${SCREENSHOTS}`);

/** Yields every link, image and script of the built pages whose file or anchor does not exist. */
function* brokenLinks(): Generator<string> {
  const files = (readdirSync(DIST, { recursive: true }) as string[]).filter((name) => name.endsWith(".html"));
  const pages = new Map(files.map((name) => [name, readFileSync(join(DIST, name), "utf8")]));
  const anchors = new Map(
    [...pages].map(([name, html]) => [
      name,
      new Set([...html.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)),
    ]),
  );
  let count = 0;
  for (const [name, html] of pages) {
    for (const [, target = ""] of html.matchAll(/ (?:href|src)="([^"]+)"/g)) {
      const url = new URL(target.replaceAll("&amp;", "&"), `http://site${BASE}${name}`);
      if (url.host !== "site") continue;
      count++;
      const path = decodeURIComponent(url.pathname);
      const file = path.slice(BASE.length).replace(/(^|\/)$/, "$1index.html");
      if (!path.startsWith(BASE) || !existsSync(join(DIST, file))) yield `${name}: ${target} does not exist`;
      else if (url.hash !== "" && anchors.get(file)?.has(decodeURIComponent(url.hash.slice(1))) === false)
        yield `${name}: ${target} has no such heading`;
    }
  }
  if (count < 1_000) yield `Only ${count} links were found`;
  console.log(`${pages.size} pages, ${count} internal links`);
}

/** Opens a page, saves a picture, and returns errors, requests to other hosts and accessibility violations. */
async function visit(browser: Browser, name: string, colorScheme: "light" | "dark"): Promise<string[]> {
  const found: string[] = [];
  const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 900 } });
  const report = (problem: string) => found.push(`${name}, ${colorScheme}: ${problem}`);
  page.on("console", (message) => message.type() === "error" && report(message.text()));
  page.on("pageerror", (error) => report(error.message));
  page.on("request", (request) => {
    if (!/^(?:data|blob):/.test(request.url()) && !request.url().startsWith(origin)) report(request.url());
  });
  await page.goto(`${origin}${BASE}${name}.html`, { waitUntil: "networkidle" });
  const isDark = await page.evaluate(() => document.documentElement.classList.contains("dark"));
  if (isDark !== (colorScheme === "dark")) report("the page does not follow the colour scheme");
  const heading = await page.locator("h1").first().innerText();
  if (heading.trim() === "") report("the page has no heading");
  const missing = await page.evaluate(
    () => [...document.images].filter((image) => image.complete && image.naturalWidth === 0).length,
  );
  if (missing > 0) report(`${missing} images did not load`);
  await page.addScriptTag({ path: join(ROOT, "node_modules/axe-core/axe.min.js") });
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations } = await axe.run({ runOnly: ["wcag2a", "wcag2aa"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.length} x ${nodes[0]?.html}`);
  });
  for (const violation of violations) report(violation);
  const file = `${name.replaceAll("/", "-")}-${colorScheme}.png`;
  await page.screenshot({ path: join(SCREENSHOTS, file), fullPage: name === "index" });
  await page.close();
  return found;
}

/** Searches for a word, and returns a problem unless a result has the title. */
async function searchFor(browser: Browser, word: string, title: string): Promise<string[]> {
  const page = await browser.newPage();
  await page.goto(`${origin}${BASE}rotation.html`, { waitUntil: "networkidle" });
  await page.locator(".DocSearch-Button").click();
  await page.locator(".search-input").fill(word);
  const results = page.locator(".result", { hasText: title });
  const isFound = await results
    .first()
    .waitFor({ timeout: 10_000 })
    .then(
      () => true,
      () => false,
    );
  await page.screenshot({ path: join(SCREENSHOTS, "search.png") });
  await page.close();
  return isFound ? [] : [`The search for "${word}" did not find ${title}`];
}
