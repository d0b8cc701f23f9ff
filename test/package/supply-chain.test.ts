import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import lock from "../../package-lock.json" with { type: "json" };

const root = new URL("../..", import.meta.url).pathname;

interface Locked {
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}
const packages = lock.packages as Readonly<Record<string, Locked>>;

/** Returns every package that is installed with this one. */
function runtime(): readonly string[] {
  const seen = new Set<string>();
  const visit = (names: readonly string[]) => {
    for (const name of names) {
      const path = `node_modules/${name}`;
      if (seen.has(path)) continue;
      seen.add(path);
      visit(Object.keys(packages[path]?.dependencies ?? {}));
    }
  };
  visit(Object.keys(manifest.dependencies));
  return [...seen];
}

describe("supply chain", () => {
  it("no runtime dependency has an install script", () => {
    const paths = runtime();
    expect(paths.length).toBeGreaterThanOrEqual(Object.keys(manifest.dependencies).length);
    expect(paths.filter((path) => packages[path] === undefined)).toEqual([]);
    expect(paths.filter((path) => packages[path]?.hasInstallScript)).toEqual([]);
    expect(paths.filter((path) => !packages[path]?.integrity?.startsWith("sha512-"))).toEqual([]);
  });

  it("this package has no install script, and is published with provenance", () => {
    const scripts = Object.keys(manifest.scripts);
    expect(scripts.filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
    expect(manifest.publishConfig).toEqual({ access: "public", provenance: true });
  });
});

describe("SECURITY.md", () => {
  const text = readFileSync(join(root, "SECURITY.md"), "utf8");

  it("names existing tests", () => {
    const links = [...text.matchAll(/\[([^\]]+)\]\((test\/[^)]+)\)/g)];
    expect(links.length).toBeGreaterThan(15);
    for (const [, title = "", file = ""] of links) {
      expect(existsSync(join(root, file)), file).toBe(true);
      expect(readFileSync(join(root, file), "utf8"), `${file}: ${title}`).toContain(title);
    }
  });

  it("names existing files", () => {
    const files = [...text.matchAll(/`(test\/[^`]+)`|\]\((docs\/[^)]+)\)/g)].map(([, a, b]) => a ?? b ?? "");
    expect(files.length).toBeGreaterThan(3);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});
