// Builds child.ts once for all suites: 200 processes that each compile their own TypeScript would spend most of
// the time with that.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "tsup";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The file that a process of a suite runs. */
    child: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => void> {
  const root = new URL("../../..", import.meta.url).pathname;
  // Within node_modules, so that it finds the drivers.
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const outDir = mkdtempSync(join(cache, "keybearer-stress-"));
  await build({
    config: false,
    silent: true,
    clean: false,
    entry: { child: join(root, "test/stress/child.ts") },
    outDir,
    outExtension: () => ({ js: ".mjs" }),
    format: "esm",
    target: "node20",
    splitting: true,
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
  });
  provide("child", join(outDir, "child.mjs"));
  return () => rmSync(outDir, { recursive: true, force: true });
}
