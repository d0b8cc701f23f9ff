import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/**
 * Starts the installed Chromium, without a window. `CHROMIUM` is its path, if it is elsewhere.
 * @throws Error if Chromium is not installed.
 */
export function launchChromium(): Promise<Browser> {
  const executablePath = PATHS.find((path) => path !== undefined && existsSync(path));
  if (executablePath === undefined) throw new Error("Chromium is not installed. Set CHROMIUM to its path");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}
