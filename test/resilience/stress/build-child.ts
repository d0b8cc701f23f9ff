// Builds child.ts once for all suites, because compiling TypeScript in each of 200 processes would take most of the time.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "tsup";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The built child.ts. */
    child: string;
  }
}

export default async function setup({ provide }: TestProject): Promise<() => void> {
  const root = new URL("../../..", import.meta.url).pathname;
  // In node_modules, so that imports of the drivers are resolved.
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  const outDir = mkdtempSync(join(cache, "keybearer-stress-"));
  await build({
    config: false,
    silent: true,
    clean: false,
    entry: { child: join(root, "test/resilience/stress/child.ts") },
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
