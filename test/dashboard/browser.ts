// Chromium, driven by playwright-core. CHROMIUM names the executable.

import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { chromiumPath, launchChromium } from "../../site/chromium.js";

/** Whether the browser is installed. In CI a missing browser is an error. */
export const hasBrowser: boolean = chromiumPath !== undefined;
if (!hasBrowser && process.env.CI) throw new Error("Chromium was not found (CHROMIUM)");

export const launch = launchChromium;

/** Creates a context that may use the clipboard. */
export async function openContext(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ locale: "en-US", reducedMotion: "reduce", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  return context;
}

/**
 * Opens a URL in a page. Returns what goes wrong on it from then on: errors of scripts, violations of the
 * Content-Security-Policy, and requests to other origins.
 */
export async function watch(page: Page, url: string): Promise<readonly string[]> {
  const problems: string[] = [];
  const { origin } = new URL(url);
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    // Responses with an error status are part of some flows.
    const isResponse = message.text().startsWith("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !isResponse) problems.push(message.text());
  });
  page.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith("data:") && new URL(target).origin !== origin) problems.push(target);
  });
  await page.addInitScript(`document.addEventListener("securitypolicyviolation", (event) => {
    console.error("CSP: " + event.violatedDirective + " " + event.blockedURI);
  })`);
  await page.goto(url);
  return problems;
}
