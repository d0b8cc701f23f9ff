import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** The path of the installed Chromium, which `CHROMIUM` can set; `undefined` without one. */
export const chromiumPath: string | undefined = PATHS.find((path) => path !== undefined && existsSync(path));

/**
 * Starts the installed Chromium, without a window.
 * @throws Error if Chromium is not installed.
 */
export function launchChromium(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error("Chromium is not installed. Set CHROMIUM to its path");
  return chromium.launch({
    executablePath: chromiumPath,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}
